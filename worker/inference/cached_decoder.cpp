#include "worker/inference/cached_decoder.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "ops/core/element.h"
#include "ops/rope/rope.h"
#include "shared/base/text.h"
#include "worker/model/layers.h"

namespace strand {
namespace {

constexpr int64_t kLanes = 16;  // partial sums of a dot product, in a fixed order

float value(float x) {
  return x;
}
float value(BFloat16 x) {
  return to_float(x);
}

template <class T>
float dot(const float* a, const T* b, int64_t n) {
  float sums[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) sums[lane] += a[i + lane] * value(b[i + lane]);
  }
  for (int64_t lane = 0; i < n; ++i, ++lane) sums[lane] += a[i] * value(b[i]);
  for (int64_t half = kLanes / 2; half > 0; half /= 2) {
    for (int64_t lane = 0; lane < half; ++lane) sums[lane] += sums[lane + half];
  }
  return sums[0];
}

// out = softmax(scale q K^T - slope distance) V of one head; keys and values are `stride` elements apart.
struct HeadCache {
  const void* keys = nullptr;
  const void* values = nullptr;
  int64_t stride = 0, count = 0, size = 0;
  float scale = 0, slope = 0;
};
template <class T>
void attend_head(const HeadCache& cache, const float* q, std::vector<float>* scores, float* out) {
  const auto* keys = static_cast<const T*>(cache.keys);
  const auto* values = static_cast<const T*>(cache.values);
  scores->resize(static_cast<size_t>(cache.count));
  float top = -std::numeric_limits<float>::infinity();
  for (int64_t j = 0; j < cache.count; ++j) {
    const auto distance = static_cast<float>(cache.count - 1 - j);
    float& score = (*scores)[static_cast<size_t>(j)];
    score = cache.scale * dot(q, keys + j * cache.stride, cache.size) - cache.slope * distance;
    top = std::max(top, score);
  }
  double sum = 0;
  for (float& score : *scores) sum += (score = std::exp(score - top));
  std::fill_n(out, cache.size, 0.0f);
  for (int64_t j = 0; j < cache.count; ++j) {
    const float p = (*scores)[static_cast<size_t>(j)];
    for (int64_t c = 0; c < cache.size; ++c) out[c] += p * value(values[j * cache.stride + c]);
  }
  for (int64_t c = 0; c < cache.size; ++c) out[c] = static_cast<float>(out[c] / sum);
}

void read_row(ConstMatrix x, int64_t row, int64_t first, int64_t count, float* out) {
  for (int64_t c = 0; c < count; ++c) out[c] = static_cast<float>(element(x, row, first + c));
}
void write_row(const float* from, int64_t count, Matrix x, int64_t row, int64_t first) {
  for (int64_t c = 0; c < count; ++c) set_element(x, row, first + c, static_cast<double>(from[c]));
}

void copy_rows(ConstMatrix from, Matrix to) {
  STRAND_CHECK(from.dtype == to.dtype && from.rows == to.rows && from.cols == to.cols);
  const auto bytes = static_cast<size_t>(from.cols) * dtype_size(from.dtype);
  for (int64_t r = 0; r < from.rows; ++r) std::memcpy(to.row_range(r, 1).data, from.row_range(r, 1).data, bytes);
}

}  // namespace

Status CachedDecoder::supports(const TransformerConfig& config) {
  if (!config.causal) {
    return bad_input(
        "the model is bidirectional: it fills in masked tokens and does not continue a text; expected a "
        "causal model (model.causal = true)");
  }
  if (config.token_dropout) {
    return bad_input("the model scales its embeddings by the whole row (model.token_dropout): a row cannot grow");
  }
  return {};
}

uint64_t CachedDecoder::cache_bytes(const TransformerConfig& config, DType dtype, int64_t capacity) {
  return static_cast<uint64_t>(2 * config.layers * kSlots * capacity * config.hidden) * dtype_size(dtype);
}

