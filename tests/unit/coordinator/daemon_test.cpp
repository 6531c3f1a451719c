// The real daemon over ZeroMQ with a scripted worker: submit, assign, parts, finish; restarts; refusals; HTTP.
#include "coordinator/daemon.h"

#include <gtest/gtest.h>
#include <httplib.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "coordinator/client/commands.h"
#include "coordinator/journal.h"
#include "shared/base/text.h"
#include "shared/base/version.h"
#include "shared/job_spec/parameter_table.h"
#include "tests/unit/coordinator/job_text.h"

namespace strand {
namespace {

using testing::job_text;
namespace stdfs = std::filesystem;

constexpr Duration kLong = std::chrono::seconds(20);

// run_coordinator on a thread of its own.
class RunningDaemon {
 public:
  // A long lease: a loaded machine must not expire it, and no test but one waits for its end.
  RunningDaemon(const std::string& directory, const std::string& endpoint, const std::string& http = "",
                Duration lease = std::chrono::seconds(8)) {
    options_.endpoint = endpoint;
    options_.directory = directory;
    options_.data_endpoints = {"ipc:///data"};
    options_.http = http;
    options_.lease = lease;
    options_.stop = &stop_;
    options_.ready = [this](const std::string& at, const std::string& http_at) {
      endpoint_ = at;
      http_ = http_at;
      ready_ = true;
    };
    thread_ = std::thread([this] {
      status_ = run_coordinator(options_);
      ended_ = true;
    });
    while (!ready_ && !ended_) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  ~RunningDaemon() { stop(); }
  void stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }
  bool ready() const { return ready_; }
  const Status& status() const { return status_; }  // after stop()
  std::string endpoint_, http_;

 private:
  CoordinatorOptions options_;
  std::atomic<bool> stop_{false}, ready_{false}, ended_{false};
  Status status_;
  std::thread thread_;
};

// A worker that does what the test tells it.
class ScriptedWorker {
 public:
  ScriptedWorker(const std::string& endpoint, uint64_t id, uint64_t incarnation) : id_(id), incarnation_(incarnation) {
    transport_ = make_zmq_transport();
    socket_ = *transport_->connect(endpoint, concat("w", id, "-", incarnation));
  }

  Header header() {
    Header h;
    h.request = ++request_;
    h.job = job_;
    h.generation = generation_;
    h.sender = WorkerId{id_};
    h.incarnation = Incarnation{incarnation_};
    h.step = step_;
    return h;
  }
  uint64_t say(Body body) {
    const WireMessage message{header(), std::move(body)};
    (void)transport_->send(socket_, "", {Frame::from_string(encode_message(message))});
    return message.header.request;
  }
  void say_raw(const std::string& bytes) { (void)transport_->send(socket_, "", {Frame::from_string(bytes)}); }
  // The next message of kind T; others are skipped.
  template <class T>
  std::optional<WireMessage> expect(Duration wait = std::chrono::seconds(5)) {
    SystemClock clock;
    const Time end = clock.now() + wait;
    while (clock.now() < end) {
      auto incoming = transport_->receive(std::chrono::milliseconds(50));
      if (!incoming.ok() || !*incoming) continue;
      auto message = decode_message((*incoming)->frames[0].data(), (*incoming)->frames[0].size());
      if (message.ok() && std::holds_alternative<T>(message->body)) return std::move(message).value();
    }
    return std::nullopt;
  }
  bool hello(WorkerState state = WorkerState::kIdle) {
    for (int attempt = 0; attempt < 20; ++attempt) {
      Hello hello;
      hello.host = "here";
      hello.version = kStrandVersion;
      hello.numerics = "cpu=test";
      hello.state = state;
      say(hello);
      if (expect<Welcome>(std::chrono::milliseconds(500))) return true;
    }
    return false;
  }
  bool take_assignment() {
    const auto assigned = expect<Assign>();
    if (!assigned) return false;
    assign_ = std::get<Assign>(assigned->body);
    job_ = assigned->header.job;
    generation_ = assigned->header.generation;
    step_ = base_ = assign_.checkpoints.empty() ? 0 : assign_.checkpoints.front();
    say(Heartbeat{WorkerState::kTraining});
    return true;
  }
  // Introduces itself, takes the job and trains.
  bool begin(int steps) {
    if (!hello() || !take_assignment()) return false;
    for (int step = 0; step < steps; ++step) {
      if (!train_one()) return false;
    }
    return true;
  }
  bool acknowledged(uint64_t request) {
    for (int skipped = 0; skipped < 20; ++skipped) {
      const auto ack = expect<Ack>();
      if (!ack) return false;
      if (ack->header.request == request) return true;
    }
    return false;
  }
  bool train_one() {
    ++step_;
    StepReport report;
    report.loss = 2.0 / static_cast<double>(step_);
    report.tokens = 100;
    report.step_nanoseconds = 10000000;
    report.base = base_;
    return acknowledged(say(report));
  }
  // Writes a part file and reports it; true once the checkpoint exists.
  bool save() {
    const std::string content = concat("state of step ", step_);
    PartSaved part;
    part.file = concat("step-", step_, "/g", generation_.value, "-0-1");
    const std::string path = assign_.run_directory + "/checkpoints/" + part.file;
    stdfs::create_directories(stdfs::path(path).parent_path());
    std::ofstream(path, std::ios::binary) << content;
    part.bytes = content.size();
    part.checksum = hash128(content);
    part.digest = {1, static_cast<uint64_t>(step_)};
    part.state_digest = {2, static_cast<uint64_t>(step_)};
    part.dataset = {{"bases", "abc"}};
    const ParsedJob parsed = parse_job(assign_.job_toml, "assigned job", assign_.run_directory, {});
    part.ranges = {{0, job_parameter_count(parsed.spec)}};
    return acknowledged(say(part));
  }
  bool finish() {
    JobFinished finished;
    finished.train_loss = 0.5;
    finished.eval_loss = 1.3;
    finished.bits_per_base = 1.9;
    finished.markov_bits_per_base = 1.94;
    finished.markov_order = 7;
    finished.eval_bases = 1000;
    finished.digest = {1, static_cast<uint64_t>(step_)};
    return acknowledged(say(finished));
  }

