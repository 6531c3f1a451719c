// `strand run` with groups of workers: the bits do not depend on how the work is shared, also when that changes in the
// midst of a run.
#include <gtest/gtest.h>
#include <signal.h>

#include <cstdlib>
#include <filesystem>
#include <memory>

#include "shared/base/text.h"
#include "tests/e2e/group_job.h"

namespace strand::e2e {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class GroupTest : public testing::Test {
 protected:
  void SetUp() override { write_group_job(folder_.path(), 60); }

  std::string path(const std::string& name) const { return folder_.path() + "/" + name; }
  std::unique_ptr<Process> start(const std::string& directory, const Words& more) const {
    return std::make_unique<Process>(folder_.path(), directory,
                                     Words{"run", "job.toml", "--json", "--dir", directory} + more);
  }
  Digests ended(Process& process, const std::string& what) const {
    EXPECT_TRUE(process.wait(std::chrono::minutes(2))) << what;
    EXPECT_EQ(process.exit_code(), 0) << what << ": " << process.err();
    const Digests digests = digests_of(process);
    EXPECT_EQ(process.json().value("step", 0), 60) << what;
    return digests;
  }
  Digests run_shape(const std::string& directory, const Words& more) const {
    return ended(*start(directory, more), directory);
  }

  TemporaryFolder folder_;
};

struct Variant {
  int stages, replicas;
  std::string schedule;
  int chunks, threads;
  bool recompute = false;

