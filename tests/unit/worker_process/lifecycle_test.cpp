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

// A generation of replicas x stages in which we are `replica`, `stage`.
Assign group(int32_t replicas, int32_t stages, int32_t replica, int32_t stage) {
  Assign assign;
  for (int32_t r = 0; r < replicas; ++r) {
    for (int32_t s = 0; s < stages; ++s) {
      const bool us = r == replica && s == stage;
      assign.members.push_back({us ? identity().id : WorkerId{static_cast<uint64_t>(100 + 10 * r + s)},
                                us ? identity().incarnation : Incarnation{1}, r, s, "tcp://there:1"});
    }
  }
  return assign;
}
Assign alone() {
  return group(1, 1, 0, 0);
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
  EXPECT_EQ(count<StartTraining>(worker.handle(message(1, 1, alone()), Time{})), 1);
  EXPECT_EQ(count<StartTraining>(worker.handle(message(1, 1, alone()), Time{})), 0);
  const auto newer = worker.handle(message(1, 2, alone()), Time{});
  EXPECT_EQ(count<StopTraining>(newer), 1);
  EXPECT_EQ(count<StartTraining>(newer), 1);
}

TEST(WorkerLifecycle, AnOlderGenerationCanChangeNothing) {
  WorkerLifecycle worker(identity(), Time{});
  worker.handle(message(1, 5, alone()), Time{});
  const uint64_t before = worker.dropped();
  EXPECT_EQ(count<StopTraining>(worker.handle(message(1, 4, Stop{true}), Time{})), 0);
  EXPECT_EQ(count<StartTraining>(worker.handle(message(1, 4, alone()), Time{})), 0);
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
    worker.handle(message(1, 1, alone()), now);
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

TEST(WorkerLifecycle, AnAssignmentForAnotherProcessOfTheWorkerIsDropped) {
  WorkerLifecycle worker(identity(), Time{});
  Assign older = alone();
  older.members[0].incarnation.value -= 1;
  EXPECT_EQ(count<StartTraining>(worker.handle(message(1, 1, older), Time{})), 0);
  EXPECT_EQ(count<StartTraining>(worker.handle(message(1, 1, Assign{}), Time{})), 0) << "not a member";
  EXPECT_EQ(worker.dropped(), 2u);
  EXPECT_EQ(worker.state(), WorkerState::kIdle);
}

TEST(WorkerLifecycle, AGenerationThatWasLeftIsNotEnteredAgain) {
  WorkerLifecycle worker(identity(), Time{});
  worker.handle(message(1, 3, alone()), Time{});
  EXPECT_EQ(count<StartTraining>(worker.handle(message(2, 1, alone()), Time{})), 1) << "another job, from its first";
  EXPECT_EQ(count<StartTraining>(worker.handle(message(1, 3, alone()), Time{})), 0) << "an old letter";
  EXPECT_EQ(count<StartTraining>(worker.handle(message(1, 2, alone()), Time{})), 0);
  EXPECT_EQ(count<StartTraining>(worker.handle(message(1, 4, alone()), Time{})), 1);
}

TEST(WorkerLifecycle, KnowsItsPlaceAndWhetherItGoesOn) {
  WorkerLifecycle worker(identity(), Time{});
  const auto started = [](const std::vector<WorkerAction>& actions) {
    for (const auto& action : actions) {
      if (const auto* start = std::get_if<StartTraining>(&action)) return *start;
    }
    ADD_FAILURE() << "nothing was started";
    return StartTraining{};
  };
  const StartTraining first = started(worker.handle(message(1, 1, group(2, 3, 1, 2)), Time{}));
  EXPECT_EQ(first.self.replica, 1);
  EXPECT_EQ(first.self.stage, 2);
  EXPECT_FALSE(first.continues);
  const StartTraining second = started(worker.handle(message(1, 2, group(1, 3, 0, 2)), Time{}));
  EXPECT_EQ(second.self.replica, 0);
  EXPECT_TRUE(second.continues) << "what it holds may be newer than any checkpoint";
  Assign without = group(1, 3, 5, 5);
  without.leaving.push_back({identity().id, identity().incarnation, 0, 2, "tcp://there:1"});
  const StartTraining third = started(worker.handle(message(1, 3, without), Time{}));
  EXPECT_TRUE(third.leaving);
  EXPECT_TRUE(third.continues);
  EXPECT_FALSE(started(worker.handle(message(2, 1, alone()), Time{})).continues) << "another job";
}

// The first replica's last stage reports. Another one keeps what it would have said, and says it when it takes over.
TEST(WorkerLifecycle, ReportsTheStepsThatTheOneBeforeItDidNot) {
  WorkerLifecycle worker(identity(), Time{});
  worker.handle(message(0, 0, Welcome{3000}), Time{});
  worker.handle(message(1, 1, group(2, 2, 1, 1)), Time{});
  for (Step step = 1; step <= 5; ++step) {
    StepReport report;
    report.tokens = step;
    EXPECT_TRUE(sent<StepReport>(worker.handle(TrainingReport{JobId{1}, Generation{1}, step, report}, Time{})).empty());
  }
  Assign next = group(1, 2, 0, 1);
  next.recorded_step = 3;
  EXPECT_TRUE(sent<StepReport>(worker.handle(message(1, 2, next), Time{})).empty())
      << "they may have to be taken again";
  // Committed before the training thread knew of the new generation.
  StepReport late;
  late.tokens = 6;
  EXPECT_TRUE(sent<StepReport>(worker.handle(TrainingReport{JobId{1}, Generation{1}, 6, late}, Time{})).empty());
  const TrainingReport recovered{JobId{1}, Generation{2}, 6, Heartbeat{WorkerState::kTraining}};
  const auto reports = sent<StepReport>(worker.handle(recovered, Time{}));
  ASSERT_EQ(reports.size(), 3u);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(reports[i].tokens, static_cast<int64_t>(4 + i));
  for (const StepReport& report : reports) EXPECT_EQ(report.base, 6) << "taken before";
  const auto own = sent<StepReport>(worker.handle(TrainingReport{JobId{1}, Generation{2}, 7, late}, Time{}));
  ASSERT_EQ(own.size(), 1u);
  EXPECT_EQ(own[0].base, 6);
  // A part is the end of a phase, also behind reports that were taken over.
  EXPECT_TRUE(sent<PartSaved>(worker.handle(TrainingReport{JobId{1}, Generation{2}, 5, PartSaved{}}, Time{})).empty());
}

// A step that the survivors find committed while they agree is done before the generation has begun: it is no step of
// it, or those who hold what it needs would be dismissed too early.
TEST(WorkerLifecycle, AStepCommittedByTheRecoveryIsTheBase) {
  WorkerLifecycle worker(identity(), Time{});
  worker.handle(message(0, 0, Welcome{3000}), Time{});
  worker.handle(message(1, 1, group(1, 2, 0, 1)), Time{});
  const auto report = [&](Step step, const auto& body) {
    return sent<StepReport>(worker.handle(TrainingReport{JobId{1}, Generation{1}, step, body}, Time{}));
  };
  EXPECT_TRUE(report(1, StepReport{}).empty());
  const auto found = report(1, Heartbeat{WorkerState::kTraining});
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].base, 1);
  const auto next = report(2, StepReport{});
  ASSERT_EQ(next.size(), 1u);
  EXPECT_EQ(next[0].base, 1);
}

