#include "worker/params/gradient_sum.h"

#include <algorithm>
#include <vector>

#include "ops/cast/cast.h"
#include "ops/reduce/reduce.h"

namespace strand {

constexpr int64_t kElementsAtOnce = int64_t{1} << 18;  // what stays in a core's cache

void add_gradients(const OpContext& context, const float* from, int64_t n, float* into, GradientDtype dtype) {
  if (dtype == GradientDtype::kFp32) return add(context, from, n, into);
  const auto most = static_cast<size_t>(std::min(n, kElementsAtOnce));
  std::vector<BFloat16> rounded(most);
  std::vector<float> operand(most);
  for (int64_t first = 0; first < n; first += kElementsAtOnce) {
    const int64_t count = std::min(kElementsAtOnce, n - first);
    cast(context, into + first, count, rounded.data());
    cast(context, rounded.data(), count, into + first);
    cast(context, from + first, count, rounded.data());
    cast(context, rounded.data(), count, operand.data());
    add(context, operand.data(), count, into + first);
  }
}

}  // namespace strand