CachedDecoder::CachedDecoder(ModelRunner& runner, int64_t capacity)
    : runner_(runner),
      capacity_(capacity),
      pass_(runner.config(), runner.layout(), runner.dtype(), kSlots, 1),
      lengths_(kSlots, 0),
      active_(kSlots, false),
      ids_(kSlots, 0),
      positions_(kSlots, 0),
      row_lengths_(kSlots, 1) {
  const TransformerConfig& config = runner.config();
  STRAND_CHECK(supports(config).ok() && capacity > 0);
  for (int64_t l = 0; l < config.layers; ++l) {
    keys_.emplace_back(runner.dtype(), kSlots * capacity, config.hidden);
    values_.emplace_back(runner.dtype(), kSlots * capacity, config.hidden);
  }
  if (config.positions != PositionKind::kRope) return;
  for (int64_t i = 0; i < config.head_size() / 2; ++i) {
    frequencies_.push_back(rope_frequency(config.rope_theta, i, config.head_size()));
  }
  cosines_.resize(kSlots * frequencies_.size());
  sines_.resize(kSlots * frequencies_.size());
}

Matrix CachedDecoder::slot_rows(const std::vector<Buffer>& cache, int64_t layer, int64_t slot, int64_t first,
                                int64_t count) const {
  return cache[static_cast<size_t>(layer)].view().row_range(slot * capacity_ + first, count);
}

std::span<const float> CachedDecoder::begin(int64_t slot, std::span<const int32_t> ids) {
  const auto length = static_cast<int64_t>(ids.size());
  STRAND_CHECK(length > 0 && length <= capacity_, "tokens ", length, " capacity ", capacity_);
  const int64_t segment = unit_shape(runner_.config(), length).segment, d = runner_.config().hidden;
  std::vector<int32_t> padded(ids.begin(), ids.end());
  padded.resize(static_cast<size_t>(segment), 0);
  const auto real = static_cast<int32_t>(length);
  const int64_t row_number = 0;
  const MicroBatch batch{.rows = 1,
                         .segment = segment,
                         .ids = padded.data(),
                         .targets = nullptr,
                         .row_numbers = &row_number,
                         .lengths = &real};
  ForwardPass pass(runner_.config(), runner_.layout(), runner_.dtype(), 1, segment);
  const ConstMatrix hidden =
      pass.forward(runner_.context(), runner_.weights(), batch, ForwardPass::kFinal,
                   [&](int64_t layer, const BlockActivations& saved) {
                     if (!runner_.config().attention) return;
                     const Matrix qkv = saved.qkv.view(length);
                     copy_rows(qkv.columns(d, d), slot_rows(keys_, layer, slot, 0, length));
                     copy_rows(qkv.columns(2 * d, d), slot_rows(values_, layer, slot, 0, length));
                   });
  lengths_[static_cast<size_t>(slot)] = length;
  const Matrix logits = runner_.logits(hidden.row_range(length - 1, 1));
  return {logits.f32(), static_cast<size_t>(logits.cols)};
}

ConstMatrix CachedDecoder::step(std::span<const int32_t> ids) {
  STRAND_CHECK(static_cast<int64_t>(ids.size()) == kSlots);
  for (size_t slot = 0; slot < ids.size(); ++slot) {
    active_[slot] = ids[slot] != kNone && lengths_[slot] > 0 && lengths_[slot] < capacity_;
    ids_[slot] = active_[slot] ? ids[slot] : 0;
    positions_[slot] = active_[slot] ? static_cast<int32_t>(lengths_[slot]) : 0;
  }
  find_angles();
  const std::vector<int64_t> row_numbers(kSlots, 0);
  const MicroBatch batch{.rows = kSlots,
                         .segment = 1,
                         .ids = ids_.data(),
                         .targets = nullptr,
                         .row_numbers = row_numbers.data(),
                         .lengths = row_lengths_.data(),
                         .first_positions = positions_.data()};
  const ConstMatrix hidden = pass_.forward(runner_.context(), runner_.weights(), batch, ForwardPass::kFinal, nullptr,
                                           [this](const BlockContext& block, ConstMatrix input, Matrix branch,
                                                  BlockActivations& saved) { attend(block, input, branch, saved); });
  for (size_t slot = 0; slot < ids.size(); ++slot) lengths_[slot] += active_[slot] ? 1 : 0;
  return runner_.logits(hidden);
}

