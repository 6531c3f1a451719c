#include "coordinator/daemon.h"

#include <unistd.h>

#include <deque>
#include <mutex>
#include <random>

#include "coordinator/checkpoint_verifier.h"
#include "coordinator/coordinator.h"
#include "coordinator/journal.h"
#include "coordinator/published_state.h"
#include "coordinator/run_directory.h"
#include "coordinator/step_recorder.h"
#include "shared/base/log.h"
#include "shared/base/version.h"
#include "shared/http/http_server.h"

namespace strand {
namespace {

constexpr Duration kLongestWait = std::chrono::milliseconds(50);  // also how soon a stop flag is seen
constexpr Duration kPublishEvery = std::chrono::milliseconds(250);

std::string fresh_token() {
  std::random_device random;
  return Digest128{(uint64_t{random()} << 32) | random(), (uint64_t{random()} << 32) | random()}.hex();
}

class Daemon {
 public:
  Daemon(const CoordinatorOptions& options, std::unique_ptr<Journal> journal, std::unique_ptr<Transport> transport,
         SocketId socket)
      : options_(options),
        fs_(make_posix_file_system()),
        journal_(std::move(journal)),
        transport_(std::move(transport)),
        socket_(socket),
        core_(config_of(options), clock_.now(), clock_.wall_nanoseconds()),
        recorder_(*fs_),
        verifier_(*fs_) {}

  Status run() {
    STRAND_ASSIGN(const auto records, journal_->read());
    STRAND_TRY(core_.restore(records, clock_.now()));
    STRAND_TRY(start_http());
    STRAND_TRY(announce());
    log_info("coordinator_ready", {{"endpoint", transport_->endpoint_of(socket_)},
                                   {"jobs", core_.job_ids().size()},
                                   {"directory", options_.directory}});
    STRAND_TRY(perform(core_.start(clock_.now())));
    while (!stopping_ && !(options_.stop && options_.stop->load())) STRAND_TRY(turn());
    log_info("coordinator_ends", {{"after", stopping_ ? "shutdown" : "signal"}});
    return fs_->remove(options_.directory + "/coordinator.json");
  }

 private:
  static CoordinatorConfig config_of(const CoordinatorOptions& options) {
    CoordinatorConfig config;
    config.directory = options.directory;
    config.data_endpoints = options.data_endpoints;
    config.version = kStrandVersion;
    config.lease = options.lease;
    return config;
  }

  Status start_http() {
    if (options_.http.empty()) return {};
    publish();
    const Duration lease = options_.lease;
    STRAND_ASSIGN(http_, HttpServer::start(options_.http, [this, lease](const std::string& path) {
                    return published_.answer(path, SystemClock().now(), lease);
                  }));
    return {};
  }

  Status announce() {
    const std::string http = http_ ? http_->address() : std::string();
    const std::string endpoint = transport_->endpoint_of(socket_);
    STRAND_TRY(write_file_atomically(*fs_, options_.directory + "/coordinator.json",
                                     dump_json({{"endpoint", endpoint}, {"http", http}, {"pid", getpid()}}) + "\n"));
    if (options_.ready) options_.ready(endpoint, http);
    return {};
  }

  Status turn() {
    const Time before = clock_.now();
    const Duration wait = std::min(kLongestWait, std::max(Duration::zero(), core_.next_event(before) - before));
    auto incoming = transport_->receive(wait);
    if (!incoming.ok()) return incoming.error().with_context("receiving");
    core_.set_refused_keys(transport_->turned_away());
    // Time first: a lease that ran out while we slept must not hide behind a busy queue, nor the other way round; the
    // failure detector forgives our own sleep.
    STRAND_TRY(step(TimePassed{}));
    for (int handled = 0; *incoming; ++handled) {
      STRAND_TRY(step(decode(**incoming)));
      if (handled == 256) break;
      incoming = transport_->receive(Duration::zero());
      if (!incoming.ok()) return incoming.error().with_context("receiving");
    }
    for (CheckpointVerified& verified : verifier_.take_results()) STRAND_TRY(step(std::move(verified)));
    if (http_ && clock_.now() - published_at_ > kPublishEvery) publish();
    return {};
  }

  CoordinatorEvent decode(const Incoming& incoming) {
    if (incoming.frames.empty()) return UndecodableArrived{};
    auto message = decode_message(incoming.frames[0].data(), incoming.frames[0].size());
    if (message.ok()) return MessageArrived{incoming.peer, std::move(message).value()};
    log_warning("message_dropped", {{"bytes", incoming.frames[0].size()}, {"reason", message.error().message()}});
    return UndecodableArrived{};
  }

