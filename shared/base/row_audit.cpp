#include "shared/base/row_audit.h"

#include "shared/base/hash.h"

namespace strand {

void RowAudit::put(size_t at, uint64_t value) {
  for (size_t i = 0; i < 8; ++i) text_[at + i] = static_cast<char>(value >> (8 * i));
}

void RowAudit::add_text() {
  sum_ += hash64(text_);
}

std::string hex64(uint64_t value) {
  constexpr const char* kDigits = "0123456789abcdef";
  std::string text(16, '0');
  for (size_t i = 16; i-- > 0; value >>= 4) text[i] = kDigits[value & 15];
  return text;
}

}  // namespace strand
