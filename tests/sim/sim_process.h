// A process that can be stopped and can die: what it was about to do happens when it is awake, or never.
#pragma once

#include <functional>
#include <utility>

#include "tests/sim/event_queue.h"

namespace strand::sim {

class SimProcess {
 public:
  explicit SimProcess(EventQueue* queue) : queue_(queue) {}
  virtual ~SimProcess() = default;
  SimProcess(const SimProcess&) = delete;
  SimProcess& operator=(const SimProcess&) = delete;

  bool alive() const { return alive_; }
  bool asleep() const { return queue_->now() < paused_until_; }
  // SIGSTOP, until then.
  void pause(Time until) { paused_until_ = until; }
  // Nothing reaches a dead one.
  void later(Duration wait, std::function<void()> what) {
    if (!alive_) return;
    queue_->after(wait, [this, life = life_, what = std::move(what)] { when_awake(life, what); });
  }

 protected:
  void begin_life() {
    ++life_;
    alive_ = true;
    paused_until_ = {};
  }
  void end_life() {
    ++life_;
    alive_ = false;
  }
  Time now() const { return queue_->now(); }

 private:
  void when_awake(uint64_t life, const std::function<void()>& what) {
    if (life != life_) return;
    if (!asleep()) return what();
    queue_->at(paused_until_, [this, life, what] { when_awake(life, what); });
  }

  EventQueue* queue_;
  uint64_t life_ = 0;
  bool alive_ = false;
  Time paused_until_;
};

}  // namespace strand::sim