// Sine and cosine of every slot's position (ops/rope has the formula).
void CachedDecoder::find_angles() {
  const size_t half = frequencies_.size();
  for (size_t slot = 0; slot < positions_.size(); ++slot) {
    for (size_t i = 0; i < half; ++i) {
      const auto angle = static_cast<double>(static_cast<float>(positions_[slot]) * frequencies_[i]);
      cosines_[slot * half + i] = static_cast<float>(std::cos(angle));
      sines_[slot * half + i] = static_cast<float>(std::sin(angle));
    }
  }
}

// Rotates queries and keys of [kSlots, 3d].
void CachedDecoder::rotate(const TransformerConfig& config, Matrix qkv) const {
  const int64_t half = config.head_size() / 2;
  std::vector<float> x(static_cast<size_t>(2 * half));
  for (int64_t slot = 0; slot < kSlots; ++slot) {
    for (int64_t first = 0; first < 2 * config.hidden; first += 2 * half) {
      read_row(qkv, slot, first, 2 * half, x.data());
      for (int64_t i = 0; i < half; ++i) {
        const float c = cosines_[static_cast<size_t>(slot * half + i)],
                    s = sines_[static_cast<size_t>(slot * half + i)];
        float &a = x[static_cast<size_t>(i)], &b = x[static_cast<size_t>(i + half)];
        const float rotated = a * c - b * s;
        b = b * c + a * s;
        a = rotated;
      }
      write_row(x.data(), 2 * half, qkv, slot, first);
    }
  }
}

void CachedDecoder::attend(const BlockContext& block, ConstMatrix input, Matrix branch, BlockActivations& saved) {
  const TransformerConfig& config = block.config;
  const int64_t d = config.hidden, size = config.head_size();
  const Matrix qkv = saved.qkv.view(kSlots), attended = saved.attended.view(kSlots);
  linear_forward(block.ops, block.weights, block.slots.qkv, input, qkv);
  if (config.positions == PositionKind::kRope) rotate(config, qkv);
  for (int64_t slot = 0; slot < kSlots; ++slot) {
    if (!active_[static_cast<size_t>(slot)]) continue;
    const int64_t at = positions_[static_cast<size_t>(slot)];
    copy_rows(qkv.columns(d, d).row_range(slot, 1), slot_rows(keys_, block.layer, slot, at, 1));
    copy_rows(qkv.columns(2 * d, d).row_range(slot, 1), slot_rows(values_, block.layer, slot, at, 1));
  }
  block.ops.pool->run(kSlots * config.heads, [&](int64_t task, int) {
    const int64_t slot = task / config.heads, head = task % config.heads;
    std::vector<float> q(static_cast<size_t>(size)), out(static_cast<size_t>(size), 0.0f), scores;
    if (active_[static_cast<size_t>(slot)]) {
      const int64_t count = positions_[static_cast<size_t>(slot)] + 1;
      const HeadCache cache{.keys = slot_rows(keys_, block.layer, slot, 0, count).columns(head * size, size).data,
                            .values = slot_rows(values_, block.layer, slot, 0, count).columns(head * size, size).data,
                            .stride = d,
                            .count = count,
                            .size = size,
                            .scale = 1.0f / std::sqrt(static_cast<float>(size)),
                            .slope = block.alibi_slopes == nullptr ? 0 : block.alibi_slopes[head]};
      read_row(qkv, slot, head * size, size, q.data());
      if (qkv.dtype == DType::kF32) {
        attend_head<float>(cache, q.data(), &scores, out.data());
      } else {
        attend_head<BFloat16>(cache, q.data(), &scores, out.data());
      }
    }
    write_row(out.data(), size, attended, slot, head * size);
  });
  linear_forward(block.ops, block.weights, block.slots.out, attended, branch);
}

}  // namespace strand
