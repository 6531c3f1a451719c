#include <cmath>
#include <vector>

#include "ops/core/element.h"
#include "ops/rms_norm/rms_norm_backends.h"

namespace strand::reference {

void rms_norm_forward(const OpContext&, ConstMatrix x, const float* weight, float eps, Matrix y, float* rstd) {
  for (int64_t r = 0; r < x.rows; ++r) {
    double squares = 0;
    for (int64_t c = 0; c < x.cols; ++c) squares += element(x, r, c) * element(x, r, c);
    const double scale = 1 / std::sqrt(squares / static_cast<double>(x.cols) + eps);
    for (int64_t c = 0; c < x.cols; ++c) {
      set_element(y, r, c, element(x, r, c) * scale * (weight != nullptr ? weight[c] : 1.0));
    }
    rstd[r] = static_cast<float>(scale);
  }
}

void rms_norm_backward(const OpContext&, ConstMatrix d_y, ConstMatrix x, const float* weight, const float* rstd,
                       Matrix d_x, float* d_weight) {
  const int64_t d = x.cols;
  std::vector<double> weight_sum(static_cast<size_t>(d));
  for (int64_t r = 0; r < x.rows; ++r) {
    const double scale = rstd[r];
    const auto weighted = [&](int64_t c) { return element(d_y, r, c) * (weight != nullptr ? weight[c] : 1.0); };
    double mean_gx = 0;
    for (int64_t c = 0; c < d; ++c) {
      const double normal = element(x, r, c) * scale;
      mean_gx += weighted(c) * normal / static_cast<double>(d);
      weight_sum[static_cast<size_t>(c)] += element(d_y, r, c) * normal;
    }
    for (int64_t c = 0; c < d; ++c) {
      const double gradient = scale * (weighted(c) - element(x, r, c) * scale * mean_gx);
      set_element(d_x, r, c, element(d_x, r, c) + gradient);
    }
  }
  for (int64_t c = 0; c < d; ++c) {
    if (d_weight != nullptr) d_weight[c] = static_cast<float>(d_weight[c] + weight_sum[static_cast<size_t>(c)]);
  }
}

}  // namespace strand::reference