  Status step(const CoordinatorEvent& event) {
    STRAND_TRY(perform(core_.handle(event, clock_.now())));
    for (const LoggedEvent& logged : core_.events_after(last_logged_)) {
      last_logged_ = logged.number;
      log_info("job_event", {{"job", logged.job.value}, {"text", logged.text}});
      const JobRecord* record = core_.record(logged.job);
      if (record && job_is_at_rest(record->state)) recorder_.close(logged.job);
    }
    return {};
  }

  // In order; what an action leads to comes behind what was already decided.
  Status perform(std::vector<CoordinatorAction> decided) {
    std::deque<CoordinatorAction> actions(std::make_move_iterator(decided.begin()),
                                          std::make_move_iterator(decided.end()));
    while (!actions.empty()) {
      const CoordinatorAction action = std::move(actions.front());
      actions.pop_front();
      STRAND_ASSIGN(const auto result, perform_one(action));
      if (!result) continue;
      for (CoordinatorAction& next : core_.handle(*result, clock_.now())) actions.push_back(std::move(next));
    }
    return {};
  }

  Result<std::optional<CoordinatorEvent>> perform_one(const CoordinatorAction& action) {
    std::optional<CoordinatorEvent> result;
    if (const auto* journal = std::get_if<WriteJournal>(&action)) {
      const Status written = journal_->write(*journal);
      if (!written.ok()) return written.error().with_context("writing the journal");
    } else if (const auto* message = std::get_if<SendMessage>(&action)) {
      result = send(*message);
    } else if (const auto* run = std::get_if<PrepareRun>(&action)) {
      result = prepare_run(*fs_, *run, fresh_token());
    } else if (const auto* manifest = std::get_if<WriteManifest>(&action)) {
      result = ManifestWritten{manifest->job, manifest->manifest.generation, manifest->manifest.step,
                               write_manifest(*fs_, *manifest)};
    } else if (const auto* removal = std::get_if<RemoveCheckpoint>(&action)) {
      const Status removed = remove_checkpoint(*fs_, removal->run_directory, removal->step);
      if (!removed.ok()) log_warning("checkpoint_not_removed", {{"reason", removed.error().message()}});
    } else if (const auto* verify = std::get_if<VerifyCheckpoint>(&action)) {
      verifier_.add(*verify);
    } else if (const auto* record = std::get_if<RecordStep>(&action)) {
      const Status recorded = recorder_.record(*record);
      if (!recorded.ok()) log_warning("metrics_lost", {{"step", record->step}, {"reason", recorded.error().message()}});
    } else if (std::holds_alternative<StopDaemon>(action)) {
      stopping_ = true;
    }
    return result;
  }

  std::optional<CoordinatorEvent> send(const SendMessage& message) {
    const Status sent = transport_->send(socket_, message.peer, {Frame::from_string(encode_message(message.message))});
    if (sent.ok()) return std::nullopt;
    log_debug("message_not_sent", {{"kind", message_name(message.message.body)}, {"reason", sent.error().message()}});
    return SendFailed{message.peer};
  }

  void publish() {
    published_at_ = clock_.now();
    published_.update(core_, published_at_);
  }

  const CoordinatorOptions& options_;
  SystemClock clock_;
  std::unique_ptr<FileSystem> fs_;
  std::unique_ptr<Journal> journal_;
  std::unique_ptr<Transport> transport_;
  SocketId socket_;
  Coordinator core_;
  StepRecorder recorder_;
  CheckpointVerifier verifier_;
  PublishedState published_;
  std::unique_ptr<HttpServer> http_;  // after published_: its threads read it
  Time published_at_;
  uint64_t last_logged_ = 0;
  bool stopping_ = false;
};

}  // namespace

Status run_coordinator(const CoordinatorOptions& options) {
  const auto fs = make_posix_file_system();
  STRAND_TRY(fs->make_directories(options.directory));
  // The journal first: whoever holds it is the coordinator.
  STRAND_ASSIGN(auto journal, Journal::open(options.directory));
  auto transport = options.make_transport ? options.make_transport() : make_zmq_transport();
  STRAND_ASSIGN(const SocketId socket, transport->bind(options.endpoint));
  return Daemon(options, std::move(journal), std::move(transport), socket).run();
}

}  // namespace strand
