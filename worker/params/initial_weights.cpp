#include "worker/params/initial_weights.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "ops/reduce/reduce.h"
#include "shared/base/hash.h"
#include "shared/base/rng.h"

namespace strand {
namespace {

constexpr double kCutoff = 3;  // standard deviations

// Elements 4q to 4q + 3 come from the four words of block q, layer 0. One beyond the cut-off takes the first deviate
// within it of blocks (element, layer 1, 2, ...).
class TruncatedNormal {
 public:
  TruncatedNormal(uint64_t seed, uint64_t tensor) : key_(philox_key(seed, Purpose::kInit)), tensor_(tensor) {}

  std::array<double, 4> quad(int64_t q) const {
    const auto words = philox(key_, row_counter(tensor_, 0, static_cast<uint32_t>(q)));
    const auto first = normal_pair(words[0], words[1]), second = normal_pair(words[2], words[3]);
    std::array<double, 4> values = {first[0], first[1], second[0], second[1]};
    for (size_t i = 0; i < 4; ++i) {
      if (std::abs(values[i]) > kCutoff) values[i] = redraw(static_cast<uint32_t>(4 * q) + static_cast<uint32_t>(i));
    }
    return values;
  }

 private:
  double redraw(uint32_t element) const {
    for (uint32_t attempt = 1;; ++attempt) {
      const auto words = philox(key_, row_counter(tensor_, attempt, element));
      for (const double value : normal_pair(words[0], words[1])) {
        if (std::abs(value) <= kCutoff) return value;
      }
    }
  }

  PhiloxKey key_;
  uint64_t tensor_;
};

}  // namespace

void fill_initial_weights(const OpContext& context, const ParameterInfo& tensor, uint64_t seed, float* out) {
  if (tensor.init != InitRule::kTruncatedNormal) {
    std::fill_n(out, tensor.elements, tensor.init == InitRule::kOnes ? 1.0f : 0.0f);
    return;
  }
  const TruncatedNormal draw(seed, hash64(tensor.name));
  context.pool->run((tensor.elements + kBlockElements - 1) / kBlockElements, [&](int64_t block, int) {
    const int64_t end = std::min((block + 1) * kBlockElements, tensor.elements);
    for (int64_t first = block * kBlockElements; first < end; first += 4) {
      const auto values = draw.quad(first / 4);
      for (int64_t e = first; e < std::min(first + 4, end); ++e) {
        out[e] = static_cast<float>(values[static_cast<size_t>(e - first)] * tensor.init_std);
      }
    }
  });
}

}  // namespace strand
