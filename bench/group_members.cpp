#include "bench/group_members.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <new>
#include <set>
#include <tuple>
#include <utility>

#include "bench/random_source.h"
#include "shared/base/check.h"
#include "worker/member/group_session.h"
#include "worker/pipeline/executor.h"
#include "worker/stage_model.h"

namespace strand {
namespace {

constexpr size_t kKinds = std::variant_size_v<ShardBody>;

struct Counts {
  std::array<std::atomic<uint64_t>, kKinds> messages{}, bytes{};
  std::atomic<uint64_t> pulled_in_passes{0};
};

// Counts what is sent, by kind. What is said again, because an answer is late on a busy machine, counts once.
class CountingTransport final : public Transport {
 public:
  // `in_pass`: the member computes.
  CountingTransport(std::unique_ptr<Transport> under, Counts* counts, const std::atomic<bool>* in_pass)
      : under_(std::move(under)), counts_(counts), in_pass_(in_pass) {}
  Result<SocketId> bind(const std::string& endpoint) override { return under_->bind(endpoint); }
  Result<SocketId> connect(const std::string& endpoint, const std::string& id) override {
    return under_->connect(endpoint, id);
  }
  std::string endpoint_of(SocketId socket) override { return under_->endpoint_of(socket); }
  void close(SocketId socket) override { under_->close(socket); }
  Status send(SocketId socket, const std::string& peer, std::vector<Frame> frames) override {
    const auto message = decode_shard_message(frames[0].data(), frames[0].size());
    STRAND_CHECK(message.ok(), "a worker sends what nobody can read");
    const uint64_t request = message->header.request;  // none between stages
    const bool first = request == 0 || said_.emplace(message->body.index(), request, socket).second;
    if (first) ++counts_->messages[message->body.index()];
    for (const Frame& frame : first ? frames : std::vector<Frame>())
      counts_->bytes[message->body.index()] += frame.size();
    return under_->send(socket, peer, std::move(frames));
  }
  Result<std::optional<Incoming>> receive(Duration wait) override {
    auto got = under_->receive(wait);
    if (!got.ok() || !*got || (*got)->frames.size() < 2 || !in_pass_->load()) return got;
    const auto message = decode_shard_message((*got)->frames[0].data(), (*got)->frames[0].size());
    if (message.ok() && std::holds_alternative<RangeData>(message->body)) {
      counts_->pulled_in_passes += (*got)->frames[1].size();
    }
    return got;
  }
  void wake() override { under_->wake(); }