  Assign assign_;
  JobId job_;
  Generation generation_;
  Step step_ = 0, base_ = 0;

 private:
  uint64_t id_, incarnation_, request_ = 0;
  std::unique_ptr<Transport> transport_;
  SocketId socket_ = 0;
};

class DaemonTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/strand-coordXXXXXX";
    directory_ = mkdtemp(name);
    endpoint_ = "ipc://" + directory_ + "/c";
  }
  void TearDown() override { stdfs::remove_all(directory_); }

  CommandOptions common() const {
    CommandOptions options;
    options.endpoint = endpoint_;
    options.json = true;
    return options;
  }
  Json ask(const std::string& command, const Json& arguments) {
    auto client = connect_client(common());
    EXPECT_TRUE(client.ok());
    auto answer = (*client)->request(command, arguments);
    EXPECT_TRUE(answer.ok()) << answer.error().message();
    return answer.ok() ? *answer : Json();
  }
  Json submit(const std::string& run_directory, bool resume = false, int64_t retries = 3) {
    return ask("submit",
               {{"toml", job_text("genome", 6, 3, 2, retries)}, {"run_directory", run_directory}, {"resume", resume}});
  }

  std::string directory_, endpoint_;
};

TEST_F(DaemonTest, SubmitAssignSaveFinish) {
  RunningDaemon daemon(directory_, endpoint_, "127.0.0.1:0");
  ASSERT_TRUE(daemon.ready());
  const std::string run = directory_ + "/run";
  EXPECT_EQ(submit(run)["state"], "queued");
  ScriptedWorker worker(endpoint_, 1, 10);
  ASSERT_TRUE(worker.hello());
  ASSERT_TRUE(worker.take_assignment());
  EXPECT_EQ(worker.assign_.run_directory, run);
  std::string token;
  std::ifstream(run + "/token") >> token;
  EXPECT_EQ(worker.assign_.directory_token, token);
  EXPECT_EQ(token.size(), 32u);
  for (int step = 1; step <= 6; ++step) {
    ASSERT_TRUE(worker.train_one());
    if (step % 3 == 0) {
      ASSERT_TRUE(worker.save());
    }
  }
  ASSERT_TRUE(worker.finish());
  const Json show = ask("show", {{"job", "genome"}});
  EXPECT_EQ(show["state"], "done");
  EXPECT_EQ(show["exit_code"], 0);
  EXPECT_EQ(show["step"], 6);
  EXPECT_EQ(show["tokens"], 600);
  EXPECT_EQ(show["bits_per_base"], 1.9);
  EXPECT_EQ(show["checkpoint"], run + "/checkpoints/step-6");
  EXPECT_EQ(show["checkpoints"].size(), 2u);
  for (const char* key :
       {"job", "state", "step", "train_loss", "eval_loss", "bits_per_base", "markov_bits_per_base", "tokens",
        "tokens_per_second", "flops_utilization", "goodput", "checkpoint", "digest", "state_digest"}) {
    EXPECT_TRUE(show.contains(key) && !show[key].is_null()) << key;
  }
  std::ifstream metrics(run + "/metrics.jsonl");
  const std::string text((std::istreambuf_iterator<char>(metrics)), std::istreambuf_iterator<char>());
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 6);

  httplib::Client http("http://" + daemon.http_);
  std::this_thread::sleep_for(std::chrono::milliseconds(400));
  EXPECT_EQ(http.Get("/healthz")->status, 200);
  EXPECT_EQ(parse_json(http.Get("/jobs/1")->body, "http")->at("state"), "done");
  EXPECT_EQ(parse_json(http.Get("/jobs")->body, "http")->at("jobs").size(), 1u);
  EXPECT_NE(http.Get("/metrics")->body.find("strand_coordinator_steps_total 6"), std::string::npos);
  EXPECT_EQ(http.Get("/nothing")->status, 404);
  daemon.stop();
  EXPECT_TRUE(daemon.status().ok()) << daemon.status().error().message();
}

