// Writes .2bit files for tests, by the format's description.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "dataserver/formats/two_bit.h"

namespace strand::testing {

using Records = std::vector<std::pair<std::string, std::string>>;

class TextSource final : public ByteSource {
 public:
  explicit TextSource(std::string_view bytes) : bytes_(bytes) {}
  uint64_t size() const override { return bytes_.size(); }
  Status read(uint64_t at, size_t count, char* out) const override {
    if (at > bytes_.size() || count > bytes_.size() - at) return internal_error("a read outside the file");
    std::memcpy(out, bytes_.data() + at, count);
    return {};
  }

 private:
  std::string_view bytes_;
};

inline std::string number_bytes(uint64_t value, int bytes, bool big_endian) {
  std::string text;
  for (int i = 0; i < bytes; ++i) {
    text += static_cast<char>(value >> (8 * (big_endian ? bytes - 1 - i : i)));
  }
  return text;
}

// The count, the beginnings and the lengths of the runs of letters that are `in`.
template <class In>
std::string two_bit_blocks(const std::string& letters, bool big_endian, In in) {
  std::string begins, lengths;
  uint64_t count = 0;
  for (size_t at = 0; at < letters.size();) {
    size_t end = at;
    while (end < letters.size() && in(letters[end])) ++end;
    if (end > at) {
      ++count;
      begins += number_bytes(at, 4, big_endian);
      lengths += number_bytes(end - at, 4, big_endian);
    }
    at = end + (end == at);
  }
  return number_bytes(count, 4, big_endian) + begins + lengths;
}

// Letters A C G T N in either case.
inline std::string two_bit(const Records& records, int version, bool big_endian) {
  const int offset_bytes = version == 0 ? 4 : 8;
  size_t at = 16;
  for (const auto& [name, letters] : records) at += 1 + name.size() + static_cast<size_t>(offset_bytes);
  std::string file = number_bytes(0x1a412743, 4, big_endian) +
                     number_bytes(static_cast<uint64_t>(version), 4, big_endian) +
                     number_bytes(records.size(), 4, big_endian) + number_bytes(0, 4, big_endian);
  std::string bodies;
  for (const auto& [name, letters] : records) {
    file += static_cast<char>(name.size());
    file += name + number_bytes(at + bodies.size(), offset_bytes, big_endian);
    bodies += number_bytes(letters.size(), 4, big_endian);
    bodies += two_bit_blocks(letters, big_endian, [](char c) { return c == 'N' || c == 'n'; });
    bodies += two_bit_blocks(letters, big_endian, [](char c) { return c >= 'a'; });
    bodies += number_bytes(0, 4, big_endian);
    const std::string order = "TCAG";
    for (size_t i = 0; i < letters.size(); i += 4) {
      unsigned byte = 0;
      for (size_t k = 0; k < 4; ++k) {
        const size_t code = i + k < letters.size() ? order.find(static_cast<char>(letters[i + k] & ~32)) : 0;
        byte = 4 * byte + static_cast<unsigned>(code == std::string::npos ? 0 : code);
      }
      bodies += static_cast<char>(byte);
    }
  }
  return file + bodies;
}

}  // namespace strand::testing
