#include "worker/member/range_gate.h"

#include "shared/base/check.h"

namespace strand {

void RangeGate::open(uint32_t range, Step version) {
  versions_[range].store(version, std::memory_order_release);
  const std::lock_guard lock(mutex_);
  if (awaited_ != nullptr && open_at(*awaited_, awaited_version_)) changed_.notify_all();
}

void RangeGate::wake() {
  {
    const std::lock_guard lock(mutex_);
    ++woken_;
  }
  changed_.notify_all();
}

bool RangeGate::open_at(const std::vector<uint32_t>& ranges, Step version) const {
  for (const uint32_t range : ranges) {
    const Step here = versions_[range].load(std::memory_order_acquire);
    STRAND_CHECK(here <= version, "range ", range, " is at version ", here, ", and version ", version,
                 " is still to be read");
    if (here < version) return false;
  }
  return true;
}

bool RangeGate::wait(const std::vector<uint32_t>& ranges, Step version, Duration wait) {
  if (open_at(ranges, version)) return true;
  std::unique_lock lock(mutex_);
  const uint64_t woken = woken_;
  bool open = false;
  awaited_ = &ranges;
  awaited_version_ = version;
  changed_.wait_for(lock, wait, [&] { return (open = open_at(ranges, version)) || woken_ != woken; });
  awaited_ = nullptr;
  return open;
}

}  // namespace strand
