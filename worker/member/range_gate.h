// Between the thread that writes a worker's weights and the one that computes with them: which version of each range
// may be read.
//
// A version is told after its last number is written and seen before its first one is read (release and acquire), so
// nobody reads a range that is being written. That nobody writes a range that is being read is the protocol's matter:
// CommitProtocol, "Who reads while who writes".
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <vector>

#include "shared/base/clock.h"
#include "shared/base/ids.h"

namespace strand {

class RangeGate {
 public:
  // Ranges by their number in the job's cut; nothing of them can be read yet.
  explicit RangeGate(size_t ranges) : versions_(ranges) {
    for (auto& version : versions_) version.store(-1);
  }

  // --- the thread that writes ---
  // The numbers of the range are those of `version` from now on; -1: of none.
  void open(uint32_t range, Step version);

  // --- any thread ---
  // Whoever waits looks at once whether it is still to wait.
  void wake();

  // --- the thread that reads ---
  // Whether all of these are at exactly `version`; waits for `wait` at most, and no longer than to the next wake().
  // Later versions are a defect of ours: what is still to be read has been written to.
  bool wait(const std::vector<uint32_t>& ranges, Step version, Duration wait);

 private:
  bool open_at(const std::vector<uint32_t>& ranges, Step version) const;

  std::vector<std::atomic<Step>> versions_;
  std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t woken_ = 0;
  // Of the one who waits: a block has many ranges, and only the last of them is news.
  const std::vector<uint32_t>* awaited_ = nullptr;
  Step awaited_version_ = 0;
};

}  // namespace strand