// The daemon ends without a word (as by SIGKILL, for all that others can see) while a job trains.
TEST_F(DaemonTest, ARestartedCoordinatorFindsItsWorkerAgain) {
  ScriptedWorker worker(endpoint_, 1, 10);
  const std::string run = directory_ + "/run";
  {
    RunningDaemon daemon(directory_, endpoint_);
    submit(run);
    ASSERT_TRUE(worker.begin(3));
    ASSERT_TRUE(worker.save());
  }
  RunningDaemon daemon(directory_, endpoint_);
  ASSERT_TRUE(daemon.ready());
  // Whatever it says first, it is asked to introduce itself.
  worker.say(Heartbeat{WorkerState::kTraining});
  const auto refused = worker.expect<Refused>();
  ASSERT_TRUE(refused);
  EXPECT_EQ(std::get<Refused>(refused->body).code, static_cast<uint8_t>(ErrorCode::kUnavailable));
  ASSERT_TRUE(worker.hello(WorkerState::kTraining));
  for (int step = 4; step <= 6; ++step) ASSERT_TRUE(worker.train_one());
  ASSERT_TRUE(worker.save());
  ASSERT_TRUE(worker.finish());
  const Json show = ask("show", {{"job", 1}});
  EXPECT_EQ(show["state"], "done");
  EXPECT_EQ(show["generation"], 1) << "the worker was disturbed";
  EXPECT_EQ(show["restarts"], 0);
  EXPECT_EQ(show["tokens"], 600) << "the sums survive by the metrics file";
  EXPECT_EQ(show["checkpoints"].size(), 2u);
}

TEST_F(DaemonTest, ARestartedWorkerGoesOnFromTheCheckpointInANewGeneration) {
  RunningDaemon daemon(directory_, endpoint_);
  submit(directory_ + "/run");
  {
    ScriptedWorker worker(endpoint_, 1, 10);
    ASSERT_TRUE(worker.begin(3));
    ASSERT_TRUE(worker.save());
    ASSERT_TRUE(worker.train_one());
  }
  ScriptedWorker worker(endpoint_, 1, 11);
  ASSERT_TRUE(worker.hello());
  ASSERT_TRUE(worker.take_assignment());
  EXPECT_EQ(worker.generation_.value, 2u);
  EXPECT_EQ(worker.assign_.checkpoints, std::vector<Step>{3});
  for (int step = 4; step <= 6; ++step) ASSERT_TRUE(worker.train_one());
  ASSERT_TRUE(worker.save());
  ASSERT_TRUE(worker.finish());
  const Json show = ask("show", {{"job", 1}});
  EXPECT_EQ(show["state"], "done");
  EXPECT_EQ(show["tokens"], 600) << "lost steps count once";
}

