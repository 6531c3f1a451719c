#include <cmath>
#include <limits>
#include <vector>

#include "ops/attention/attention_backends.h"
#include "ops/core/element.h"

namespace strand::reference {
namespace {

double dot(ConstMatrix a, int64_t row_a, ConstMatrix b, int64_t row_b, int64_t first, int64_t count) {
  double sum = 0;
  for (int64_t c = first; c < first + count; ++c) sum += element(a, row_a, c) * element(b, row_b, c);
  return sum;
}

// Of query and key in the batch row whose rows start at `base`, for the head whose columns start at `first`.
double score(const AttentionShape& shape, ConstMatrix q, ConstMatrix k, int64_t base, int64_t first, int64_t query,
             int64_t key) {
  const double product = shape.scale * dot(q, base + query, k, base + key, first, shape.head_size);
  if (shape.slopes == nullptr) return product;
  return product -
         static_cast<double>(shape.slopes[first / shape.head_size]) * std::abs(static_cast<double>(query - key));
}

void add_scaled(double factor, ConstMatrix from, int64_t row, int64_t first, int64_t count, double* into) {
  for (int64_t c = 0; c < count; ++c) into[c] += factor * element(from, row, first + c);
}

void store(const double* from, int64_t count, Matrix into, int64_t row, int64_t first) {
  for (int64_t c = 0; c < count; ++c) set_element(into, row, first + c, from[c]);
}

// Query `query` of the head whose columns start at `first` in the batch row whose rows start at `base`.
void forward_query(const AttentionForwardArgs& args, int64_t base, int64_t first, int64_t query, int64_t keys,
                   float* lse) {
  const int64_t d = args.shape.head_size;
  std::vector<double> out(static_cast<size_t>(d), 0.0);
  std::vector<double> p(static_cast<size_t>(keys));
  double top = -std::numeric_limits<double>::infinity();
  for (int64_t j = 0; j < keys; ++j) {
    p[j] = score(args.shape, args.q, args.k, base, first, query, j);
    top = std::max(top, p[j]);
  }
  double sum = 0;
  for (double& x : p) sum += (x = std::exp(x - top));
  for (int64_t j = 0; j < keys; ++j) add_scaled(p[j] / sum, args.v, base + j, first, d, out.data());
  store(out.data(), d, args.out, base + query, first);
  *lse = keys == 0 ? -std::numeric_limits<float>::infinity() : static_cast<float>(top + std::log(sum));
}

}  // namespace

void attention_forward(const OpContext&, const AttentionForwardArgs& args) {
  const AttentionShape& s = args.shape;
  for (int64_t b = 0; b < s.batch; ++b) {
    for (int64_t h = 0; h < s.heads; ++h) {
      for (int64_t i = 0; i < s.sequence; ++i) {
        forward_query(args, b * s.sequence, h * s.head_size, i, visible_keys(s, b, i),
                      args.lse + (b * s.heads + h) * s.sequence + i);
      }
    }
  }
}

namespace {

struct HeadGradients {
  std::vector<double> d_q, d_k, d_v;  // [sequence, head_size]
};

// The softmax is computed again from the scores, in double; args.lse and args.out are not needed.
void backward_query(const AttentionBackwardArgs& args, int64_t base, int64_t first, int64_t query, int64_t keys,
                    HeadGradients& gradients) {
  const int64_t d = args.shape.head_size;
  std::vector<double> p(static_cast<size_t>(keys));
  std::vector<double> d_p(static_cast<size_t>(keys));
  double top = -std::numeric_limits<double>::infinity();
  for (int64_t j = 0; j < keys; ++j) {
    p[j] = score(args.shape, args.q, args.k, base, first, query, j);
    d_p[j] = dot(args.d_out, base + query, args.v, base + j, first, d);
    top = std::max(top, p[j]);
  }
  double sum = 0;
  for (double& x : p) sum += (x = std::exp(x - top));
  double mean = 0;
  for (int64_t j = 0; j < keys; ++j) mean += (p[j] /= sum) * d_p[j];
  for (int64_t j = 0; j < keys; ++j) {
    const double d_score = args.shape.scale * p[j] * (d_p[j] - mean);
    add_scaled(d_score, args.k, base + j, first, d, gradients.d_q.data() + query * d);
    add_scaled(d_score, args.q, base + query, first, d, gradients.d_k.data() + j * d);
    add_scaled(p[j], args.d_out, base + query, first, d, gradients.d_v.data() + j * d);
  }
}

}  // namespace

void attention_backward(const OpContext&, const AttentionBackwardArgs& args) {
  const AttentionShape& s = args.shape;
  const int64_t d = s.head_size;
  for (int64_t b = 0; b < s.batch; ++b) {
    for (int64_t h = 0; h < s.heads; ++h) {
      const int64_t base = b * s.sequence;
      const std::vector<double> zero(static_cast<size_t>(s.sequence * d), 0.0);
      HeadGradients gradients{zero, zero, zero};
      for (int64_t i = 0; i < s.sequence; ++i) {
        backward_query(args, base, h * d, i, visible_keys(s, b, i), gradients);
      }
      for (int64_t i = 0; i < s.sequence; ++i) {
        store(gradients.d_q.data() + i * d, d, args.d_q, base + i, h * d);
        store(gradients.d_k.data() + i * d, d, args.d_k, base + i, h * d);
        store(gradients.d_v.data() + i * d, d, args.d_v, base + i, h * d);
      }
    }
  }
}

}  // namespace strand::reference
