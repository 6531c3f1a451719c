// Groups of workers with a full disk, a damaged checkpoint, and workers that must not take part: refused with the
// reason, and what was right stays right.
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <fstream>

#include "shared/base/text.h"
#include "tests/e2e/chaos.h"

namespace strand::e2e {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;

class DamageTest : public ChaosTest {
 protected:
  // Mounting without being root needs namespaces of users, which a machine may not give.
  bool may_mount() const {
    Process tried = Process::of(folder_.path(), "unshare", {"unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"});
    return tried.wait(seconds(10)) && tried.exit_code() == 0;
  }
  std::string coordinator_log(const std::string& directory) const {
    return read_file(path(directory + "/logs/coordinator.log"));
  }
};

TEST_F(DamageTest, AFullDiskEndsARunWithTheReasonAndRoomOnItLetsItGoOn) {
  if (!may_mount()) GTEST_SKIP() << "unshare -rm is not possible here";
  const Digests expected = undisturbed(kSteps);
  fs::create_directories(path("run/checkpoints"));
  std::string command = strand_program() + " run job.toml --json --dir run";
  for (const std::string& option : kTwoByTwo) command += " --set " + option;
  write_file(path("full.sh"),
             concat("mount -t tmpfs -o size=2m tmpfs run/checkpoints || exit 90\n",  // of one and a bit
                    command, " > full.json 2> full.err\n",                           //
                    "echo $? > full.code\n",                                         //
                    "mount -o remount,size=64m run/checkpoints || exit 91\n",        //
                    "exec ", command, " --resume\n"));
  Process both = Process::of(folder_.path(), "both", {"unshare", "-rm", "sh", "full.sh"});
  ASSERT_TRUE(both.wait(std::chrono::minutes(3)));
  const std::string said = read_file(path("full.err"));
  EXPECT_EQ(read_file(path("full.code")), "2\n") << said;
  EXPECT_NE(said.find("No space left on device"), std::string::npos) << said;
  EXPECT_NE(said.find("make room"), std::string::npos) << said;
  ASSERT_EQ(both.exit_code(), 0) << both.err();
  EXPECT_EQ(digests_of(both), expected);
}

TEST_F(DamageTest, ADamagedNewestCheckpointOfAGroupIsPassedOver) {
  const Digests expected = undisturbed(kSteps);
  Process process = start("run");
  ASSERT_TRUE(reaches(process, path("run"), 110)) << process.err();
  process.signal_group(SIGKILL);
  process.wait(seconds(10));
  long newest = -1;
  for (const auto& entry : fs::directory_iterator(path("run/checkpoints"))) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("step-") && fs::exists(entry.path() / "manifest"))
      newest = std::max(newest, std::stol(name.substr(5)));
  }
  ASSERT_GE(newest, 80);
  size_t parts = 0;
  for (const auto& entry : fs::directory_iterator(path(concat("run/checkpoints/step-", newest)))) {
    if (entry.path().filename() == "manifest" || ++parts > 1) continue;  // one part of the four is enough
    std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
    const auto middle = static_cast<std::streamoff>(fs::file_size(entry.path()) / 2);
    file.seekg(middle);
    const char byte = static_cast<char>(file.get() ^ 1);
    file.seekp(middle);
    file.put(byte);
  }
  EXPECT_EQ(parts, 4u) << "one of each worker";
  Process resumed = start("run", {"--resume"});
  ASSERT_TRUE(resumed.wait(std::chrono::minutes(3)));
  EXPECT_EQ(digests_of(resumed), expected) << resumed.err();
  EXPECT_NE(coordinator_log("run").find(concat("checkpoint ", newest, " is damaged")), std::string::npos);
}

TEST_F(DamageTest, ASecondWorkerOfTheSameIdentityIsRefused) {
  const Digests expected = undisturbed(kSteps);
  Process job = start("run");
  ASSERT_TRUE(reaches(job, path("run"), 10)) << job.err();
  Process twin = join_run(folder_.path(), path("run"), "twin", 2);
  ASSERT_TRUE(twin.wait(seconds(20))) << "it is let in";
  EXPECT_NE(twin.exit_code(), 0);
  EXPECT_NE(twin.err().find("worker 2 already runs on"), std::string::npos) << twin.err();
  EXPECT_NE(twin.err().find("give this one another id"), std::string::npos) << twin.err();
  ASSERT_TRUE(job.wait(std::chrono::minutes(3)));
  EXPECT_EQ(digests_of(job), expected) << job.err();
  EXPECT_EQ(step_records(path("run")).back()["generation"], 1) << "nobody noticed";
}

TEST_F(DamageTest, AWorkerThatDoesNotSeeTheRunDirectoryIsNotAskedAgain) {
  if (!may_mount()) GTEST_SKIP() << "unshare -rm is not possible here";
  const Digests expected = undisturbed(kSteps);
  Words arguments = {"run", "job.toml", "--json", "--dir", "run", "--replicas", "2", "--workers", "1"};
  Process job(folder_.path(), "run", arguments + Words{"--set", "train.micro_batch=4"});
  ASSERT_TRUE(reaches(job, path("run"), 10)) << job.err();
  const std::string coordinator = coordinator_endpoint(path("run"));
  const std::string sockets = coordinator.substr(0, coordinator.rfind('/') + 1);
  const std::string worker =
      concat(strand_program(), " worker --id 9 --name blind --threads 1 --dir elsewhere --coordinator ", coordinator,
             " --bind ", sockets, "blind");
  Process blind = Process::of(folder_.path(), "blind",
                              {"unshare", "-rm", "sh", "-c", "mount -t tmpfs tmpfs run && exec " + worker});
  ASSERT_TRUE(within(seconds(20), [&] {
    return coordinator_log("run").find("grows from 1 to 2") != std::string::npos;
  })) << blind.err();
  ASSERT_TRUE(job.wait(std::chrono::minutes(3)));
  EXPECT_EQ(digests_of(job), expected) << job.err();
  const std::string log = coordinator_log("run");
  const size_t asked = log.find("grows from 1 to 2");
  EXPECT_EQ(log.find("grows from 1 to 2", asked + 1), std::string::npos) << "asked once\n" << log;
  EXPECT_NE(log.find("token", asked), std::string::npos) << "the reason is said\n" << log;
}

}  // namespace
}  // namespace strand::e2e