// Everything dies, a new coordinator and a new worker come, the client says resume.
TEST_F(DaemonTest, ResumeAfterEverythingDied) {
  const std::string run = directory_ + "/run";
  {
    RunningDaemon daemon(directory_, endpoint_);
    submit(run);
    ScriptedWorker worker(endpoint_, 1, 10);
    ASSERT_TRUE(worker.begin(1));  // before the first checkpoint
  }
  RunningDaemon daemon(directory_, endpoint_, "", std::chrono::seconds(3));
  EXPECT_EQ(submit(run, true)["id"], 1);
  ScriptedWorker worker(endpoint_, 2, 20);  // another id: the older one is given a full lease
  ASSERT_TRUE(worker.hello());
  SystemClock clock;
  for (const Time end = clock.now() + kLong; clock.now() < end && worker.job_.value == 0;) {
    worker.say(Heartbeat{WorkerState::kIdle});
    if (auto assign = worker.expect<Assign>(std::chrono::milliseconds(200))) worker.job_ = assign->header.job;
  }
  const Json show = ask("show", {{"job", 1}});
  EXPECT_EQ(show["state"], "starting");
  EXPECT_EQ(show["generation"], 2);
  auto client = connect_client(common());
  const auto again = (*client)->request("submit", {{"toml", job_text("genome", 6, 3, 2, 3)}, {"run_directory", run}});
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code(), ErrorCode::kConflict);
  const auto other = (*client)->request(
      "submit", {{"toml", job_text("genome", 7, 3, 2, 3)}, {"run_directory", run}, {"resume", true}});
  ASSERT_FALSE(other.ok());
  EXPECT_NE(other.error().message().find("train.steps"), std::string::npos) << other.error().message();
}

TEST_F(DaemonTest, BadInputIsNeverRetriedAndLossesAreGivenUp) {
  RunningDaemon daemon(directory_, endpoint_);
  ScriptedWorker worker(endpoint_, 1, 10);
  ASSERT_TRUE(worker.hello());
  submit(directory_ + "/a");
  ASSERT_TRUE(worker.take_assignment());
  ASSERT_TRUE(worker.acknowledged(
      worker.say(JobFailed{static_cast<uint8_t>(ErrorCode::kBadInput), "loss is nan at step 1, lane 0"})));
  Json show = ask("show", {{"job", 1}});
  EXPECT_EQ(show["state"], "failed");
  EXPECT_EQ(show["exit_code"], 2);

  submit(directory_ + "/b", false, 1);
  for (int attempt = 0; attempt < 2; ++attempt) {
    ASSERT_TRUE(worker.take_assignment()) << attempt;
    ASSERT_TRUE(worker.acknowledged(worker.say(JobFailed{static_cast<uint8_t>(ErrorCode::kInternal), "it fell over"})));
  }
  show = ask("show", {{"job", 2}});
  EXPECT_EQ(show["state"], "failed");
  EXPECT_EQ(show["exit_code"], 4);
  EXPECT_NE(show["reason"].get<std::string>().find("it fell over"), std::string::npos);
}

TEST_F(DaemonTest, StopMakesACheckpointAndResumeGoesOn) {
  RunningDaemon daemon(directory_, endpoint_);
  submit(directory_ + "/run");
  ScriptedWorker worker(endpoint_, 1, 10);
  ASSERT_TRUE(worker.begin(1));
  EXPECT_EQ(ask("stop", {{"job", 1}})["state"], "stopping");
  ASSERT_TRUE(worker.expect<Stop>());
  ASSERT_TRUE(worker.save());
  ASSERT_TRUE(worker.acknowledged(worker.say(Stopped{})));
  std::ostringstream out, progress;
  EXPECT_EQ(*wait_command(common(), "1", {out, progress}), 3);
  worker.say(Heartbeat{WorkerState::kIdle});
  EXPECT_NE(ask("resume", {{"job", 1}})["state"], "stopped");
  ASSERT_TRUE(worker.take_assignment());
  EXPECT_EQ(worker.assign_.checkpoints, std::vector<Step>{1});
}