// The one that reports now may be new, and know of none of them.
TEST(WorkerLifecycle, ToldByWhoeverKnowsAreTheStepsThatNobodyHasRecorded) {
  WorkerLifecycle worker(identity(), Time{});
  worker.handle(message(0, 0, Welcome{3000}), Time{});
  worker.handle(message(1, 1, group(2, 2, 0, 1)), Time{});
  for (Step step = 1; step <= 5; ++step) {
    worker.handle(TrainingReport{JobId{1}, Generation{1}, step, StepReport{}}, Time{});
  }
  Assign next = group(2, 2, 1, 1);
  next.recorded_step = 3;
  worker.handle(message(1, 2, next), Time{});
  const TrainingReport recovered{JobId{1}, Generation{2}, 5, Heartbeat{WorkerState::kTraining}};
  EXPECT_EQ(sent<StepReport>(worker.handle(recovered, Time{})).size(), 2u);
  const TrainingReport another{JobId{1}, Generation{2}, 6, StepReport{}};
  EXPECT_TRUE(sent<StepReport>(worker.handle(another, Time{})).empty()) << "of this generation another one reports";
}

// Steps above what the new generation goes on from are taken again, and told then.
TEST(WorkerLifecycle, DoesNotReportStepsThatAreTakenAgain) {
  WorkerLifecycle worker(identity(), Time{});
  worker.handle(message(0, 0, Welcome{3000}), Time{});
  worker.handle(message(1, 1, group(2, 2, 1, 1)), Time{});
  for (Step step = 1; step <= 5; ++step) {
    worker.handle(TrainingReport{JobId{1}, Generation{1}, step, StepReport{}}, Time{});
  }
  worker.handle(message(1, 2, group(1, 2, 0, 1)), Time{});
  worker.handle(TrainingReport{JobId{1}, Generation{2}, 0, Heartbeat{WorkerState::kLoading}}, Time{});
  const TrainingReport reloaded{JobId{1}, Generation{2}, 2, Heartbeat{WorkerState::kTraining}};
  EXPECT_EQ(sent<StepReport>(worker.handle(reloaded, Time{})).size(), 2u);
}

