// The worker's life cycle under messages in every order: fencing, reliable reports, reattachment.
#include <gtest/gtest.h>

#include <random>

#include "worker/worker.h"

namespace strand {
namespace {

using std::chrono::milliseconds;

WorkerIdentity identity() {
  return {WorkerId{7}, Incarnation{100}, Hello{}};
}

template <class T>
std::vector<T> sent(const std::vector<WorkerAction>& actions) {
  std::vector<T> out;
  for (const auto& action : actions) {
    const auto* send = std::get_if<SendToCoordinator>(&action);
    if (send == nullptr) continue;
    if (const auto* body = std::get_if<T>(&send->message.body)) out.push_back(*body);
  }
  return out;
}

template <class T>
int count(const std::vector<WorkerAction>& actions) {
  int n = 0;
  for (const auto& action : actions) n += std::holds_alternative<T>(action);
  return n;
}

WireMessage message(uint64_t job, uint64_t generation, Body body) {
  WireMessage m;
  m.header.job = {job};
  m.header.generation = {generation};
  m.body = std::move(body);
  return m;
}

TEST(WorkerLifecycle, SaysHelloUntilWelcomedAndAgainAfterSilence) {
  WorkerLifecycle worker(identity(), Time{});
  EXPECT_EQ(sent<Hello>(worker.handle(Tick{}, Time{})).size(), 1u);
  EXPECT_EQ(sent<Hello>(worker.handle(Tick{}, Time{} + milliseconds(10))).size(), 0u);
  EXPECT_EQ(sent<Hello>(worker.handle(Tick{}, Time{} + milliseconds(600))).size(), 1u);
  const Time welcomed = Time{} + milliseconds(700);
  worker.handle(message(0, 0, Welcome{3000}), welcomed);
  EXPECT_EQ(sent<Hello>(worker.handle(Tick{}, welcomed + milliseconds(1500))).size(), 0u);
  EXPECT_EQ(sent<Hello>(worker.handle(Tick{}, welcomed + milliseconds(3500))).size(), 1u);
}

TEST(WorkerLifecycle, HeartbeatsComeThreeTimesALease) {
  WorkerLifecycle worker(identity(), Time{});
  worker.handle(message(0, 0, Welcome{3000}), Time{});
  int beats = 0;
  for (int ms = 0; ms <= 30000; ms += 5) {
    const auto actions = worker.handle(message(0, 0, Heartbeat{}), Time{} + milliseconds(ms));
    beats += static_cast<int>(sent<Heartbeat>(actions).size());
  }
  EXPECT_GE(beats, 29);
  EXPECT_LE(beats, 32);
}

TEST(WorkerLifecycle, AnAssignmentSentTwiceStartsTrainingOnce) {
  WorkerLifecycle worker(identity(), Time{});
  EXPECT_EQ(count<StartTraining>(worker.handle(message(1, 1, Assign{}), Time{})), 1);
  EXPECT_EQ(count<StartTraining>(worker.handle(message(1, 1, Assign{}), Time{})), 0);
  const auto newer = worker.handle(message(1, 2, Assign{}), Time{});
  EXPECT_EQ(count<StopTraining>(newer), 1);
  EXPECT_EQ(count<StartTraining>(newer), 1);
}

TEST(WorkerLifecycle, AnOlderGenerationCanChangeNothing) {
  WorkerLifecycle worker(identity(), Time{});
  worker.handle(message(1, 5, Assign{}), Time{});
  const uint64_t before = worker.dropped();
  EXPECT_EQ(count<StopTraining>(worker.handle(message(1, 4, Stop{true}), Time{})), 0);
  EXPECT_EQ(count<StartTraining>(worker.handle(message(1, 4, Assign{}), Time{})), 0);
  TrainingReport stale{JobId{1}, Generation{4}, 10, StepReport{}};
  EXPECT_TRUE(sent<StepReport>(worker.handle(stale, Time{})).empty());
  EXPECT_EQ(worker.dropped() - before, 3u);
  EXPECT_EQ(count<StopTraining>(worker.handle(message(1, 5, Stop{true}), Time{})), 1);
}

TEST(WorkerLifecycle, IsToldApartByItsIncarnationWhenRefused) {
  WorkerLifecycle worker(identity(), Time{});
  worker.handle(message(0, 0, Welcome{3000}), Time{});
  const auto unknown =
      worker.handle(message(0, 0, Refused{static_cast<uint8_t>(ErrorCode::kUnavailable), "say hello"}), Time{});
  EXPECT_EQ(sent<Hello>(unknown).size(), 1u);
  const auto refused =
      worker.handle(message(0, 0, Refused{static_cast<uint8_t>(ErrorCode::kBadInput), "other version"}), Time{});
  EXPECT_EQ(count<ExitProcess>(refused), 1);
}

// A network that loses, repeats and delays: every report arrives, a part before the end that follows it.
TEST(WorkerLifecycle, EveryReportArrivesInOrderWhateverIsLost) {
  for (uint32_t seed = 0; seed < 200; ++seed) {
    std::mt19937 random(seed);
    WorkerLifecycle worker(identity(), Time{});
    Time now{};
    std::vector<std::string> received;
    std::vector<bool> got_step(21, false);
    worker.handle(message(0, 0, Welcome{3000}), now);
    worker.handle(message(1, 1, Assign{}), now);
    const auto deliver = [&](const std::vector<WorkerAction>& actions) {
      for (const auto& action : actions) {
        const auto* send = std::get_if<SendToCoordinator>(&action);
        if (send == nullptr || random() % 3 == 0) continue;  // lost on the way there
        const WireMessage& m = send->message;
        if (std::holds_alternative<StepReport>(m.body)) got_step[static_cast<size_t>(m.header.step)] = true;
        if (std::holds_alternative<PartSaved>(m.body)) received.push_back("part");
        if (std::holds_alternative<JobFinished>(m.body)) received.push_back("finished");
        if (std::holds_alternative<Hello>(m.body) || std::holds_alternative<Heartbeat>(m.body)) continue;
        if (random() % 3 == 0) continue;  // the answer is lost
        WireMessage ack = message(1, 1, Ack{});
        ack.header.request = m.header.request;
        worker.handle(ack, now);
      }
    };
    for (Step step = 1; step <= 20; ++step) {
      deliver(worker.handle(TrainingReport{JobId{1}, Generation{1}, step, StepReport{}}, now));
      now = now + milliseconds(random() % 50);
    }
    deliver(worker.handle(TrainingReport{JobId{1}, Generation{1}, 20, PartSaved{}}, now));
    deliver(worker.handle(TrainingReport{JobId{1}, Generation{1}, 20, JobFinished{}}, now));
    for (int i = 0; i < 400 && worker.unacknowledged() > 0; ++i) {
      now = now + milliseconds(100);
      deliver(worker.handle(Tick{}, now));
    }
    ASSERT_EQ(worker.unacknowledged(), 0u) << "seed " << seed;
    for (Step step = 1; step <= 20; ++step) EXPECT_TRUE(got_step[static_cast<size_t>(step)]) << "seed " << seed;
    ASSERT_FALSE(received.empty());
    EXPECT_EQ(received.front(), "part") << "seed " << seed;
    EXPECT_EQ(received.back(), "finished") << "seed " << seed;
    EXPECT_TRUE(std::is_sorted(received.begin(), received.end(), std::greater<>())) << "seed " << seed;
  }
}

}  // namespace
}  // namespace strand
