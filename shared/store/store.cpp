#include "shared/store/store.h"

#include "shared/base/check.h"

namespace strand {

std::string big_endian_key(std::string_view prefix, uint64_t number) {
  std::string key(prefix);
  for (int shift = 56; shift >= 0; shift -= 8) key.push_back(static_cast<char>(number >> shift));
  return key;
}

uint64_t parse_big_endian(std::string_view eight_bytes) {
  STRAND_CHECK(eight_bytes.size() == 8, "a number in a key has 8 bytes, not ", eight_bytes.size());
  uint64_t number = 0;
  for (const char c : eight_bytes) number = number << 8 | static_cast<unsigned char>(c);
  return number;
}

}  // namespace strand
