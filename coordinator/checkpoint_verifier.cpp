#include "coordinator/checkpoint_verifier.h"

#include "coordinator/run_directory.h"

namespace strand {

CheckpointVerifier::CheckpointVerifier(FileSystem& fs) : fs_(fs), thread_([this] { run(); }) {}

CheckpointVerifier::~CheckpointVerifier() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void CheckpointVerifier::add(VerifyCheckpoint wanted) {
  {
    std::lock_guard lock(mutex_);
    wanted_.push_back(std::move(wanted));
  }
  changed_.notify_all();
}

std::vector<CheckpointVerified> CheckpointVerifier::take_results() {
  std::lock_guard lock(mutex_);
  return std::exchange(results_, {});
}

void CheckpointVerifier::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return stopping_ || !wanted_.empty(); });
    if (stopping_) return;
    const VerifyCheckpoint wanted = std::move(wanted_.front());
    wanted_.pop_front();
    lock.unlock();
    CheckpointVerified result{wanted.job, wanted.generation, wanted.step,
                              verify_checkpoint(fs_, wanted.run_directory, wanted.step)};
    lock.lock();
    results_.push_back(std::move(result));
  }
}

}  // namespace strand
