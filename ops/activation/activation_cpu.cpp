#include "ops/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/activation/activation_cpu.cpp"
#include <hwy/foreach_target.h>

#include "ops/activation/activation_backends.h"
#include "ops/cpu/chunks.h"
#include "ops/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace strand::cpu::HWY_NAMESPACE {

// Phi(x), the normal distribution function, from density = exp(-x^2 / 2). For a = |x|, Phi(-a) = exp(-a^2 / 2) * R(a)
// (R is Mills' ratio / sqrt(2 pi)), and R(a) = t * Q(t) with t = 1 / (1 + 0.3 a). Q is our own least-squares fit of
// relative error at 60 Chebyshev nodes of t for a in [0, 14], computed with 40 digits; relative error of the
// fit 4.1e-9, so what is left is fp32 rounding, also in the left tail where 1 + erf cancels. Beyond 14 the exponential
// is 0.
HWY_INLINE VF normal_distribution(VF x, VF density) {
  const VF one = set(1.0f);
  const VF t = hn::Div(one, hn::MulAdd(hn::Abs(x), set(0.3f), one));
  VF q = set(-0.0208782613999f);
  q = hn::MulAdd(q, t, set(0.113806516124f));
  q = hn::MulAdd(q, t, set(-0.231400286179f));
  q = hn::MulAdd(q, t, set(0.19597418526f));
  q = hn::MulAdd(q, t, set(-0.082847550461f));
  q = hn::MulAdd(q, t, set(0.0979556972916f));
  q = hn::MulAdd(q, t, set(0.07778385844f));
  q = hn::MulAdd(q, t, set(0.110361190866f));
  q = hn::MulAdd(q, t, set(0.119557241345f));
  q = hn::MulAdd(q, t, set(0.119687406678f));
  const VF lower = hn::Mul(density, hn::Mul(q, t));
  return hn::IfThenElse(hn::Lt(x, zero()), lower, hn::Sub(one, lower));
}

HWY_INLINE VF bell(VF x) {
  return hn::Exp(Floats(), hn::Mul(hn::Mul(x, x), set(-0.5f)));
}

struct Gelu {
  static HWY_INLINE VF value(VF x) { return hn::Mul(x, normal_distribution(x, bell(x))); }
  static HWY_INLINE VF derivative(VF x) {
    const VF density = bell(x);
    return hn::MulAdd(hn::Mul(x, set(0.398942280401f)), density, normal_distribution(x, density));
  }
};

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
  }
}

void activation_backward_rows(Activation f, ConstMatrix x, ConstMatrix d_y, Matrix d_x) {
  switch (f) {
    case Activation::kGelu: return backward_rows<Gelu>(x, d_y, d_x);
    case Activation::kGeluTanh: return backward_rows<GeluTanh>(x, d_y, d_x);
    case Activation::kRelu: return backward_rows<Relu>(x, d_y, d_x);
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