// Who keeps it waiting is said at once, said again, and no more once a step is done.
TEST(WorkerLifecycle, SuspectsAreToldUntilAStepIsDone) {
  WorkerLifecycle worker(identity(), Time{});
  worker.handle(message(0, 0, Welcome{3000}), Time{});
  worker.handle(message(1, 1, group(2, 2, 0, 0)), Time{});
  const std::vector<WorkerId> suspects = {{101}, {110}};
  const TrainingReport waits{JobId{1}, Generation{1}, 3, Heartbeat{WorkerState::kTraining, 0, suspects}};
  const auto at_once = sent<Heartbeat>(worker.handle(waits, Time{}));
  ASSERT_EQ(at_once.size(), 1u);
  EXPECT_EQ(at_once[0].suspects, suspects);
  const auto again = sent<Heartbeat>(worker.handle(Tick{}, Time{} + milliseconds(1500)));
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].suspects, suspects);
  worker.handle(TrainingReport{JobId{1}, Generation{1}, 4, StepReport{}}, Time{} + milliseconds(1600));
  const auto after = sent<Heartbeat>(worker.handle(Tick{}, Time{} + milliseconds(2800)));
  ASSERT_EQ(after.size(), 1u);
  EXPECT_TRUE(after[0].suspects.empty());
}

TEST(WorkerLifecycle, HeartbeatsSayHowMuchWorkAStepIs) {
  WorkerLifecycle worker(identity(), Time{});
  worker.handle(message(0, 0, Welcome{3000}), Time{});
  worker.handle(message(1, 1, group(2, 2, 0, 0)), Time{});
  for (Step step = 1; step <= 100; ++step) {
    TrainingReport report{JobId{1}, Generation{1}, step, Heartbeat{WorkerState::kTraining}};
    report.work_nanoseconds = step <= 50 ? 1000 : 3000;
    const auto said = sent<Heartbeat>(worker.handle(report, Time{}));
    EXPECT_EQ(said.size(), step == 1 ? 1u : 0u) << "only a change of state is said at once";
  }
  const auto beats = sent<Heartbeat>(worker.handle(Tick{}, Time{} + milliseconds(1500)));
  ASSERT_EQ(beats.size(), 1u);
  EXPECT_NEAR(static_cast<double>(beats[0].work_nanoseconds), 3000, 10);
}

}  // namespace
}  // namespace strand
