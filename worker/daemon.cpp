#include "worker/daemon.h"

#include <unistd.h>

#include <deque>
#include <filesystem>
#include <mutex>
#include <random>

#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/base/machine.h"
#include "shared/base/text.h"
#include "shared/base/version.h"
#include "shared/fs/file_system.h"
#include "worker/job_runner.h"
#include "worker/job_setup.h"
#include "worker/member/group_runner.h"
#include "worker/worker.h"

namespace strand {
namespace {

constexpr Duration kWait = std::chrono::milliseconds(5);

// Reports of training threads on their way to the control thread.
class ReportQueue {
 public:
  void push(TrainingReport report) {
    std::lock_guard lock(mutex_);
    reports_.push_back(std::move(report));
  }
  std::deque<TrainingReport> take() {
    std::lock_guard lock(mutex_);
    return std::exchange(reports_, {});
  }

 private:
  std::mutex mutex_;
  std::deque<TrainingReport> reports_;
};

WorkerIdentity make_identity(const WorkerOptions& options, const Clock& clock) {
  WorkerIdentity identity;
  identity.id.value = options.worker_id;
  if (identity.id.value == 0) {
    std::random_device device;
    identity.id.value = (static_cast<uint64_t>(device()) << 32 | device()) | 1;
  }
  identity.incarnation.value = static_cast<uint64_t>(clock.wall_nanoseconds());
  char host[256] = "";
  gethostname(host, sizeof host - 1);
  identity.hello.host = host;
  identity.hello.pid = getpid();
  identity.hello.version = kStrandVersion;
  identity.hello.numerics = numerics_fingerprint();
  identity.hello.memory_bytes = this_machine().memory_bytes;
  return identity;
}

class WorkerProcess {
 public:
  WorkerProcess(const WorkerOptions& options, std::unique_ptr<Transport> transport, SocketId socket,
                WorkerIdentity identity, PeerHub* hub)
      : options_(options),
        transport_(std::move(transport)),
        socket_(socket),
        identity_(identity),
        hub_(hub),
        lifecycle_(identity, clock_.now()),
        fs_(make_posix_file_system()) {}

  Status run() {
    while (options_.stop == nullptr || !options_.stop->load()) {
      STRAND_ASSIGN(auto incoming, transport_->receive(kWait));
      if (incoming && !incoming->frames.empty()) {
        auto message = decode_message(incoming->frames[0].data(), incoming->frames[0].size());
        if (message.ok()) {
          STRAND_TRY(act(lifecycle_.handle(*message, clock_.now())));
        } else {
          log_warning("message_dropped", {{"reason", message.error().message()}});
        }
      }
      STRAND_TRY(check_let_in());
      for (TrainingReport& report : reports_.take()) STRAND_TRY(act(lifecycle_.handle(report, clock_.now())));
      STRAND_TRY(act(lifecycle_.handle(Tick{}, clock_.now())));
      // The job has ended, for all of its members: its memory is free for the next one.
      if (lifecycle_.state() == WorkerState::kIdle && lifecycle_.unacknowledged() == 0) runner_.reset();
    }
    return {};
  }

 private:
  // A coordinator that does not let us in says so to the transport only. Training goes on without it.
  Status check_let_in() const {
    const auto refusal = transport_->refusal(socket_);
    return refusal && lifecycle_.state() == WorkerState::kIdle ? Status(*refusal) : Status();
  }

  Status act(const std::vector<WorkerAction>& actions) {
    for (size_t i = 0; i < actions.size(); ++i) {
      if (const auto* send = std::get_if<SendToCoordinator>(&actions[i])) {
        std::vector<Frame> frames;
        frames.push_back(Frame::from_string(encode_message(send->message)));
        // An absent coordinator or a full queue: the life cycle says it again.
        if (auto sent = transport_->send(socket_, "", std::move(frames)); !sent.ok()) {
          log_debug("not_sent", {{"message", message_name(send->message.body)}, {"reason", sent.error().message()}});
        }
      } else if (const auto* begin = std::get_if<StartTraining>(&actions[i])) {
        start(*begin);
      } else if (const auto* stop = std::get_if<StopTraining>(&actions[i])) {
        // A new generation may be gone on with as it is.
        const bool replaced = i + 1 < actions.size() && std::holds_alternative<StartTraining>(actions[i + 1]);
        if (runner_ && !replaced) runner_->stop(stop->checkpoint);
      } else if (const auto* exit = std::get_if<ExitProcess>(&actions[i])) {
        return exit->reason;
      }
    }
    return {};
  }

  void start(const StartTraining& start) {
    log_info("assigned", {{"job", start.job.value},
                          {"generation", start.generation.value},
                          {"members", start.assign.members.size()},
                          {"leaving", start.leaving}});
    if (runner_ && runner_->go_on(start)) return;
    runner_.reset();
    RunnerSeams seams{fs_.get(), &clock_, options_.make_transport,
                      [this](TrainingReport report) { reports_.push(std::move(report)); }};
    // A job that several workers may share is trained as by a group even while it has one member: it may grow.
    const auto spec = parse_assigned_job(start.assign);
    const bool shared =
        spec.ok() && (spec->parallel.replicas > 1 || spec->parallel.stages > 1 || spec->parallel.chunks > 1);
    if (shared || start.assign.members.size() > 1) {
      runner_ = std::make_unique<GroupRunner>(std::move(seams), identity_, start, options_.threads, hub_);
    } else {
      runner_ = std::make_unique<JobRunner>(std::move(seams), identity_, start, options_.threads);
    }
  }

  const WorkerOptions& options_;
  SystemClock clock_;
  std::unique_ptr<Transport> transport_;
  SocketId socket_;
  WorkerIdentity identity_;
  PeerHub* hub_;
  WorkerLifecycle lifecycle_;
  std::unique_ptr<FileSystem> fs_;
  ReportQueue reports_;
  std::unique_ptr<Runner> runner_;  // last: its thread uses everything above
};

}  // namespace

// A worker that names no endpoint listens where nobody looks.
static Result<std::unique_ptr<PeerHub>> start_hub(const WorkerOptions& options, const WorkerIdentity& identity) {
  std::string endpoint = options.endpoint;
  if (endpoint.empty()) {
    const auto folder = std::filesystem::temp_directory_path().string();
    endpoint = concat("ipc://", folder, "/strand-w", identity.id.value, "-", getpid());
  }
  return PeerHub::start(options.make_peer_transport(), endpoint, identity.id, identity.incarnation);
}

Status run_worker(const WorkerOptions& options) {
  const SystemClock clock;
  WorkerIdentity identity = make_identity(options, clock);
  STRAND_ASSIGN(const auto hub, start_hub(options, identity));
  if (!options.endpoint.empty()) identity.hello.endpoint = hub->endpoint();
  auto transport = options.make_transport();
  STRAND_ASSIGN(const SocketId socket, transport->connect(options.coordinator, concat("w", identity.id.value, "-",
                                                                                      identity.incarnation.value)));
  log_info("worker_started",
           {{"id", identity.id.value}, {"peers", identity.hello.endpoint}, {"numerics", identity.hello.numerics}});
  WorkerProcess process(options, std::move(transport), socket, identity, hub.get());
  return process.run();
}

}  // namespace strand
