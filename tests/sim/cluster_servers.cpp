#include "tests/sim/cluster_servers.h"

#include <deque>

#include "coordinator/run_directory.h"

namespace strand::sim {
namespace {

constexpr Duration kLongestWait = std::chrono::milliseconds(50);

// The journal's store as its contract says: a batch is synced, atomic and durable when write() returns; one that a
// crash interrupts is there as a whole or not at all.
class SimStore final : public Store {
 public:
  using Records = std::map<std::string, std::string, std::less<>>;
  explicit SimStore(Records* records) : records_(records) {}

  Result<std::string> get(std::string_view key) override {
    const auto found = records_->find(key);
    if (found == records_->end()) return not_found(std::string(key));
    return found->second;
  }
  Status write(const StoreBatch& batch) override {
    for (const auto& operation : batch.operations) {
      if (operation.remove) {
        records_->erase(operation.key);
      } else {
        (*records_)[operation.key] = operation.value;
      }
    }
    return {};
  }
  Status scan(std::string_view prefix,
              const std::function<bool(std::string_view key, std::string_view value)>& visit) override {
    for (auto at = records_->lower_bound(prefix); at != records_->end(); ++at) {
      if (!at->first.starts_with(prefix) || !visit(at->first, at->second)) break;
    }
    return {};
  }
  Result<std::unique_ptr<BulkWriter>> bulk_writer() override { return bad_input("a journal is not loaded in bulk"); }
  Status verify() override { return {}; }

