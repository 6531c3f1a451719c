#include "dataserver/tokenizer/utf8.h"

namespace strand {
namespace {

uint32_t byte_at(std::string_view text, size_t at) {
  return static_cast<uint8_t>(text[at]);
}

// The six bits of a continuation byte, or more than 0x3f.
uint32_t continuation(std::string_view text, size_t at) {
  return at < text.size() ? byte_at(text, at) ^ 0x80 : ~0u;
}

}  // namespace

Character character_at(std::string_view text, size_t at) {
  constexpr Character kInvalid = {kReplacement, 1};
  const uint32_t first = byte_at(text, at);
  if (first < 0x80) return {first, 1};
  if (first < 0xc2 || first > 0xf4) return kInvalid;
  const uint32_t second = continuation(text, at + 1);
  if (second > 0x3f) return kInvalid;
  if (first < 0xe0) return {(first & 0x1f) << 6 | second, 2};
  const uint32_t third = continuation(text, at + 2);
  if (third > 0x3f) return kInvalid;
  if (first < 0xf0) {
    const uint32_t code = (first & 0x0f) << 12 | second << 6 | third;
    const bool surrogate = code >= 0xd800 && code <= 0xdfff;
    return code < 0x800 || surrogate ? kInvalid : Character{code, 3};
  }
  const uint32_t fourth = continuation(text, at + 3);
  if (fourth > 0x3f) return kInvalid;
  const uint32_t code = (first & 0x07) << 18 | second << 12 | third << 6 | fourth;
  return code < 0x10000 || code > 0x10ffff ? kInvalid : Character{code, 4};
}

Character character_before(std::string_view text, size_t end) {
  for (size_t bytes = 1; bytes <= 4 && bytes <= end; ++bytes) {
    if ((byte_at(text, end - bytes) & 0xc0) == 0x80) continue;
    const Character character = character_at(text.substr(0, end), end - bytes);
    if (character.bytes == bytes) return character;
    break;
  }
  return {kReplacement, 1};
}

void append_utf8(uint32_t code, std::string* text) {
  const auto tail = [&](int shift) { text->push_back(static_cast<char>(0x80 | (code >> shift & 0x3f))); };
  if (code < 0x80) {
    text->push_back(static_cast<char>(code));
  } else if (code < 0x800) {
    text->push_back(static_cast<char>(0xc0 | code >> 6));
    tail(0);
  } else if (code < 0x10000) {
    text->push_back(static_cast<char>(0xe0 | code >> 12));
    tail(6);
    tail(0);
  } else {
    text->push_back(static_cast<char>(0xf0 | code >> 18));
    tail(12);
    tail(6);
    tail(0);
  }
}

bool is_white_space(uint32_t code) {
  if (code < 0x80) return code == ' ' || (code >= '\t' && code <= '\r');
  return code == 0x85 || code == 0xa0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200a) || code == 0x2028 ||
         code == 0x2029 || code == 0x202f || code == 0x205f || code == 0x3000;
}

bool is_white_space(std::string_view text, size_t at) {
  return is_white_space(character_at(text, at).code);
}

}  // namespace strand
