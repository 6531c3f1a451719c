// The thread pool, the scratch memory and the device list.
#include <gtest/gtest.h>

#include <atomic>
#include <cfloat>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <vector>

#include "ops/core/context.h"
#include "ops/core/device.h"

namespace strand {
namespace {

TEST(ThreadPool, RunsEveryTaskOnce) {
  for (int threads : {1, 2, 3, 4}) {
    ThreadPool pool(threads);
    ASSERT_EQ(pool.threads(), threads);
    for (int64_t tasks : {0, 1, 2, 3, 7, 1000}) {
      for (int round = 0; round < 20; ++round) {
        std::vector<std::atomic<int>> runs(static_cast<size_t>(tasks));
        std::atomic<bool> known = true;
        pool.run(tasks, [&](int64_t task, int thread) {
          ++runs[static_cast<size_t>(task)];
          if (thread < 0 || thread >= threads) known = false;
        });
        EXPECT_TRUE(known);
        for (const auto& count : runs) ASSERT_EQ(count, 1);
      }
    }
  }
}

TEST(ThreadPool, TasksFlushDenormals) {
  for (int threads : {1, 3}) {
    ThreadPool pool(threads);
    std::atomic<int> wrong = 0;
    pool.run(50, [&](int64_t, int) {
      volatile float small = FLT_MIN;
      volatile float half = small * 0.5f;
      if (half != 0) ++wrong;
    });
    EXPECT_EQ(wrong, 0);
  }
  volatile float small = FLT_MIN;
  volatile float half = small * 0.5f;
  EXPECT_NE(half, 0) << "the caller's mode was not put back";
}

TEST(Workspace, IsAlignedAndGrowsOnly) {
  Workspace workspace(2);
  EXPECT_EQ(workspace.allocated_bytes(), 0u);
  void* first = workspace.scratch(0, 1000);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(first) % 64, 0u);
  EXPECT_EQ(workspace.scratch(0, 10), first);
  const size_t small = workspace.allocated_bytes();
  EXPECT_NE(workspace.scratch(1, 1000), first);
  workspace.scratch(0, 1 << 20);
  EXPECT_GE(workspace.allocated_bytes(), small + (1 << 20));
}

TEST(Devices, EitherSomeOrAReason) {
  std::string why;
  const auto devices = list_cuda_devices(&why);
  EXPECT_EQ(devices.empty(), !why.empty());
  for (const DeviceInfo& device : devices) EXPECT_GT(device.memory_bytes, 0u);
}

// ops/README.md has one row for each operator's folder, and none for a folder that is not there.
TEST(Readme, TableNamesEveryOperator) {
  const std::set<std::string> not_operators{"core", "cpu", "cuda", "cuda_absent"};
  std::set<std::string> folders;
  for (const auto& entry : std::filesystem::directory_iterator("ops")) {
    const std::string name = entry.path().filename().string();
    if (entry.is_directory() && !not_operators.contains(name)) folders.insert(name);
  }
  std::set<std::string> rows;
  std::ifstream readme("ops/README.md");
  for (std::string line; std::getline(readme, line);) {
    if (line.starts_with("| `")) rows.insert(line.substr(3, line.find('`', 3) - 3));
  }
  EXPECT_EQ(rows, folders);
}

}  // namespace
}  // namespace strand