TEST_F(DaemonTest, ShutdownStopsTheJobsFirst) {
  RunningDaemon daemon(directory_, endpoint_);
  submit(directory_ + "/run");
  ScriptedWorker worker(endpoint_, 1, 10);
  ASSERT_TRUE(worker.begin(1));
  std::ostringstream out, progress;
  ShutdownOptions options;
  options.common = common();
  EXPECT_EQ(*shutdown_command(options, {out, progress}), 0);
  ASSERT_TRUE(worker.expect<Stop>());
  ASSERT_TRUE(worker.acknowledged(worker.say(Stopped{})));
  daemon.stop();
  EXPECT_TRUE(daemon.status().ok());
  EXPECT_FALSE(stdfs::exists(directory_ + "/coordinator.json"));
}

TEST_F(DaemonTest, RefusesASecondCoordinatorAndTakenPorts) {
  RunningDaemon first(directory_, "tcp://127.0.0.1:0", "127.0.0.1:0");
  ASSERT_TRUE(first.ready());
  RunningDaemon second(directory_, endpoint_);
  EXPECT_FALSE(second.ready());
  second.stop();
  ASSERT_FALSE(second.status().ok());
  EXPECT_EQ(second.status().error().code(), ErrorCode::kConflict);
  EXPECT_NE(second.status().error().message().find("journal"), std::string::npos);

  RunningDaemon same_port(directory_ + "/other", first.endpoint_);
  same_port.stop();
  ASSERT_FALSE(same_port.status().ok());
  EXPECT_EQ(same_port.status().error().code(), ErrorCode::kConflict);

  RunningDaemon same_http(directory_ + "/third", endpoint_, first.http_);
  same_http.stop();
  ASSERT_FALSE(same_http.status().ok());
  EXPECT_EQ(same_http.status().error().code(), ErrorCode::kConflict);
}

TEST_F(DaemonTest, RefusesAJournalOfANewerVersion) {
  {
    auto store = open_rocks_store(directory_ + "/journal", {});
    ASSERT_TRUE(store.ok());
    StoreBatch batch;
    batch.put("format", R"({"version": 7, "program": "9.9"})");
    ASSERT_TRUE((*store)->write(batch).ok());
  }
  RunningDaemon daemon(directory_, endpoint_);
  daemon.stop();
  ASSERT_FALSE(daemon.status().ok());
  EXPECT_EQ(daemon.status().error().code(), ErrorCode::kBadInput);
  EXPECT_NE(daemon.status().error().message().find("version 7"), std::string::npos);
  EXPECT_NE(daemon.status().error().message().find(concat("version ", kJournalVersion)), std::string::npos);
}

TEST_F(DaemonTest, StrangersAreDroppedAndCounted) {
  RunningDaemon daemon(directory_, endpoint_);
  ScriptedWorker stranger(endpoint_, 5, 50);
  stranger.say_raw("these are no bytes of ours");
  stranger.say_raw("");
  std::string damaged = encode_message({stranger.header(), Heartbeat{}});
  damaged[damaged.size() / 2] ^= 1;
  stranger.say_raw(damaged);
  stranger.say(JobFinished{});
  ASSERT_TRUE(stranger.expect<Refused>());
  submit(directory_ + "/run");
  ScriptedWorker worker(endpoint_, 1, 10);
  ASSERT_TRUE(worker.hello());
  ASSERT_TRUE(worker.take_assignment());
  worker.generation_ = Generation{99};
  worker.say(StepReport{});
  worker.generation_ = Generation{1};
  ASSERT_TRUE(worker.train_one());
  const Json counters = ask("metrics", Json::object());
  EXPECT_EQ(counters["undecodable"], 3);
  EXPECT_EQ(counters["unknown_sender"], 1);
  EXPECT_EQ(counters["stale_generation"], 1);
  EXPECT_EQ(counters["steps"], 1);
}

TEST_F(DaemonTest, NobodyAnswers) {
  CommandOptions options = common();
  options.timeout = std::chrono::milliseconds(300);
  std::ostringstream out, progress;
  const auto result = jobs_command(options, {out, progress});
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code(), ErrorCode::kUnavailable);
  EXPECT_NE(result.error().message().find("strand coordinator"), std::string::npos);
}

}  // namespace
}  // namespace strand
