// The training thread: worker/member/group_runner.cpp without tensors.
#include <algorithm>

#include "shared/base/row_audit.h"
#include "tests/sim/cluster_worker.h"
#include "worker/checkpoint/checkpoint_reader.h"
#include "worker/job_setup.h"

namespace strand::sim {
namespace {
constexpr Duration kWait = std::chrono::milliseconds(50);
constexpr uint32_t kCredits = 8;
}  // namespace

SimRunner::SimRunner(SimWorker* process, StartTraining start, uint64_t number)
    : process_(process),
      cluster_(&process->cluster()),
      number_(number),
      start_(std::move(start)),
      spec_(cluster_->job->spec),
      directory_(start_.assign.run_directory + "/checkpoints"),
      generation_(start_.generation) {
  later(cluster_->some(1, 20), [this] { open_job(); });
}

// Its thread ends, and says so where its process still listens.
SimRunner::~SimRunner() {
  *here_ = false;
  if (!ended_ && process_->alive()) {
    generation_ = start_.generation;
    say(committed_, Stopped{});
  }
}

void SimRunner::later(Duration wait, std::function<void()> what) {
  process_->later(wait, [here = here_, what = std::move(what)] {
    if (*here) what();
  });
}

void SimRunner::say(Step step, decltype(TrainingReport::body) body, int64_t work_nanoseconds) {
  process_->report(TrainingReport{start_.job, generation_, step, std::move(body), work_nanoseconds});
}

void SimRunner::stop(bool checkpoint) {
  if (!checkpoint) {
    stop_ = true;
    later(cluster_->random.between(Duration(0), kWait), [this] { next_news(); });
    return;
  }
  checkpoint_on_stop_ = true;
  if (!session_) return;
  inbox_.stop_after_next_step();
  wake();
}

bool SimRunner::go_on(const StartTraining& start) {
  const bool other_stage = !start.leaving && start.self.stage != start_.self.stage;
  if (start.job != start_.job || ended_ || stop_ || other_stage) return false;
  const int32_t stage = start_.self.stage;  // a leaving member keeps its own
  start_ = start;
  start_.self.stage = stage;
  if (session_) offer(start);
  return true;
}

// --- the beginning --------------------------------------------------------------------------------------------------

void SimRunner::open_job() {
  if (const Status seen = check_run_directory(process_->view(), start_.assign); !seen.ok()) {
    cluster_->violation(concat("worker ", process_->id().value, ": ", seen.error().message()));
    return;
  }
  const Status made = process_->view().make_directories(directory_);
  if (!process_->survived()) return;
  if (!made.ok()) return end(made);
  later(cluster_->some(1, 60), [this] { open_session(); });
}

// Before the dataset is open, which may take long: the others wait for what this worker has to say of what it holds.
void SimRunner::open_session() {
  store_ = std::make_unique<SymbolicStore>(cluster_->serial.get(), [this](const std::string& text) {
    cluster_->violation(concat("worker ", process_->id().value, ": ", text));
  });
  const auto options =
      session_options(spec_, start_.job, process_->id(), process_->incarnation(), cluster_->job->ranges);
  session_ =
      std::make_unique<MemberSession>(spec_, options, store_.get(), static_cast<SessionHost*>(this), cluster_->now());
  offer(start_);
  if (checkpoint_on_stop_) inbox_.stop_after_next_step();
  tick();
  open_dataset();
}

void SimRunner::open_dataset() {
  OpenDataset open;
  open.job_toml = start_.assign.job_toml;
  for (const Step step : start_.assign.checkpoints) {
    const auto manifest = read_manifest(process_->view(), directory_, step);
    if (!manifest.ok()) continue;
    open.expected = manifest->dataset;
    break;
  }
  stream_ = std::make_unique<DataStream>(open, spec_.train.seed, kCredits, cluster_->data_servers());
  poll_data();
}

// --- news -----------------------------------------------------------------------------------------------------------

void SimRunner::next_news() {
  if (ended_ || ending_ || busy_) return;
  if (write_failure_) return end(*write_failure_);
  if (stop_) return end(Error(ErrorCode::kStopped, "asked to stop"));
  if (data_error_) return end(*data_error_);
  if (!open_ || news_.empty()) return;
  const SessionNews news = std::move(news_.front());
  news_.pop_front();
  const Status status = std::visit([&](const auto& said) { return on(said); }, news);
  if (!status.ok()) return end(status);
  if (!busy_) later(Duration(0), [this] { next_news(); });
}

Status SimRunner::on(const GroupReady& ready) {
  generation_ = ready.plan.generation;
  plan_ = ready.plan;
  committed_ = ready.base;
  finished_ = false;
  if (is_leaving(plan_, process_->id())) return {};
  self_ = *find_member(plan_, process_->id());
  lanes_ = deal_lanes(plan_.lanes, plan_.replicas, plan_.lane_shares)[static_cast<size_t>(self_.replica)];
  const auto per_lane = static_cast<uint64_t>(spec_.train.micro_batches_per_lane * spec_.train.micro_batch);
  const auto first = static_cast<uint64_t>(lanes_.first), count = static_cast<uint64_t>(lanes_.count);
  stream_->set_slice(
      {static_cast<uint64_t>(spec_.train.rows_per_step()), first * per_lane, (first + count) * per_lane});
  say(ready.base, Heartbeat{WorkerState::kTraining});
  return {};
}

Status SimRunner::on(const ComputeStep& wanted) {
  busy_ = true;
  pass_ = Pass{wanted.generation, wanted.step, 0, false, {}};
  if (!still_wanted(wanted.generation)) {
    done_computing();
    return {};
  }
  read_rows();
  return {};
}

Status SimRunner::on(const StepDone& done) {
  const StepRecord& record = done.record;
  generation_ = done.generation;
  committed_ = record.step;
  StepReport report;
  report.loss = record.loss / static_cast<double>(record.targets);
  report.tokens = record.tokens;
  report.step_nanoseconds = 1000000;
  report.audit = record.rows_hash;
  tokens_ += record.tokens;
  if (self_.stage + 1 == static_cast<int32_t>(spec_.parallel.stages)) {
    say(record.step, report, 1000000);
  } else {
    say(record.step, Heartbeat{WorkerState::kTraining}, 1000000);
  }
  return record.last ? Status(Error(ErrorCode::kStopped, "asked to stop")) : Status();
}

Status SimRunner::on(const AllStepsDone& all) {
  busy_ = true;
  pass_ = Pass{all.generation, 0, 0, false, {}};
  if (!still_wanted(all.generation) || finished_) {
    done_computing();
    return {};
  }
  finishing_ = true;
  finish();
  return {};
}

Status SimRunner::on(const SessionFailed& failed) {
  if (!still_wanted(failed.generation)) return {};
  return failed.reason;
}

void SimRunner::done_computing() {
  pass_.reset();
  busy_ = false;
  inbox_.done_computing();
  wake();
  later(Duration(0), [this] { next_news(); });
}

// When every part is written.
void SimRunner::finish() {
  if (!finishing_ || !parts_.empty()) return;
  finishing_ = false;
  if (!write_failure_) {
    JobFinished finished;
    finished.tokens = tokens_;
    say(committed_, finished);
    finished_ = true;
  }
  done_computing();
}

// The end is told in the newest generation there is, heard of by the training thread or not.
void SimRunner::end(const Status& status) {
  if (ended_ || ending_) return;
  ending_ = status;
  conclude();
}

void SimRunner::conclude() {
  if (!ending_ || ended_ || !parts_.empty()) return;
  ended_ = true;
  stream_.reset();
  generation_ = start_.generation;
  const Status& status = *ending_;
  if (status.ok() || status.error().code() == ErrorCode::kStopped) return say(committed_, Stopped{});
  cluster_->note(concat("worker ", process_->id().value, " fails: ", status.error().message()));
  say(committed_, JobFailed{static_cast<uint8_t>(status.error().code()), status.error().message(), false});
}

// --- passes ---------------------------------------------------------------------------------------------------------

// Micro batch after micro batch, as they arrive. Who waits for rows is not disturbed by a new plan.
void SimRunner::read_rows() {
  if (!pass_ || pass_->step == 0) return;
  Pass& pass = *pass_;
  const int64_t per_lane = spec_.train.micro_batches_per_lane;
  const bool reads = self_.stage == 0 || self_.stage + 1 == plan_.stages;
  while (reads && pass.done < lanes_.count * per_lane) {
    const bool gone = data_error_ || stop_;
    if (gone || !still_wanted(pass.generation)) return done_computing();
    const int64_t lane = lanes_.first + pass.done / per_lane;
    const RowRange range{RowSet::kTraining, first_row(spec_, pass.step, lane, pass.done % per_lane),
                         static_cast<uint32_t>(spec_.train.micro_batch)};
    const auto arrived = arrived_.find(range);
    if (arrived == arrived_.end()) {
      if (pass.asked) return;
      pass.asked = true;
      const auto end_row = static_cast<uint64_t>(spec_.train.steps * spec_.train.rows_per_step());
      const auto output = stream_->want(range, end_row, cluster_->now());
      std::erase_if(arrived_, [&](const auto& entry) { return !stream_->holds(entry.first); });
      send_data(output);
      return;
    }
    RowAudit audit;
    for (size_t row = 0; row < arrived->second.rows.size(); ++row) {
      const SimRow& read = arrived->second.rows[row];
      audit.add(range.first_row + row, read.sample, read.tokens.data(), read.tokens.size());
    }
    pass.audits[lane] += audit.sum();
    arrived_.erase(arrived);
    stream_->taken(range);
    pass.asked = false;
    ++pass.done;
  }
  if (spec_.parallel.ssp == 0) kept_.clear();
  read_weights();
}

// Range after range, once each can be read; whoever waits for one sees a stop and a new plan.
void SimRunner::read_weights() {
  const Pass& pass = *pass_;
  if (stop_ || !still_wanted(pass.generation)) return done_computing();
  const std::vector<uint32_t>& needed = protocol()->needed();
  while (kept_.size() < needed.size()) {
    const uint32_t range = needed[kept_.size()];
    const auto said = readable_.find(range);
    const bool is_there = said != readable_.end() && said->second >= pass.step - 1;
    if (!is_there) return later(cluster_->some(1, 5), [this] { read_weights(); });
    kept_.push_back(store_->read(range));
    if (cluster_->random.chance(0.3)) return later(cluster_->some(0, 3), [this] { read_weights(); });
  }
  const Duration wait = cluster_->random.between(cluster_->shape.shortest_pass, cluster_->shape.longest_pass);
  later(wait, [this, pass] { hand_over(pass); });
}

// What was read must still be there: blocks are read again on the way back.
void SimRunner::check_reads(const Pass& pass) {
  if (spec_.parallel.ssp > 0) return;
  const std::vector<uint32_t>& needed = protocol()->needed();
  for (size_t i = 0; i < needed.size(); ++i) {
    const uint64_t right = SerialRun::weights(cluster_->serial->state(needed[i], pass.step - 1));
    if (kept_[i] == right && store_->read(needed[i]) == right) continue;
    cluster_->violation(concat("worker ", process_->id().value, ": step ", pass.step, " reads range ", needed[i],
                               kept_[i] == right ? ", which changes under it" : " in another version"));
  }
}

// Range by range, with the weights as they were read.
void SimRunner::hand_over(const Pass& pass) {
  if (stop_ || !still_wanted(pass.generation)) return done_computing();
  check_reads(pass);
  const auto& ranges = cluster_->job->ranges;
  SerialRun& serial = *cluster_->serial;
  for (uint32_t range = 0; range < ranges.size(); ++range) {
    const bool is_first = range == 0 || ranges[range - 1].place.stage != ranges[range].place.stage;
    for (const uint32_t use : {0u, 1u}) {
      if ((use == 0 ? ranges[range].place.stage : ranges[range].place.second_use) != self_.stage) continue;
      GradientReady ready{pass.generation, pass.step, range, use, {}};
      for (const LaneSubtree& subtree : largest_subtrees(lanes_)) {
        GradientReady::Piece piece{subtree, nullptr, {}};
        piece.sum = bulk_of(serial.subtree_gradient(pass.step, subtree, range, use, kept_));
        const int64_t first = subtree.index << subtree.level, count = int64_t{1} << subtree.level;
        for (int64_t lane = first; use == 0 && is_first && lane < first + count; ++lane) {
          LaneNumbers numbers = serial.numbers(pass.step, lane, false, self_.stage + 1 == plan_.stages);
          if (self_.stage == 0) numbers.rows_hash = pass.audits.at(lane);
          piece.numbers.push_back(numbers);
        }
        ready.pieces.push_back(std::move(piece));
      }
      inbox_.add(std::move(ready));
    }
  }
  done_computing();
}

// --- rows -----------------------------------------------------------------------------------------------------------

void SimRunner::poll_data() {
  if (!stream_) return;
  send_data(stream_->poll(cluster_->now()));
  later(std::chrono::milliseconds(25) * cluster_->shape.slowness, [this] { poll_data(); });
}

void SimRunner::send_data(const DataStream::Output& output) {
  if (output.failed) {
    data_error_ = output.failed;
    later(Duration(0), [this] {
      if (pass_ && pass_->step > 0 && pass_->asked) read_rows();
      next_news();
    });
  }
  for (const DataStream::Letter& letter : output.send) cluster_->ask_data(*process_, number_, letter);
}

void SimRunner::on_data(size_t server, const WireMessage& message, const SimRows& rows) {
  if (!stream_) return;
  if (!std::holds_alternative<Rows>(message.body)) {
    send_data(stream_->on_message(server, message, cluster_->now()));
    if (open_ || !stream_->ready()) return;
    open_ = true;
    dataset_ = stream_->status();
    later(cluster_->some(0, 5), [this] { next_news(); });
    return;
  }
  const auto range = stream_->accept(server, message, cluster_->now());
  if (!range) return;
  arrived_[*range] = Arrived{*rows};
  if (pass_ && pass_->asked) read_rows();
}

}  // namespace strand::sim
