// Reads finished checkpoints back in a thread of its own, so that the coordinator keeps answering meanwhile.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "coordinator/event.h"
#include "shared/fs/file_system.h"

namespace strand {

class CheckpointVerifier {
 public:
  explicit CheckpointVerifier(FileSystem& fs);
  ~CheckpointVerifier();  // finishes the one at hand, drops the rest

  void add(VerifyCheckpoint wanted);
  std::vector<CheckpointVerified> take_results();

 private:
  void run();

  FileSystem& fs_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<VerifyCheckpoint> wanted_;
  std::vector<CheckpointVerified> results_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace strand
