// Stages of one replica as threads of one process: the links between them are queues in memory, with the same bounds,
// order and failures as links between processes.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "shared/base/text.h"
#include "worker/pipeline/stage_link.h"

namespace strand {

class StageRing {
 public:
  // A message can be taken `latency` after it was sent.
  StageRing(const PipelineShape& shape, int buffers, Duration latency = Duration::zero())
      : shape_(shape), buffers_(static_cast<size_t>(buffers)), latency_(latency), failed_(at(shape.stages)) {
    for (auto& queues : queues_) queues.resize(at(shape.stages));
    for (int stage = 0; stage < shape.stages; ++stage) links_.push_back(std::make_unique<Link>(this, stage));
  }

  StageLink* link(int stage) { return links_[at(stage)].get(); }
  // Messages sent and never taken.
  size_t left_over() {
    const std::lock_guard lock(mutex_);
    size_t count = 0;
    for (const auto& queues : queues_) {
      for (const auto& queue : queues) count += queue.size();
    }
    return count;
  }

 private:
  using SteadyClock = std::chrono::steady_clock;
  struct Message {
    MessageTag tag;
    Frame bytes;
    SteadyClock::time_point arrival;
  };
  class Link final : public StageLink {
   public:
    Link(StageRing* ring, int stage) : ring_(ring), stage_(stage) {}
    Result<bool> send(const MessageTag& tag, const Frame& bytes, Duration wait) override {
      return ring_->send(stage_, tag, bytes, wait);
    }
    Result<std::optional<Frame>> receive(const MessageTag& tag, Duration wait) override {
      return ring_->receive(stage_, tag, wait);
    }
    void abort(const Error& reason) override { ring_->abort(stage_, reason); }

   private:
    StageRing* ring_;
    int stage_;
  };

  static size_t at(int stage) { return static_cast<size_t>(stage); }
  std::deque<Message>& queue(MessageKind kind, int sender) {
    return queues_[kind == MessageKind::kActivation ? 0 : 1][at(sender)];
  }

  Result<bool> send(int stage, const MessageTag& tag, const Frame& bytes, Duration wait) {
    std::unique_lock lock(mutex_);
    auto& to = queue(tag.kind, stage);
    const bool free = changed_.wait_for(lock, wait, [&] { return failed_[at(stage)] || to.size() < buffers_; });
    if (failed_[at(stage)]) return *failed_[at(stage)];
    if (!free) return false;
    to.push_back({tag, bytes, SteadyClock::now() + latency_});
    changed_.notify_all();
    return true;
  }

  Result<std::optional<Frame>> receive(int stage, const MessageTag& tag, Duration wait) {
    std::unique_lock lock(mutex_);
    auto& from = queue(tag.kind, sender_of(shape_, stage, tag.kind));
    const auto deadline = SteadyClock::now() + wait;
    const auto failed = [&] { return failed_[at(stage)].has_value(); };
    changed_.wait_until(lock, deadline, [&] { return failed() || !from.empty(); });
    if (!failed() && !from.empty()) {
      changed_.wait_until(lock, std::min(deadline, from.front().arrival), failed);
    }
    if (failed()) return *failed_[at(stage)];
    if (from.empty() || SteadyClock::now() < from.front().arrival) return std::optional<Frame>();
    if (from.front().tag != tag) {
      return internal_error(concat("stage ", stage, " takes ", to_text(tag), " and finds ", to_text(from.front().tag)));
    }
    Frame bytes = std::move(from.front().bytes);
    from.pop_front();
    changed_.notify_all();
    return std::optional<Frame>(std::move(bytes));
  }

  void abort(int stage, const Error& reason) {
    const std::lock_guard lock(mutex_);
    for (const MessageKind kind : {MessageKind::kActivation, MessageKind::kGradient}) {
      auto& neighbour = failed_[at(receiver_of(shape_, stage, kind))];
      if (!neighbour) neighbour = reason;
    }
    changed_.notify_all();
  }

  PipelineShape shape_;
  size_t buffers_;
  Duration latency_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::deque<Message>> queues_[2];  // activations, gradients; [sender]
  std::vector<std::optional<Error>> failed_;    // what each stage was told
  std::vector<std::unique_ptr<Link>> links_;
};

}  // namespace strand
