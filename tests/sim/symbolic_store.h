// Ranges as symbols, compared with the serial run at every change.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "shared/base/text.h"
#include "tests/sim/serial_run.h"
#include "worker/params/range_store.h"

namespace strand::sim {

struct Symbol final : RangeBulk {
  explicit Symbol(uint64_t v) : value(v) {}
  uint64_t value;
};
inline BulkRef bulk_of(uint64_t value) {
  return std::make_shared<Symbol>(value);
}
inline uint64_t value_of(const BulkRef& bulk) {
  return static_cast<const Symbol&>(*bulk).value;
}

class SymbolicStore final : public RangeStore {
 public:
  SymbolicStore(SerialRun* serial, std::function<void(const std::string&)> violation)
      : serial_(serial), violation_(std::move(violation)) {}

  BulkRef add(uint32_t, BulkRef left, BulkRef right) override {
    return bulk_of(SerialRun::add(value_of(left), value_of(right)));
  }
  BulkRef add_uses(uint32_t, BulkRef input, BulkRef output) override {
    return bulk_of(SerialRun::add_uses(value_of(input), value_of(output)));
  }
  std::vector<double> squares(uint32_t range, const BulkRef& sum) override {
    return serial_->squares(range, value_of(sum));
  }
  void apply(uint32_t range, const BulkRef& sum, const StepRecord& record) override {
    Held& held = held_.at(range);
    if (held.version != record.step - 1) {
      violation_(concat("range ", range, ": step ", record.step, " applied to version ", held.version));
    }
    hold(range, record.step, SerialRun::applied(held.state, value_of(sum), record));
  }
  BulkRef weights(uint32_t range) override { return bulk_of(SerialRun::weights(held_.at(range).state)); }
  BulkRef state(uint32_t range) override { return bulk_of(held_.at(range).state); }
  void take_state(uint32_t range, Step version, const BulkRef& state) override {
    hold(range, version, value_of(state));
  }
  void take_weights(uint32_t range, Step, const BulkRef& weights) override { copies_[range] = value_of(weights); }
  void drop(uint32_t range) override {
    const auto held = held_.find(range);
    if (held == held_.end()) return;
    copies_[range] = SerialRun::weights(held->second.state);
    held_.erase(held);
  }

  // Of a checkpoint.
  void load(uint32_t range, Step version) { held_[range] = {version, serial_->state(range, version)}; }
  uint64_t read(uint32_t range) const {
    const auto held = held_.find(range);
    return held == held_.end() ? copies_.at(range) : SerialRun::weights(held->second.state);
  }
  size_t ranges_held() const { return held_.size(); }

 private:
  struct Held {
    Step version = 0;
    uint64_t state = 0;
  };
  void hold(uint32_t range, Step version, uint64_t state) {
    if (state != serial_->state(range, version)) {
      violation_(concat("range ", range, " at version ", version, " is not what one process computes"));
    }
    held_[range] = {version, state};
  }

  SerialRun* serial_;
  std::function<void(const std::string&)> violation_;
  std::map<uint32_t, Held> held_;
  std::map<uint32_t, uint64_t> copies_;
};

}  // namespace strand::sim