 private:
  std::unique_ptr<Transport> under_;
  Counts* counts_;
  const std::atomic<bool>* in_pass_;
  std::set<std::tuple<size_t, uint64_t, SocketId>> said_;
};

// --- between the bench and a member ---------------------------------------------------------------------------------

void write_all(int fd, const void* data, size_t bytes) {
  const char* at = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t n = write(fd, at, bytes);
    if (n <= 0) _exit(0);  // the bench is gone
    at += n;
    bytes -= static_cast<size_t>(n);
  }
}

bool read_all(int fd, void* data, size_t bytes) {
  char* at = static_cast<char*>(data);
  while (bytes > 0) {
    const ssize_t n = read(fd, at, bytes);
    if (n <= 0) return false;
    at += n;
    bytes -= static_cast<size_t>(n);
  }
  return true;
}

struct Ends {
  int hear = -1, tell = -1;
};

double processor_seconds() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  return static_cast<double>(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
         1e-6 * static_cast<double>(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

// What the bench writes.
struct Wanted {
  Time at;
  int64_t steps = 1;
};
struct Asked {
  Wanted wanted;
  double processor = 0;  // seconds taken before
};

// Ready for a step: waits until it is wanted. The process ends when no more are.
Asked wait_for_go(const Ends& ends) {
  Asked asked;
  if (!read_all(ends.hear, &asked.wanted, sizeof asked.wanted)) _exit(0);
  asked.processor = processor_seconds();
  return asked;
}

// Of the last step of those asked for.
struct Last {
  Time begin, computed;
  std::vector<double> instructions;
};

void report(const Ends& ends, const Asked& asked, const Last& last, Time ready) {
  const Time at = asked.wanted.at;
  const double times[] = {to_seconds(last.computed - at), to_seconds(ready - at), processor_seconds() - asked.processor,
                          to_seconds(last.computed - last.begin), static_cast<double>(last.instructions.size())};
  write_all(ends.tell, times, sizeof times);
  write_all(ends.tell, last.instructions.data(), last.instructions.size() * sizeof(double));
}

RandomSource source_of(const JobSpec& spec) {
  return RandomSource(spec.train.micro_batch, spec.data.segment, spec.model.config.vocabulary);
}

void train_plainly(const JobSpec& spec, int threads, const Ends& ends) {
  const SystemClock clock;
  auto trainer = Trainer::create(spec, {}, {.threads = threads, .backend = Backend::kCpu});
  STRAND_CHECK(trainer.ok(), trainer.ok() ? "" : trainer.error().message());
  (*trainer)->initialise();
  RandomSource source = source_of(spec);
  while (true) {
    const Asked asked = wait_for_go(ends);
    Last last;
    for (int64_t i = 0; i < asked.wanted.steps; ++i) {
      last.begin = clock.now();
      const auto result = (*trainer)->step(source);
      STRAND_CHECK(result.ok(), result.ok() ? "" : result.error().message());
    }
    last.computed = clock.now();
    report(ends, asked, last, last.computed);
  }
}

// One worker of a group: what GroupRunner does in a step, without data server, coordinator and checkpoints.
class Member {
 public:
  Member(const JobSpec& spec, const GroupPlan& plan, size_t index, int threads, const Ends& ends, Counts* counts)
      : spec_(spec), plan_(plan), self_(plan.members[index]), ends_(ends), pool_(threads), workspace_(threads) {
    auto state = StageState::create(spec_, self_.stage, /*bf16=*/false);
    STRAND_CHECK(state.ok(), state.ok() ? "" : state.error().message());
    state_ = std::move(*state);
    auto transport = make_zmq_transport(std::nullopt, kMaxPeerFrame);
    if (counts != nullptr) transport = std::make_unique<CountingTransport>(std::move(transport), counts, &in_pass_);
    auto hub = PeerHub::start(std::move(transport), self_.endpoint, self_.worker, self_.incarnation);
    STRAND_CHECK(hub.ok(), hub.ok() ? "" : hub.error().message());
    hub_ = std::move(*hub);
    GroupSessionOptions options;
    options.job = JobId{1};
    options.self = self_.worker;
    options.incarnation = self_.incarnation;
    options.spec = spec_;
    options.threads = threads;
    options.save = [](const GroupPlan&, Step, const std::vector<uint32_t>&) { return int64_t{0}; };
    session_ = std::make_unique<GroupSession>(std::move(options), hub_.get(), state_.get(), fs_.get(), &clock_);
    const auto kind = parse_pipeline_kind(spec_.parallel.schedule);
    STRAND_CHECK(kind.ok(), spec_.parallel.schedule);
    kind_ = *kind;
    model_ = std::make_unique<StageModel>(spec_, state_->cut, self_.stage, state_->ranges,
                                          OpContext{&pool_, &workspace_, Backend::kCpu},
                                          StageModelOptions{.dtype = DType::kF32, .schedule = kind_});
    lanes_ = deal_lanes(plan_.lanes, plan_.replicas, {})[static_cast<size_t>(self_.replica)];
    for (uint32_t r = 0; r < state_->keys.size(); ++r) {
      if (state_->keys[r].elements > 0) all_.push_back(r);
    }
  }

  void run() {
    RandomSource source = source_of(spec_);
    session_->new_plan(plan_, {});
    Asked asked;
    Last last;
    int64_t left = 0;
    while (true) {
      const auto news = session_->next(std::chrono::seconds(1));
      if (!news) continue;
      if (const auto* failed = std::get_if<SessionFailed>(&*news)) STRAND_CHECK(false, failed->reason.message());
      const auto* wanted = std::get_if<ComputeStep>(&*news);
      if (wanted == nullptr) continue;
      if (left == 0) {
        if (wanted->step > 1) {
          await(all_, wanted->step - 1);
          report(ends_, asked, last, clock_.now());
        }
        asked = wait_for_go(ends_);
        left = asked.wanted.steps;
      }
      --left;
      last.begin = clock_.now();
      last.instructions = compute(wanted->step, &source);
      last.computed = clock_.now();
      session_->done_computing();
    }
  }

 private:
  void await(const std::vector<uint32_t>& ranges, Step version) {
    const Status there = session_->await(ranges, version, std::chrono::milliseconds(50), [] { return Status(); });
    STRAND_CHECK(there.ok());
  }

  std::vector<double> compute(Step step, BatchSource* source) {
    const PipelineShape shape{.stages = plan_.stages,
                              .chunks = static_cast<int>(spec_.parallel.chunks),
                              .micro_batches = static_cast<int>(lanes_.count * spec_.train.micro_batches_per_lane)};
    const auto schedule = make_schedule(kind_, shape);
    STRAND_CHECK(schedule.ok(), schedule.ok() ? "" : schedule.error().message());
    StageStep work;
    work.first_row = static_cast<uint64_t>(step - 1) * static_cast<uint64_t>(spec_.train.rows_per_step());
    work.lanes = lanes_;
    work.weights = session_->weights();
    work.source = source;
    work.ready = [&](RangeGradient gradient) {
      GradientReady ready{plan_.generation, step, gradient.range, gradient.use, {}};
      for (RangeGradient::Piece& p : gradient.pieces) {
        auto sum = std::make_shared<FloatBulk>(p.sum, gradient.elements, std::move(p.keeper));
        ready.pieces.push_back({p.subtree, std::move(sum), std::move(p.numbers)});
      }
      session_->gradient(std::move(ready));
    };
    work.await = [this, step](const std::vector<uint32_t>& ranges) {
      await(ranges, step - 1);
      in_pass_.store(true);
      return Status();
    };
    model_->begin(*schedule, std::move(work));
    StageLink* link = nullptr;
    if (shape.stages > 1) {
      const auto at = [&](int stage) {
        return member_at(plan_, self_.replica, (stage + shape.stages) % shape.stages).worker;
      };
      session_->mailbox().open({plan_.generation, step, 0}, shape, self_.stage, at(self_.stage - 1),
                               at(self_.stage + 1));
      link = &session_->mailbox();
    }
    const auto traces = run_stage(*schedule, self_.stage, model_.get(), link, clock_, {});
    in_pass_.store(false);
    STRAND_CHECK(traces.ok(), traces.ok() ? "" : traces.error().message());
    return compute_seconds({*traces}).front();
  }

  const JobSpec spec_;
  const GroupPlan plan_;
  const GroupMember self_;
  const Ends ends_;
  const SystemClock clock_;
  const std::unique_ptr<FileSystem> fs_ = make_posix_file_system();
  ThreadPool pool_;
  Workspace workspace_;
  PipelineKind kind_ = PipelineKind::kOneForwardOneBackward;
  LaneRun lanes_;
  std::vector<uint32_t> all_;  // ranges that this member computes with
  std::atomic<bool> in_pass_{false};
  std::unique_ptr<StageState> state_;
  std::unique_ptr<PeerHub> hub_;
  std::unique_ptr<GroupSession> session_;
  std::unique_ptr<StageModel> model_;
};

std::vector<GroupMember> members_of(const GroupShape& shape, const std::string& folder) {
  std::vector<GroupMember> members;
  for (int replica = 0; replica < shape.replicas; ++replica) {
    for (int stage = 0; stage < shape.stages; ++stage) {
      const uint64_t number = members.size() + 1;
      members.push_back({WorkerId{number}, Incarnation{1}, replica, stage, concat("ipc://", folder, "/w", number)});
    }
  }
  return members;
}

}  // namespace

struct ForkedGroup::Shared {
  Counts counts;
};

// --- the bench's side -----------------------------------------------------------------------------------------------

ForkedGroup::ForkedGroup(JobSpec spec, GroupShape shape, bool count) : spec_(std::move(spec)), shape_(shape) {
  spec_.parallel.stages = shape.stages;
  spec_.parallel.replicas = shape.replicas;
  std::string pattern = (std::filesystem::temp_directory_path() / "strand-group-XXXXXX").string();
  STRAND_CHECK(mkdtemp(pattern.data()) != nullptr, "no folder for sockets");
  folder_ = pattern;
  void* memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  STRAND_CHECK(memory != MAP_FAILED, "no shared memory");
  shared_ = new (memory) Shared;
  const GroupPlan plan = plan_of(spec_, Generation{1}, members_of(shape, folder_), {});
  const Status good = check_plan(plan);
  STRAND_CHECK(good.ok(), good.ok() ? "" : good.error().message());
  for (size_t i = 0; i < plan.members.size(); ++i) {
    int down[2], up[2];
    STRAND_CHECK(pipe(down) == 0 && pipe(up) == 0, "no pipes");
    const pid_t pid = fork();
    STRAND_CHECK(pid >= 0, "no process");
    if (pid == 0) {
      close(down[1]);
      close(up[0]);
      for (const Child& other : children_) close(other.tell);
      const Ends ends{down[0], up[1]};
      if (shape_.plain) train_plainly(spec_, shape_.threads, ends);
      Member(spec_, plan, i, shape_.threads, ends, count ? &shared_->counts : nullptr).run();
    }
    close(down[0]);
    close(up[1]);
    children_.push_back({pid, down[1], up[0]});
  }
}

ForkedGroup::~ForkedGroup() {
  for (const Child& child : children_) close(child.tell);  // it ends when it reads this
  for (const Child& child : children_) {
    waitpid(child.pid, nullptr, 0);
    close(child.hear);
  }
  std::filesystem::remove_all(folder_);
  munmap(shared_, sizeof(Shared));
}

GroupStep ForkedGroup::step(int64_t steps) {
  const Wanted wanted{SystemClock().now(), steps};
  for (const Child& child : children_) write_all(child.tell, &wanted, sizeof wanted);
  GroupStep done;
  double ready = 0, computed = 0;
  for (const Child& child : children_) {
    double times[5] = {};
    STRAND_CHECK(read_all(child.hear, times, sizeof times), "a member has ended");
    MemberStep member{times[0], times[1], times[2], times[3], std::vector<double>(static_cast<size_t>(times[4]))};
    STRAND_CHECK(read_all(child.hear, member.instructions.data(), member.instructions.size() * sizeof(double)));
    ready = std::max(ready, member.ready);
    computed = std::max(computed, member.computed);
    done.processor += member.processor / static_cast<double>(steps);
    done.members.push_back(std::move(member));
  }
  done.seconds = ready / static_cast<double>(steps);
  done.tail = ready - computed;
  return done;
}

namespace {
template <size_t... I>
std::vector<std::string> message_names(std::index_sequence<I...>) {
  return {shard_message_name(ShardBody(std::in_place_index<I>))...};
}
}  // namespace

uint64_t ForkedGroup::pulled_in_passes() const {
  return shared_->counts.pulled_in_passes.load();
}

std::map<std::string, MessageCount> ForkedGroup::counted() const {
  const auto names = message_names(std::make_index_sequence<kKinds>());
  std::map<std::string, MessageCount> counted;
  for (size_t i = 0; i < kKinds; ++i) {
    counted[names[i]] = {shared_->counts.messages[i].load(), shared_->counts.bytes[i].load()};
  }
  return counted;
}

}  // namespace strand
