// Element types of tensors in files, and what they are as floats. Names are those of safetensors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shared/base/result.h"

namespace strand {

enum class TensorType : uint8_t {
  kBool,
  kF4,
  kF6E2M3,
  kF6E3M2,
  kU8,
  kI8,
  kF8E5M2,
  kF8E4M3,
  kF8E8M0,
  kF8E5M2Fnuz,
  kF8E4M3Fnuz,
  kI16,
  kU16,
  kF16,
  kBF16,
  kI32,
  kU32,
  kF32,
  kC64,
  kF64,
  kI64,
  kU64,
};

const char* tensor_type_name(TensorType type);  // "F32", "BF16", ...
std::optional<TensorType> find_tensor_type(std::string_view name);
int tensor_type_bits(TensorType type);
// F16, BF16, F32 and F64: what convert_to_float takes.
bool is_floating(TensorType type);

// "[768, 3072]"; a scalar is "[]".
std::string shape_text(const std::vector<int64_t>& shape);
// Product of the extents (1 for a scalar); nothing when an extent is negative or the product exceeds 2^62.
std::optional<int64_t> shape_elements(const std::vector<int64_t>& shape);

// out.size() little-endian elements at `bytes` (any alignment). F16, BF16 and F32 keep their value, F64 is rounded to
// the nearest float. kBadInput for another type, and for a finite F64 beyond the floats; `what` names the tensor.
Status convert_to_float(TensorType type, const char* bytes, std::span<float> out, const std::string& what);

// The value of an IEEE half: sign, 5 bits of exponent (bias 15), 10 of fraction.
float half_to_float(uint16_t bits);
// The upper half of a float's bits, rounded to nearest, ties to even; NaN stays NaN.
uint16_t float_to_bf16(float x);

}  // namespace strand
