#include "ops/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/simd_info_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "ops/cpu/simd_info.h"
#include "shared/base/check.h"

HWY_BEFORE_NAMESPACE();
namespace strand::cpu::HWY_NAMESPACE {

const char* name_of_this_target() {
  return hwy::TargetName(HWY_TARGET);
}

}  // namespace strand::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace strand {
namespace cpu {

HWY_EXPORT(name_of_this_target);

const char* chosen_target() {
  return HWY_DYNAMIC_DISPATCH(name_of_this_target)();
}

}  // namespace cpu

std::vector<std::string> simd_targets() {
  std::vector<std::string> names;
  for (const auto target : hwy::SupportedAndGeneratedTargets()) names.push_back(hwy::TargetName(target));
  return names;
}

std::string simd_target() {
  return cpu::chosen_target();
}

void use_simd_target_for_test(const std::string& name) {
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().DeInit();
  if (name.empty()) return;
  for (const auto target : hwy::SupportedAndGeneratedTargets()) {
    if (name == hwy::TargetName(target)) {
      hwy::SetSupportedTargetsForTest(target);
      hwy::GetChosenTarget().DeInit();
      return;
    }
  }
  STRAND_CHECK(false, "instruction set ", name, " is not here");
}

}  // namespace strand
#endif
