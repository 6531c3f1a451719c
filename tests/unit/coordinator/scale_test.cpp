// A thousand workers: what the coordinator costs, in seconds of processor time, which a busy machine does not stretch.
#include <gtest/gtest.h>

#include <ctime>
#include <iostream>

#include "coordinator/coordinator.h"
#include "shared/base/text.h"
#include "tests/unit/coordinator/job_text.h"

namespace strand::testing {
namespace {

constexpr uint64_t kWorkers = 1024;

double cpu_seconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

// A coordinator whose disk is empty and whose workers say what they are told to.
class Crowd {
 public:
  Crowd() : core_(config(), now_, 0) { perform(core_.start(now_)); }

  void say(uint64_t worker, Body body, Generation generation, Step step) {
    WireMessage message;
    message.header.request = ++requests_;
    message.header.sender = WorkerId{worker};
    message.header.incarnation = Incarnation{worker};
    message.header.job = JobId{generation.value == 0 ? 0u : 1u};
    message.header.generation = generation;
    message.header.step = step;
    message.body = std::move(body);
    ++received_;
    perform(core_.handle(MessageArrived{concat("w", worker, "-", worker), std::move(message)}, now_));
  }
  void hello(uint64_t worker) {
    Hello hello;
    hello.version = "1";
    hello.numerics = "cpu=sim";
    hello.host = concat("host", worker / 8);
    hello.endpoint = concat("tcp://10.0.", worker / 256, ".", worker % 256, ":7000");
    say(worker, hello, {}, 0);
  }
  void submit(const std::string& toml) {
    WireMessage message;
    message.body = ClientRequest{"submit", dump_json({{"toml", toml}})};
    perform(core_.handle(MessageArrived{"client", message}, now_));
  }
  void pass(Duration time) {
    now_ = now_ + time;
    perform(core_.handle(TimePassed{}, now_));
  }
  // Its connection is gone, twice.
  void lose(uint64_t worker) {
    for (int twice = 0; twice < 2; ++twice) {
      perform(core_.handle(SendFailed{concat("w", worker, "-", worker)}, now_));
      now_ = now_ + std::chrono::milliseconds(250);
    }
  }
  Coordinator& core() { return core_; }
  int64_t sent() const { return sent_; }
  int64_t received() const { return received_; }
  int64_t assigned() const { return assigned_; }

 private:
  static CoordinatorConfig config() {
    CoordinatorConfig config;
    config.directory = "/dir";
    config.version = "1";
    return config;
  }
  void perform(std::vector<CoordinatorAction> actions) {
    for (CoordinatorAction& action : actions) {
      if (const auto* message = std::get_if<SendMessage>(&action)) {
        ++sent_;
        assigned_ += std::holds_alternative<Assign>(message->message.body);
      }
      if (const auto* run = std::get_if<PrepareRun>(&action)) {
        RunPrepared prepared{run->job, run->generation, run->create, {}, "token", {}, {}, {}};
        perform(core_.handle(prepared, now_));
      }
    }
  }

  Time now_{1};
  Coordinator core_;
  uint64_t requests_ = 0;
  int64_t sent_ = 0, received_ = 0, assigned_ = 0;
};

// Workers come, a gang of all of them is formed, and a minute of heartbeats and steps goes by; then one is lost.
TEST(Scale, AThousandWorkers) {
  Crowd crowd;
  const double begin = cpu_seconds();
  crowd.submit(job_text("large", 100000, 1000, 2, 3, {256, 1, 4}));
  for (uint64_t worker = 1; worker <= kWorkers; ++worker) {
    crowd.hello(worker);
    if (worker % 16 == 0) crowd.pass(std::chrono::milliseconds(10));
  }
  crowd.pass(std::chrono::milliseconds(10));
  const JobRecord& record = *crowd.core().record(JobId{1});
  ASSERT_EQ(record.members.size(), kWorkers);
  EXPECT_EQ(crowd.assigned(), static_cast<int64_t>(kWorkers));
  const double formed = cpu_seconds();
  const uint64_t reporter = record.members[3].worker.value;
  const int64_t before = crowd.sent(), heard = crowd.received();
  Step step = 0;
  for (int tenth = 0; tenth < 600; ++tenth) {  // every worker three times a lease of 4 s, a step a second
    for (uint64_t worker = 1 + static_cast<uint64_t>(tenth) % 13; worker <= kWorkers; worker += 13) {
      crowd.say(worker, Heartbeat{WorkerState::kTraining, 1000000}, Generation{1}, step);
    }
    if (tenth % 10 == 9) crowd.say(reporter, StepReport{}, Generation{1}, ++step);
    crowd.pass(std::chrono::milliseconds(100));
  }
  const double minute = cpu_seconds();
  EXPECT_EQ(record.state, JobState::kTraining);
  EXPECT_EQ(record.generation.value, 1u);
  EXPECT_EQ(crowd.core().counters().leases_expired, 0u);
  const int64_t probes_and_answers = crowd.sent() - before, said = crowd.received() - heard;
  EXPECT_LE(probes_and_answers, said + static_cast<int64_t>(kWorkers) * 60 * 4 + 60) << "linear in the workers";
  std::cout << "1024 workers: gang formed in " << format_number(formed - begin, 2) << " s of CPU time, 60 s of " << said
            << " messages in and " << probes_and_answers << " out in " << format_number(minute - formed, 2) << " s\n";

  EXPECT_LE(minute - begin, 6.0) << "a gang of 1,024 and a minute of its heartbeats";

  crowd.lose(5);
  EXPECT_EQ(record.generation.value, 2u);
  EXPECT_EQ(record.members.size(), kWorkers - 4);
  std::cout << "one of them lost: a new generation in " << format_number(cpu_seconds() - minute, 2)
            << " s of CPU time\n";
}

}  // namespace
}  // namespace strand::testing