 private:
  Records* records_;
};

}  // namespace

// --- the coordinator ------------------------------------------------------------------------------------------------

void SimCoordinator::start() {
  if (alive()) return;
  begin_life();
  countdown_ = -1;
  view_ = std::make_unique<DiskView>(&cluster_->disk, kCoordinatorAddress);
  (void)view_->make_directories("/dir");
  journal_ = std::make_unique<Journal>(std::make_unique<SimStore>(&cluster_->journal));
  const Status begun = journal_->begin();
  const auto records = journal_->read();
  CoordinatorConfig config;
  config.directory = "/dir";
  for (size_t d = 0; d < cluster_->data_servers(); ++d) config.data_endpoints.push_back(concat("sim://data/", d));
  config.version = "1";
  config.lease = cluster_->shape.lease;
  core_ = std::make_unique<Coordinator>(config, now(), cluster_->wall(wall_offset_));
  const Status restored = begun.ok() ? core_->restore(*records, now()) : begun;
  if (!restored.ok()) cluster_->violation(concat("the journal cannot be read: ", restored.error().message()));
  recorder_ = std::make_unique<StepRecorder>(*view_);
  cluster_->note("the coordinator starts");
  perform(core_->start(now()));
  if (alive()) tick();
}

void SimCoordinator::die(bool power) {
  if (!alive()) return;
  end_life();
  core_.reset();
  recorder_.reset();
  journal_.reset();
  if (power) {
    cluster_->disk.lose_unsynced(kCoordinatorAddress, &cluster_->random);
    cluster_->records_lost();
  }
  cluster_->note(concat("the coordinator ", power ? "loses power" : "is killed"));
}

bool SimCoordinator::survived() {
  if (!alive()) return false;
  const bool between = countdown_ > 0 && --countdown_ == 0;
  if (!view_->dead() && !between) return true;
  die(view_->dead());
  return false;
}

void SimCoordinator::on_message(const std::string& peer, const WireMessage& message) {
  later(Duration(0), [this, peer, message] { step(MessageArrived{peer, message}); });
}

void SimCoordinator::tick() {
  step(TimePassed{});
  if (!alive()) return;
  const Duration wait =
      std::min(kLongestWait * cluster_->shape.slowness, std::max(Duration(1000000), core_->next_event(now()) - now()));
  later(wait, [this] { tick(); });
}

void SimCoordinator::step(const CoordinatorEvent& event) {
  perform(core_->handle(event, now()));
}

// In order; what an action leads to comes behind what was already decided.
void SimCoordinator::perform(std::vector<CoordinatorAction> decided) {
  std::deque<CoordinatorAction> actions(decided.begin(), decided.end());
  while (!actions.empty()) {
    const CoordinatorAction action = std::move(actions.front());
    actions.pop_front();
    const auto result = perform_one(action);
    if (!survived()) return;
    if (!result) continue;
    for (CoordinatorAction& next : core_->handle(*result, now())) actions.push_back(std::move(next));
  }
}

std::optional<CoordinatorEvent> SimCoordinator::perform_one(const CoordinatorAction& action) {
  if (const auto* batch = std::get_if<WriteJournal>(&action)) {
    if (!journal_->write(*batch).ok()) cluster_->violation("the journal cannot be written");
    cluster_->journalled(*batch);
  } else if (const auto* message = std::get_if<SendMessage>(&action)) {
    return send(*message);
  } else if (const auto* run = std::get_if<PrepareRun>(&action)) {
    return prepare_run(*view_, *run, "token");
  } else if (const auto* manifest = std::get_if<WriteManifest>(&action)) {
    return write(*manifest);
  } else if (const auto* removal = std::get_if<RemoveCheckpoint>(&action)) {
    (void)remove_checkpoint(*view_, removal->run_directory, removal->step);
  } else if (const auto* check = std::get_if<VerifyCheckpoint>(&action)) {
    verify(*check);
  } else if (const auto* record = std::get_if<RecordStep>(&action)) {
    cluster_->recorded(*record);
    (void)recorder_->record(*record);
  }
  return std::nullopt;
}

std::optional<CoordinatorEvent> SimCoordinator::send(const SendMessage& message) {
  if (message.peer == kClientPeer) {
    cluster_->network.send(kCoordinatorAddress, kClientAddress,
                           [this, said = message.message] { cluster_->answered(said); });
    return std::nullopt;
  }
  SimWorker* worker = cluster_->find_peer(message.peer);
  if (worker == nullptr) return SendFailed{message.peer};
  if (std::holds_alternative<Assign>(message.message.body)) cluster_->assigned(message.message);
  cluster_->network.send(kCoordinatorAddress, worker->id().value,
                         [worker, peer = message.peer, said = message.message] {
                           if (worker->alive() && worker->peer() == peer) worker->on_message(said);
                         });
  return std::nullopt;
}

std::optional<CoordinatorEvent> SimCoordinator::write(const WriteManifest& action) {
  const Status written = write_manifest(*view_, action);
  if (written.ok()) cluster_->manifest_written(action);
  return ManifestWritten{action.job, action.manifest.generation, action.manifest.step, written};
}

// In the background.
void SimCoordinator::verify(const VerifyCheckpoint& action) {
  later(cluster_->some(1, 100), [this, action] {
    const Status verified = verify_checkpoint(*view_, action.run_directory, action.step);
    step(CheckpointVerified{action.job, action.generation, action.step, verified});
  });
}

// --- a data server --------------------------------------------------------------------------------------------------

void SimDataServer::start() {
  if (alive()) return;
  begin_life();
  stream_ = std::make_unique<DataStreamServer>();
}

void SimDataServer::die() {
  if (!alive()) return;
  end_life();
  stream_.reset();
  cluster_->note(concat("data server ", number_, " is killed"));
}

void SimDataServer::on_message(SimWorker* worker, uint64_t runner, const WireMessage& message) {
  later(Duration(0), [this, worker, runner, message] {
    const Asker asker{worker->peer(), message.header};
    if (const auto* open = std::get_if<OpenDataset>(&message.body)) {
      act(worker, runner, stream_->on_open(asker, open->job_toml, open->expected, now()));
    } else if (const auto* fetch = std::get_if<FetchRows>(&message.body)) {
      act(worker, runner, stream_->on_fetch(asker, *fetch, now()));
    }
  });
}

void SimDataServer::act(SimWorker* worker, uint64_t runner, const DataActions& actions) {
  for (const DataAction& action : actions) {
    if (const auto* answer = std::get_if<SendReply>(&action)) {
      reply(worker, runner, answer->to.header, answer->body, nullptr);
    } else if (const auto* build = std::get_if<BuildDataset>(&action)) {
      later(cluster_->some(1, 300), [this, key = build->key] {
        DatasetSummary summary;
        summary.fingerprint = {1, 2};
        summary.fields = {{"bases", "sim"}};
        summary.segments = kSegments;
        summary.segment = cluster_->job->spec.data.segment;
        summary.vocabulary = 16;
        (void)stream_->on_built(key, summary, now());
        stream_->on_markov(key, std::vector<double>{2.0});
      });
    } else if (const auto* serve = std::get_if<ServeRows>(&action)) {
      const FetchRows& fetch = serve->fetch;
      auto rows = std::make_shared<std::vector<SimRow>>();
      for (uint32_t row = 0; row < fetch.rows; ++row) rows->push_back(row_of(fetch.first_row + row));
      Rows body;
      body.first_row = fetch.first_row;
      body.rows = fetch.rows;
      body.segment = static_cast<uint32_t>(cluster_->job->spec.data.segment);
      reply(worker, runner, serve->to.header, body, rows);
    }
  }
}

void SimDataServer::reply(SimWorker* worker, uint64_t runner, const Header& header, Body body, SimRows rows) {
  const WireMessage message{header, std::move(body)};
  cluster_->network.send(address(), worker->id().value,
                         [worker, runner, incarnation = worker->incarnation(), number = number_, message, rows] {
                           if (worker->incarnation() != incarnation) return;
                           worker->on_data(runner, number, message, rows);
                         });
}

}  // namespace strand::sim
