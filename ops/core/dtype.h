// Element types of tensors.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

namespace strand {

enum class DType : uint8_t { kF32 = 0, kBF16 = 1 };

inline size_t dtype_size(DType dtype) {
  return dtype == DType::kF32 ? 4 : 2;
}
inline const char* dtype_name(DType dtype) {
  return dtype == DType::kF32 ? "fp32" : "bf16";
}

// The upper half of a float's bits. Conversion from float rounds to nearest, ties to even; NaN stays NaN (quiet).
struct BFloat16 {
  uint16_t bits = 0;
};

inline float to_float(BFloat16 x) {
  return std::bit_cast<float>(static_cast<uint32_t>(x.bits) << 16);
}
inline BFloat16 to_bf16(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return {static_cast<uint16_t>((bits >> 16) | 0x40u)};
  return {static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16)};
}

}  // namespace strand
