#include "ops/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/activation/activation_cpu.cpp"
#include <hwy/foreach_target.h>

#include "ops/activation/activation_backends.h"
#include "ops/cpu/chunks.h"
#include "ops/cpu/gelu-inl.h"
#include "ops/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace strand::cpu::HWY_NAMESPACE {

// 0.5 (1 + tanh(u)) = sigmoid(2u), u = sqrt(2 / pi) (x + 0.044715 x^3). Beyond |x| = 20 it is 0 or 1 to the last bit.
struct GeluTanh {
  static constexpr float kTwoRoot = 1.59576912160573f;  // 2 sqrt(2 / pi)
  static constexpr float kCubic = 0.044715f;
  static HWY_INLINE VF clamp(VF x) { return hn::Min(hn::Max(x, set(-20.0f)), set(20.0f)); }
  static HWY_INLINE VF gate(VF x) {
    const VF inner = hn::MulAdd(hn::Mul(x, x), set(kCubic), set(1.0f));
    return sigmoid(hn::Mul(hn::Mul(x, set(kTwoRoot)), inner));
  }
  static HWY_INLINE VF value(VF x) { return hn::Mul(x, gate(clamp(x))); }
  static HWY_INLINE VF derivative(VF x) {
    const VF c = clamp(x);
    const VF s = gate(c);
    const VF slope = hn::Mul(set(kTwoRoot), hn::MulAdd(hn::Mul(c, c), set(3 * kCubic), set(1.0f)));
    return hn::MulAdd(hn::Mul(hn::Mul(x, s), hn::Sub(set(1.0f), s)), slope, s);
  }
};

struct Relu {
  // NaN stays NaN, so that a broken run is seen.
  static HWY_INLINE VF value(VF x) { return hn::IfThenElse(hn::Lt(x, zero()), zero(), x); }
  static HWY_INLINE VF derivative(VF x) { return hn::IfThenElseZero(hn::Gt(x, zero()), set(1.0f)); }
};

// NaN stays NaN. The derivative 1 - tanh^2 is taken as 4 e / (1 + e)^2, e = exp(-2 |x|), which keeps its digits where
// the tanh is near 1.
struct Tanh {
  static HWY_INLINE VF value(VF x) { return hn::IfThenElse(hn::IsNaN(x), x, hn::Tanh(Floats(), x)); }
  static HWY_INLINE VF derivative(VF x) {
    const VF e = hn::Exp(Floats(), hn::Mul(hn::Abs(x), set(-2.0f)));
    const VF sum = hn::Add(set(1.0f), e);
    const VF slope = hn::Div(hn::Mul(set(4.0f), e), hn::Mul(sum, sum));
    return hn::IfThenElse(hn::IsNaN(x), x, slope);
  }
};

template <class F, class T>
void forward_row(const T* x, int64_t n, T* y) {
  for (int64_t i = 0; i < n; i += lanes()) store(F::value(load(x + i, n - i)), y + i, n - i);
}

template <class F, class T>
void backward_row(const T* x, const T* d_y, int64_t n, T* d_x) {
  for (int64_t i = 0; i < n; i += lanes()) {
    const int64_t left = n - i;
    store(hn::Mul(F::derivative(load(x + i, left)), load(d_y + i, left)), d_x + i, left);
  }
}

template <class F>
void forward_rows(ConstMatrix x, Matrix y) {
  for (int64_t r = 0; r < x.rows; ++r) {
    if (x.dtype == DType::kF32) {
      forward_row<F>(x.f32() + r * x.stride, x.cols, y.f32() + r * y.stride);
    } else {
      forward_row<F>(x.bf16() + r * x.stride, x.cols, y.bf16() + r * y.stride);
    }
  }
}

template <class F>
void backward_rows(ConstMatrix x, ConstMatrix d_y, Matrix d_x) {
  for (int64_t r = 0; r < x.rows; ++r) {
    if (x.dtype == DType::kF32) {
      backward_row<F>(x.f32() + r * x.stride, d_y.f32() + r * d_y.stride, x.cols, d_x.f32() + r * d_x.stride);
    } else {
      backward_row<F>(x.bf16() + r * x.stride, d_y.bf16() + r * d_y.stride, x.cols, d_x.bf16() + r * d_x.stride);
    }
  }
}

void activation_rows(Activation f, ConstMatrix x, Matrix y) {
  switch (f) {
    case Activation::kGelu: return forward_rows<Gelu>(x, y);
    case Activation::kGeluTanh: return forward_rows<GeluTanh>(x, y);
    case Activation::kRelu: return forward_rows<Relu>(x, y);
    case Activation::kTanh: return forward_rows<Tanh>(x, y);
  }
}

void activation_backward_rows(Activation f, ConstMatrix x, ConstMatrix d_y, Matrix d_x) {
  switch (f) {
    case Activation::kGelu: return backward_rows<Gelu>(x, d_y, d_x);
    case Activation::kGeluTanh: return backward_rows<GeluTanh>(x, d_y, d_x);
    case Activation::kRelu: return backward_rows<Relu>(x, d_y, d_x);
    case Activation::kTanh: return backward_rows<Tanh>(x, d_y, d_x);
  }
}

}  // namespace strand::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace strand::cpu {

HWY_EXPORT(activation_rows);
HWY_EXPORT(activation_backward_rows);

void activation_forward(const OpContext& context, Activation f, ConstMatrix x, Matrix y) {
  for_chunks(context, x.rows, rows_per_task(x.cols), [&](int64_t first, int64_t count, int64_t) {
    HWY_DYNAMIC_DISPATCH(activation_rows)(f, x.row_range(first, count), y.row_range(first, count));
  });
}

void activation_backward(const OpContext& context, Activation f, ConstMatrix x, ConstMatrix d_y, Matrix d_x) {
  for_chunks(context, x.rows, rows_per_task(x.cols), [&](int64_t first, int64_t count, int64_t) {
    HWY_DYNAMIC_DISPATCH(activation_backward_rows)
    (f, x.row_range(first, count), d_y.row_range(first, count), d_x.row_range(first, count));
  });
}

}  // namespace strand::cpu
#endif