  std::string name() const {
    return concat(schedule, "-", stages, "x", replicas, "-t", threads, recompute ? "-recompute" : "");
  }
  Words options() const {
    Words words = shape(stages, replicas) + Words{"--set", concat("parallel.threads=", threads)};
    words = words + Words{"--set", "parallel.schedule=" + schedule, "--set", concat("parallel.chunks=", chunks)};
    if (recompute) words = words + Words{"--set", "parallel.recompute=true"};
    return words;
  }
};

// Each shape with two of the schedules, 2 x 2 with each of them; one and two threads so that each shape and each
// schedule has both. With STRAND_GROUP_ALL set: every shape with every schedule and both.
std::vector<Variant> variants() {
  const std::pair<int, int> shapes[] = {{1, 1}, {2, 1}, {1, 2}, {2, 2}, {4, 1}, {1, 3}, {1, 4}};
  const std::pair<const char*, int> schedules[] = {{"gpipe", 1}, {"1f1b", 1}, {"interleaved", 2}, {"zb-h1", 1}};
  const bool all = std::getenv("STRAND_GROUP_ALL") != nullptr;
  std::vector<Variant> chosen;
  for (int i = 0; i < 7; ++i) {
    for (int k = 0; k < 4; ++k) {
      const auto [stages, replicas] = shapes[i];
      const auto [schedule, chunks] = schedules[k];
      const int threads = 1 + (i / 2 + k / 2) % 2;
      const bool both_even = i % 2 == k % 2, square = stages == 2 && replicas == 2;
      if (all || both_even || square) chosen.push_back({stages, replicas, schedule, chunks, threads});
      if (all) chosen.push_back({stages, replicas, schedule, chunks, 3 - threads});
    }
  }
  chosen.push_back({2, 2, "1f1b", 1, 1, true});
  chosen.push_back({2, 1, "zb-h1", 1, 2, true});
  return chosen;
}

TEST_F(GroupTest, AnyShapeScheduleAndNumberOfThreadsGivesTheSameBits) {
  const Digests expected = run_shape("expected", {});
  ASSERT_EQ(expected.digest.size(), 32u);
  EXPECT_NE(expected.digest, expected.state);
  // Two at a time: a run of this size spends half of its life on starting and ending.
  const std::vector<Variant> all = variants();
  for (size_t i = 0; i < all.size(); i += 2) {
    const auto first = start(all[i].name(), all[i].options());
    const auto second = i + 1 < all.size() ? start(all[i + 1].name(), all[i + 1].options()) : nullptr;
    EXPECT_EQ(ended(*first, all[i].name()), expected) << all[i].name();
    if (!second) continue;
    EXPECT_EQ(ended(*second, all[i + 1].name()), expected) << all[i + 1].name();
  }
  EXPECT_NE(run_shape("other", shape(2, 2) + Words{"--set", "train.seed=8"}), expected)
      << "another seed must give other bits, or this test proves nothing";
}

// What changes the bits has a run in one process of its own to be compared with.
TEST_F(GroupTest, RoundedGradientsAndBf16GiveTheirOwnBitsInAnyShape) {
  const bool all = std::getenv("STRAND_GROUP_ALL") != nullptr;
  std::vector<Digests> seen = {run_shape("fp32", {})};
  const Words rounded = {"--set", "train.gradient_dtype=bf16"}, half = {"--set", "train.precision=bf16"};
  std::vector<std::pair<std::string, Words>> numerics = {{"rounded", rounded}, {"half", half}};
  if (all) numerics.emplace_back("both", rounded + half);
  for (const auto& [name, options] : numerics) {
    const auto alone = start(name, options);
    const auto square = start(name + "-2x2", shape(2, 2) + options);
    const Digests expected = ended(*alone, name);
    EXPECT_EQ(ended(*square, name + "-2x2"), expected) << name;
    for (const Digests& other : seen) EXPECT_NE(expected, other) << name << " must matter, or this test proves nothing";
    seen.push_back(expected);
    for (const auto& [stages, replicas] : {std::pair{1, 3}, {4, 1}, {1, 4}}) {
      if (!all && replicas != 3) continue;
      const std::string shaped = concat(name, "-", stages, "x", replicas);
      EXPECT_EQ(run_shape(shaped, shape(stages, replicas) + options), expected) << shaped;
    }
  }
}

TEST_F(GroupTest, UnevenSharesAndNoStalenessChangeNothing) {
  const auto alone = start("expected", {});
  const auto uneven = start("uneven", shape(1, 2) + Words{"--set", "parallel.lane_shares=[3,1]"});
  const Digests expected = ended(*alone, "expected");
  EXPECT_EQ(ended(*uneven, "uneven"), expected);
  std::map<std::string, std::string> lanes;  // by replica
  for (const char* log : {"worker", "worker-2"}) {
    for (const LogLine& line : log_lines(path(concat("uneven/logs/", log, ".log")))) {
      if (line.event == "group_ready") lanes[line.fields.at("replica")] = line.fields.at("lanes");
    }
  }
  EXPECT_EQ(lanes, (std::map<std::string, std::string>{{"0", "3"}, {"1", "1"}}));
  const Words not_stale = {"--set", "parallel.consistency=ssp", "--set", "parallel.ssp=0"};
  const auto pair = start("ssp-1x2", shape(1, 2) + not_stale), square = start("ssp-2x2", shape(2, 2) + not_stale);
  EXPECT_EQ(ended(*pair, "ssp-1x2"), expected);
  EXPECT_EQ(ended(*square, "ssp-2x2"), expected);
}

TEST_F(GroupTest, AGroupTakesEachRowOnce) {
  run_shape("run", shape(2, 2));
  const Process audit = run(folder_.path(), "audit", {"data", "audit", "run", "--json"});
  ASSERT_EQ(audit.exit_code(), 0) << audit.out() << audit.err();
  EXPECT_EQ(audit.json()["agrees"], true);
  EXPECT_EQ(audit.json()["steps"], 60);
}

TEST_F(GroupTest, CtrlCAndResumeAtAnotherShape) {
  const Digests expected = run_shape("expected", {});
  for (const auto& [stages, replicas] : {std::pair{1, 1}, {1, 3}}) {
    const std::string directory = concat("to-", stages, "x", replicas);
    const auto stopped = start(directory, shape(2, 2));
    ASSERT_TRUE(reaches(*stopped, path(directory), 7)) << stopped->err();
    stopped->signal_group(SIGINT);
    ASSERT_TRUE(stopped->wait(seconds(30)));
    ASSERT_EQ(stopped->exit_code(), 3) << stopped->err();
    const int at = stopped->json()["step"].get<int>();
    EXPECT_LT(at, 60);
    EXPECT_TRUE(std::filesystem::exists(path(concat(directory, "/checkpoints/step-", at, "/manifest")))) << at;
    EXPECT_EQ(run_shape(directory, shape(stages, replicas) + Words{"--resume"}), expected) << directory;
    // Each step is there once: the checkpoint was of the newest one.
    const std::vector<Json> records = step_records(path(directory));
    ASSERT_EQ(records.size(), 60u);
    for (size_t i = 0; i < records.size(); ++i) EXPECT_EQ(records[i]["step"], i + 1);
  }
}

TEST_F(GroupTest, ARunThatGrowsAndLosesAndIsJoinedEndsInTheSameBits) {
  const Words slow = {"--set", "train.micro_batch=8"};  // so that there is time for all of it
  const Digests expected = run_shape("expected", slow);
  const auto job = start("run", shape(1, 2) + Words{"--workers", "1", "--set", "parallel.min_replicas=1"} + slow);
  ASSERT_TRUE(reaches(*job, path("run"), 3)) << job->err();
  const auto replicas_joined = [&](const std::string& log) {
    int joined = 0;
    for (const LogLine& line : log_lines(path("run/logs/" + log + ".log"))) joined += line.event == "group_ready";
    return joined;
  };
  Process second = join_run(folder_.path(), path("run"), "second", 12);
  ASSERT_TRUE(within(seconds(20), [&] { return replicas_joined("second") > 0; })) << second.err() << job->err();
  const int grown = newest_step(path("run"));
  ASSERT_TRUE(reaches(*job, path("run"), grown + 3)) << job->err();
  second.signal(SIGKILL);
  const int killed = newest_step(path("run"));
  ASSERT_TRUE(reaches(*job, path("run"), killed + 3)) << "the other one goes on alone: " << job->err();
  Process third = join_run(folder_.path(), path("run"), "third", 13);
  ASSERT_TRUE(within(seconds(20), [&] { return replicas_joined("third") > 0; })) << third.err() << job->err();
  EXPECT_EQ(ended(*job, "run"), expected);

  // 1, 2, 1, 2 replicas, and never a step twice: nothing was taken back.
  std::vector<std::string> groups;
  for (const LogLine& line : log_lines(path("run/logs/coordinator.log"))) {
    const auto text = line.fields.find("text");
    if (line.event != "job_event" || text == line.fields.end()) continue;
    for (const char* replicas : {", 1 replica", ", 2 replicas"}) {
      if (text->second.find("generation ") != std::string::npos && text->second.find(replicas) != std::string::npos) {
        groups.push_back(text->second);
        break;
      }
    }
  }
  EXPECT_EQ(groups.size(), 4u) << testing::PrintToString(groups);
  const std::vector<Json> records = step_records(path("run"));
  ASSERT_EQ(records.size(), 60u);
  for (size_t i = 0; i < records.size(); ++i) EXPECT_EQ(records[i]["step"], i + 1);
  EXPECT_EQ(records.front()["generation"], 1);
  EXPECT_EQ(records.back()["generation"], 4);
}

}  // namespace
}  // namespace strand::e2e
