// The hub's and the writer's threads: worker/member/group_session.cpp and worker/checkpoint/checkpoint_writer.cpp
// without tensors.
#include <algorithm>

#include "tests/sim/cluster_worker.h"
#include "worker/checkpoint/checkpoint_reader.h"

namespace strand::sim {
namespace {
constexpr Duration kTick = std::chrono::milliseconds(25);
}

void SimRunner::offer(const StartTraining& start) {
  const GroupPlan plan = plan_of(spec_, start.generation, start.assign.members, start.assign.leaving);
  if (const Status checked = check_plan(plan); !checked.ok()) cluster_->violation(checked.error().message());
  if (inbox_.offer({plan, start.assign.checkpoints})) newest_ = start.generation;
  wake();
}

void SimRunner::wake() {
  if (turn_pending_) return;
  turn_pending_ = true;
  later(cluster_->random.between(Duration(0), std::chrono::milliseconds(1)), [this] { turn(); });
}

void SimRunner::tick() {
  wake();
  later(kTick * cluster_->shape.slowness, [this] { tick(); });
}

void SimRunner::snapshot() {
  cluster_->checks->before({process_->id(), process_->incarnation(), protocol()});
}

void SimRunner::turn() {
  turn_pending_ = false;
  SessionInbox::Batch batch = inbox_.take();
  if (batch.plan || !protocol()->training()) snapshot();
  session_->turn(std::move(batch), cluster_->now());
  if (!session_->updates_left()) return;
  session_->update_next(cluster_->now());
  wake();
}

void SimRunner::on_mail(const ShardMail& mail) {
  if (!session_) return;
  ShardMail changed = mail;
  const ClusterPlant plant = cluster_->shape.plant;
  if (plant == ClusterPlant::kNoFencing) changed.message.header.generation = protocol()->generation();
  if (plant == ClusterPlant::kClosedOnCount && protocol()->generation().value > 0) {
    for (const ShardMail& made : cluster_->forged_norms(mail, process_->id(), protocol()->plan())) {
      session_->on_mail(made, cluster_->now());
    }
  }
  if (!protocol()->training()) snapshot();
  session_->on_mail(changed, cluster_->now());
  if (session_->updates_left()) wake();
}

// --- what the session needs -----------------------------------------------------------------------------------------

void SimRunner::send(const SendToWorker& message) {
  cluster_->checks->sent({process_->id(), process_->incarnation(), protocol()}, message);
  SimWorker* to = cluster_->find_worker(message.to);
  const bool is_sum = std::holds_alternative<GradientSum>(message.message.message.body);
  if (is_sum && cluster_->shape.plant == ClusterPlant::kNormBeforeAck) {
    const ShardMail ack = early_acknowledgement(message, to->incarnation());
    later(Duration(0), [this, ack] { session_->on_mail(ack, cluster_->now()); });
  }
  cluster_->network.send(process_->id().value, message.to.value, [to, mail = message.message] { to->on_mail(mail); });
}

void SimRunner::tell(SessionNews news) {
  const ShardChecks::Member self{process_->id(), process_->incarnation(), protocol()};
  if (const auto* done = std::get_if<StepDone>(&news)) cluster_->checks->committed(self, done->record);
  if (const auto* ready = std::get_if<GroupReady>(&news)) {
    cluster_->checks->recovered(self, {ready->plan.generation, ready->base, false});
  }
  if (const auto* failed = std::get_if<SessionFailed>(&news)) {
    cluster_->note(concat("worker ", self.id.value, " cannot go on: ", failed->reason.message()));
  }
  inbox_.told(news);
  news_.push_back(std::move(news));
  later(cluster_->random.between(Duration(0), std::chrono::milliseconds(2)), [this] { next_news(); });
}

// With ssp the pass that follows reads these, whatever is committed meanwhile.
void SimRunner::keep_weights() {
  if (spec_.parallel.ssp == 0) return;
  kept_.clear();
  for (const uint32_t range : protocol()->needed()) kept_.push_back(store_->read(range));
}

Step SimRunner::choose_checkpoint(const std::vector<Step>& known) {
  return strand::choose_checkpoint(process_->view(), directory_, known);
}

void SimRunner::load(const LoadCheckpoint& load) {
  cluster_->checks->loading({process_->id(), process_->incarnation(), protocol()}, load);
  inbox_.loads();
  later(cluster_->some(1, 80), [this, load] {
    inbox_.loaded({load.generation, load.step, load_now(load)});
    wake();
  });
}

Status SimRunner::load_now(const LoadCheckpoint& load) {
  if (load.step == 0) {
    for (const uint32_t range : load.ranges) store_->load(range, 0);
    return {};
  }
  STRAND_ASSIGN(const Manifest manifest, read_manifest(process_->view(), directory_, load.step));
  std::vector<KeyRange> wanted;
  for (const uint32_t range : load.ranges) wanted.push_back(cluster_->job->ranges[range].keys);
  return load_ranges(process_->view(), directory_, manifest, cluster_->job->table, wanted,
                     [&](size_t i, const float* numbers) -> Status {
                       store_->take_state(load.ranges[i], load.step, bulk_of(state_in(numbers)));
                       return {};
                     });
}

void SimRunner::accuse(const PeersSuspected& peers) {
  const WorkerState state = peers.training ? WorkerState::kTraining : WorkerState::kLoading;
  process_->report(
      TrainingReport{start_.job, peers.generation, peers.committed, Heartbeat{state, 0, peers.workers}, 0});
}

// --- checkpoints ----------------------------------------------------------------------------------------------------

int64_t SimRunner::save(const GroupPlan& plan, Step step, const std::vector<uint32_t>& led) {
  const ClusterJob& job = *cluster_->job;
  const GroupMember& self = *find_member(plan, process_->id());
  Part part;
  part.generation = plan.generation;
  PartRequest& request = part.content.request;
  request.step = step;
  request.generation = plan.generation;
  request.next_row = static_cast<uint64_t>(step * spec_.train.rows_per_step());
  request.name = part_file_name(plan.generation, self.replica, self.stage);
  for (const uint32_t range : led) {
    const KeyRange& keys = job.ranges[range].keys;
    std::vector<KeyRange>& ranges = part.content.ranges;
    KeyRange* last = ranges.empty() ? nullptr : &ranges.back();
    if (last && last->first_element + last->elements == keys.first_element) {
      last->elements += keys.elements;
    } else {
      ranges.push_back(keys);
    }
    const auto run = job.blocks.blocks_of(keys);
    for (size_t b = run->first; b < run->end; ++b) part.content.blocks.push_back(b);
    append_range(job, range, value_of(store_->state(range)), &part.numbers);
  }
  parts_.push_back(std::move(part));
  if (parts_.size() == 1) later(cluster_->some(1, 60), [this] { write_next(); });
  return 1;
}

void SimRunner::write_next() {
  Part& part = parts_.front();
  part.content.data = part.numbers.data();
  auto written = write_part(process_->view(), directory_, cluster_->job->table, cluster_->job->blocks, part.content);
  if (!process_->survived()) return;
  if (cluster_->shape.plant == ClusterPlant::kManifestBeforePart) {
    cluster_->queue.after(std::chrono::milliseconds(300),
                          [disk = &cluster_->disk, id = process_->id().value] { disk->flush(id); });
  }
  const Step step = part.content.request.step;
  if (written.ok()) {
    written->dataset = dataset_.fields;
    process_->report(TrainingReport{start_.job, part.generation, step, std::move(*written), 0});
  } else {
    write_failure_ = written.error().with_context(concat("writing the checkpoint of step ", step));
    later(Duration(0), [this] { next_news(); });
  }
  parts_.pop_front();
  if (!parts_.empty()) later(cluster_->some(1, 60), [this] { write_next(); });
  finish();
  conclude();
}

}  // namespace strand::sim
