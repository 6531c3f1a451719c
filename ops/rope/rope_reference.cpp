#include <cmath>

#include "ops/core/element.h"
#include "ops/rope/rope_backends.h"

namespace strand::reference {

void rope(const OpContext&, Matrix x, int64_t sequence, int64_t heads, int64_t head_size, float theta, bool inverse) {
  const int64_t half = head_size / 2;
  for (int64_t t = 0; t < x.rows; ++t) {
    for (int64_t i = 0; i < half; ++i) {
      const float angle = static_cast<float>(t % sequence) * rope_frequency(theta, i, head_size);
      const double cosine = std::cos(static_cast<double>(angle));
      const double sine = (inverse ? -1 : 1) * std::sin(static_cast<double>(angle));
      for (int64_t head = 0; head < heads; ++head) {
        const int64_t c = head * head_size + i;
        const double a = element(x, t, c);
        const double b = element(x, t, c + half);
        set_element(x, t, c, a * cosine - b * sine);
        set_element(x, t, c + half, b * cosine + a * sine);
      }
    }
  }
}

}  // namespace strand::reference
