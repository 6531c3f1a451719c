#include "shared/formats/tensor_types.h"

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "shared/base/text.h"

namespace strand {

static_assert(std::endian::native == std::endian::little, "tensors in files are little-endian");

namespace {

struct TypeFacts {
  TensorType type;
  const char* name;
  int bits;
};
constexpr std::array<TypeFacts, 22> kTypes = {{
    {TensorType::kBool, "BOOL", 8},
    {TensorType::kF4, "F4", 4},
    {TensorType::kF6E2M3, "F6_E2M3", 6},
    {TensorType::kF6E3M2, "F6_E3M2", 6},
    {TensorType::kU8, "U8", 8},
    {TensorType::kI8, "I8", 8},
    {TensorType::kF8E5M2, "F8_E5M2", 8},
    {TensorType::kF8E4M3, "F8_E4M3", 8},
    {TensorType::kF8E8M0, "F8_E8M0", 8},
    {TensorType::kF8E5M2Fnuz, "F8_E5M2FNUZ", 8},
    {TensorType::kF8E4M3Fnuz, "F8_E4M3FNUZ", 8},
    {TensorType::kI16, "I16", 16},
    {TensorType::kU16, "U16", 16},
    {TensorType::kF16, "F16", 16},
    {TensorType::kBF16, "BF16", 16},
    {TensorType::kI32, "I32", 32},
    {TensorType::kU32, "U32", 32},
    {TensorType::kF32, "F32", 32},
    {TensorType::kC64, "C64", 64},
    {TensorType::kF64, "F64", 64},
    {TensorType::kI64, "I64", 64},
    {TensorType::kU64, "U64", 64},
}};

const TypeFacts& facts(TensorType type) {
  return kTypes[static_cast<size_t>(type)];
}

template <class T>
T load(const char* bytes, size_t index) {
  T value;
  std::memcpy(&value, bytes + index * sizeof(T), sizeof(T));
  return value;
}

Status convert_doubles(const char* bytes, std::span<float> out, const std::string& what) {
  for (size_t i = 0; i < out.size(); ++i) {
    const auto value = load<double>(bytes, i);
    out[i] = static_cast<float>(value);
    if (std::isfinite(value) && !std::isfinite(out[i])) {
      return bad_input(concat(what, ": element ", i, " is ", value, ", beyond what a 32-bit float holds"));
    }
  }
  return {};
}

}  // namespace

const char* tensor_type_name(TensorType type) {
  return facts(type).name;
}

std::optional<TensorType> find_tensor_type(std::string_view name) {
  for (const TypeFacts& type : kTypes) {
    if (name == type.name) return type.type;
  }
  return std::nullopt;
}

int tensor_type_bits(TensorType type) {
  return facts(type).bits;
}

bool is_floating(TensorType type) {
  return type == TensorType::kF16 || type == TensorType::kBF16 || type == TensorType::kF32 || type == TensorType::kF64;
}

std::string shape_text(const std::vector<int64_t>& shape) {
  std::vector<std::string> extents;
  for (const int64_t extent : shape) extents.push_back(concat(extent));
  return "[" + join(extents, ", ") + "]";
}

std::optional<int64_t> shape_elements(const std::vector<int64_t>& shape) {
  constexpr int64_t kMost = int64_t{1} << 62;
  int64_t product = 1;
  for (const int64_t extent : shape) {
    if (extent < 0) return std::nullopt;
    if (extent > 0 && product > kMost / extent) return std::nullopt;
    product *= extent;
  }
  return product;
}

float half_to_float(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
  const uint32_t exponent = (bits >> 10) & 0x1fu, fraction = bits & 0x3ffu;
  if (exponent == 0) {  // zero, or a subnormal: fraction x 2^-24
    const float magnitude = static_cast<float>(fraction) * 0x1.0p-24f;
    return std::bit_cast<float>(std::bit_cast<uint32_t>(magnitude) | sign);
  }
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000u | (fraction << 13));
  return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (fraction << 13));
}

uint16_t float_to_bf16(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  if (std::isnan(x)) return static_cast<uint16_t>((bits >> 16) | 0x40u);
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

Status convert_to_float(TensorType type, const char* bytes, std::span<float> out, const std::string& what) {
  switch (type) {
    case TensorType::kF32:
      if (!out.empty()) std::memcpy(out.data(), bytes, out.size_bytes());
      return {};
    case TensorType::kF16:
      for (size_t i = 0; i < out.size(); ++i) out[i] = half_to_float(load<uint16_t>(bytes, i));
      return {};
    case TensorType::kBF16:
      for (size_t i = 0; i < out.size(); ++i) {
        out[i] = std::bit_cast<float>(static_cast<uint32_t>(load<uint16_t>(bytes, i)) << 16);
      }
      return {};
    case TensorType::kF64: return convert_doubles(bytes, out, what);
    default:
      return bad_input(concat(what, ": is ", tensor_type_name(type),
                              ", expected F32, F16, BF16 or F64; save the weights in one of those"));
  }
}

}  // namespace strand
