#include "dataserver/tokenizer/utf8.h"

#include <cstdint>

namespace strand {
namespace {

uint8_t byte_at(std::string_view text, size_t at) {
  return static_cast<uint8_t>(text[at]);
}

bool continues(std::string_view text, size_t at) {
  return at < text.size() && (byte_at(text, at) & 0xc0) == 0x80;
}

uint32_t code_point(std::string_view text, size_t at) {
  const size_t bytes = character_bytes(text, at);
  uint32_t code = byte_at(text, at);
  if (bytes > 1) code &= 0x7fu >> bytes;
  for (size_t i = 1; i < bytes; ++i) code = code << 6 | (byte_at(text, at + i) & 0x3f);
  return code;
}

}  // namespace

size_t character_bytes(std::string_view text, size_t at) {
  const uint8_t first = byte_at(text, at);
  const size_t bytes = first >= 0xf0 && first < 0xf8   ? 4
                       : first >= 0xe0 && first < 0xf0 ? 3
                       : first >= 0xc2 && first < 0xe0 ? 2
                                                       : 1;
  for (size_t i = 1; i < bytes; ++i) {
    if (!continues(text, at + i)) return 1;
  }
  return bytes;
}

bool is_white_space(std::string_view text, size_t at) {
  const uint8_t first = byte_at(text, at);
  if (first < 0x80) return first == ' ' || (first >= '\t' && first <= '\r');
  if (character_bytes(text, at) == 1) return false;
  const uint32_t code = code_point(text, at);
  return code == 0x85 || code == 0xa0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200a) || code == 0x2028 ||
         code == 0x2029 || code == 0x202f || code == 0x205f || code == 0x3000;
}

}  // namespace strand
