// A network between the mailboxes of one replica that loses, repeats, delays and reorders, on a time of its own: a
// thread pumps it, and its time runs ahead of the real one wherever nothing happens, so that what is lost is soon said
// again.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "worker/group/stage_mailbox.h"

namespace strand {

struct ChannelFaults {
  double loss = 0, duplicate = 0;
  Duration longest_delay{};  // each message takes its own time, up to this
};

class FaultyChannel {
 public:
  FaultyChannel(int stages, const ChannelFaults& faults, uint64_t seed) : faults_(faults), random_(seed) {
    for (int stage = 0; stage < stages; ++stage) {
      boxes_.push_back(std::make_unique<StageMailbox>(JobId{1}, worker(stage), Incarnation{7}, clock_, [] {}));
    }
    thread_ = std::thread([this] { run(); });
  }
  ~FaultyChannel() {
    stop_ = true;
    thread_.join();
  }

  StageMailbox* box(int stage) { return boxes_[static_cast<size_t>(stage)].get(); }
  void open(int stage, const PassStamp& stamp, const PipelineShape& shape) {
    const int previous = (stage + shape.stages - 1) % shape.stages, next = (stage + 1) % shape.stages;
    box(stage)->open(stamp, shape, stage, worker(previous), worker(next));
  }
  // Whether everything sent is taken within a real minute.
  bool settles() {
    for (const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
         std::chrono::steady_clock::now() < end;) {
      bool quiet = true;
      for (const auto& box : boxes_) quiet = quiet && box->quiet();
      if (quiet) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return false;
  }
  uint64_t lost() const { return lost_; }

 private:
  static WorkerId worker(int stage) { return {static_cast<uint64_t>(stage) + 1}; }
  StageMailbox& box_of(WorkerId id) { return *boxes_[id.value - 1]; }
  double draw() { return std::uniform_real_distribution<double>()(random_); }

  void run() {
    while (!stop_) {
      bool busy = false;
      for (const auto& box : boxes_) {
        for (const StageMailbox::Outgoing& out : box->flush(now_)) {
          busy = true;
          look_at(out);
          post(out);
        }
      }
      while (!under_way_.empty() && under_way_.begin()->first <= now_) {
        busy = true;
        deliver(under_way_.extract(under_way_.begin()).mapped());
      }
      now_ = now_ + (busy ? std::chrono::microseconds(100) : std::chrono::milliseconds(25));
      if (!busy) std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  }

  // No more on the way than the link has buffers for.
  void look_at(const StageMailbox::Outgoing& out) {
    const auto* data = std::get_if<StageData>(&out.message.body);
    if (data == nullptr) return;
    EXPECT_LT(data->sequence, taken_[key(out.to, out.message.header, data->pass, data->kind)] + kLinkBuffers);
  }
  void post(const StageMailbox::Outgoing& out) {
    if (draw() < faults_.loss) {
      ++lost_;
      return;
    }
    const int copies = draw() < faults_.duplicate ? 2 : 1;
    for (int i = 0; i < copies; ++i) {
      const auto delay = Duration(static_cast<int64_t>(draw() * static_cast<double>(faults_.longest_delay.count())));
      under_way_.emplace(now_ + delay, out);
    }
  }
  void deliver(const StageMailbox::Outgoing& out) {
    if (const auto* taken = std::get_if<StageTaken>(&out.message.body)) {
      uint64_t& most = taken_[key(out.message.header.sender, out.message.header, taken->pass, taken->kind)];
      most = std::max(most, taken->taken);
    }
    box_of(out.to).deliver(out.message, out.bulk, now_);
  }

  // Of the messages of one kind in one pass to one receiver.
  using Key = std::tuple<WorkerId, PassStamp, int>;
  static Key key(WorkerId receiver, const Header& header, uint32_t pass, int kind) {
    return {receiver, {header.generation, header.step, pass}, kind};
  }

  ChannelFaults faults_;
  SystemClock clock_;
  std::vector<std::unique_ptr<StageMailbox>> boxes_;
  std::atomic<bool> stop_{false};
  std::atomic<uint64_t> lost_{0};
  // Of the thread.
  std::mt19937_64 random_;
  Time now_;
  std::multimap<Time, StageMailbox::Outgoing> under_way_;
  std::map<Key, uint64_t> taken_;  // as the senders have heard
  std::thread thread_;
};

}  // namespace strand
