// The door to xxHash: XXH3-64 for checksums, XXH3-128 for digests and fingerprints. Not cryptographic.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace strand {

struct Digest128 {
  uint64_t high = 0;
  uint64_t low = 0;
  auto operator<=>(const Digest128&) const = default;
  // 32 lower-case hexadecimal digits, high half first.
  std::string hex() const;
};

uint64_t hash64(const void* data, size_t bytes);
Digest128 hash128(const void* data, size_t bytes);
inline uint64_t hash64(std::string_view text) {
  return hash64(text.data(), text.size());
}
inline Digest128 hash128(std::string_view text) {
  return hash128(text.data(), text.size());
}

// The same hash over pieces: the result does not depend on how the bytes are cut.
class Hasher128 {
 public:
  Hasher128();
  ~Hasher128();
  Hasher128(Hasher128&&) noexcept;
  Hasher128& operator=(Hasher128&&) noexcept;
  void update(const void* data, size_t bytes);
  // Length first, so that ("ab","c") and ("a","bc") differ.
  void update_text(std::string_view text);
  void update_u64(uint64_t value);  // little-endian
  Digest128 digest() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace strand
