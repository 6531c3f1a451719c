#include "dataserver/corpus/content.h"

#include <algorithm>

#include "dataserver/corpus/alphabet.h"

namespace strand {

namespace {

constexpr size_t kBlock = 240;

// Of at most 255 letters, so that bytes can count them: many at a time.
uint8_t count_letter(const char* letters, size_t count, char letter) {
  uint8_t found = 0;
  for (size_t i = 0; i < count; ++i) found = static_cast<uint8_t>(found + (letters[i] == letter));
  return found;
}

}  // namespace

void ContentHash::begin_record(std::string_view name) {
  hasher_.update_text(name);
}

void ContentHash::bases(std::string_view letters) {
  upper_.resize(letters.size());
  for (size_t at = 0; at < letters.size(); at += kBlock) {
    const size_t count = std::min(kBlock, letters.size() - at);
    const char* from = letters.data() + at;
    char* to = upper_.data() + at;
    for (size_t i = 0; i < count; ++i) to[i] = to_upper(from[i]);
    for (int code = 0; code < 4; ++code) counts_[code] += count_letter(to, count, kBaseLetters[code]);
  }
  counts_[4] += static_cast<int64_t>(letters.size());
  hasher_.update(upper_.data(), upper_.size());
}

void ContentHash::end_record(int64_t bases) {
  hasher_.update_u64(static_cast<uint64_t>(bases));
}

void ContentHash::counts(int64_t* five) const {
  std::copy_n(counts_, 5, five);
  for (int code = 0; code < 4; ++code) five[4] -= counts_[code];
}

}  // namespace strand
