#include <cmath>
#include <vector>

#include "ops/core/element.h"
#include "ops/layer_norm/layer_norm_backends.h"

namespace strand::reference {

void layer_norm_forward(const OpContext&, ConstMatrix x, const float* weight, const float* bias, float eps, Matrix y,
                        float* mean, float* rstd) {
  for (int64_t r = 0; r < x.rows; ++r) {
    double sum = 0;
    for (int64_t c = 0; c < x.cols; ++c) sum += element(x, r, c);
    const double m = sum / static_cast<double>(x.cols);
    double squares = 0;
    for (int64_t c = 0; c < x.cols; ++c) squares += (element(x, r, c) - m) * (element(x, r, c) - m);
    const double scale = 1 / std::sqrt(squares / static_cast<double>(x.cols) + eps);
    for (int64_t c = 0; c < x.cols; ++c) {
      const double normal = (element(x, r, c) - m) * scale;
      set_element(y, r, c, normal * (weight != nullptr ? weight[c] : 1.0) + (bias != nullptr ? bias[c] : 0.0));
    }
    mean[r] = static_cast<float>(m);
    rstd[r] = static_cast<float>(scale);
  }
}

void layer_norm_backward(const OpContext&, ConstMatrix d_y, ConstMatrix x, const float* weight, const float* mean,
                         const float* rstd, Matrix d_x, float* d_weight, float* d_bias) {
  const int64_t d = x.cols;
  std::vector<double> weight_sum(static_cast<size_t>(d)), bias_sum(static_cast<size_t>(d));
  for (int64_t r = 0; r < x.rows; ++r) {
    const auto normal = [&](int64_t c) { return (element(x, r, c) - mean[r]) * rstd[r]; };
    const auto weighted = [&](int64_t c) { return element(d_y, r, c) * (weight != nullptr ? weight[c] : 1.0); };
    double mean_g = 0, mean_gx = 0;
    for (int64_t c = 0; c < d; ++c) {
      mean_g += weighted(c) / static_cast<double>(d);
      mean_gx += weighted(c) * normal(c) / static_cast<double>(d);
      weight_sum[static_cast<size_t>(c)] += element(d_y, r, c) * normal(c);
      bias_sum[static_cast<size_t>(c)] += element(d_y, r, c);
    }
    for (int64_t c = 0; c < d; ++c) {
      const double gradient = rstd[r] * (weighted(c) - mean_g - normal(c) * mean_gx);
      set_element(d_x, r, c, element(d_x, r, c) + gradient);
    }
  }
  for (int64_t c = 0; c < d; ++c) {
    if (d_weight != nullptr) d_weight[c] = static_cast<float>(d_weight[c] + weight_sum[static_cast<size_t>(c)]);
    if (d_bias != nullptr) d_bias[c] = static_cast<float>(d_bias[c] + bias_sum[static_cast<size_t>(c)]);
  }
}

}  // namespace strand::reference
