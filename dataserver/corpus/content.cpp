#include "dataserver/corpus/content.h"

#include <algorithm>

#include "dataserver/corpus/alphabet.h"

namespace strand {

namespace {
constexpr size_t kBlock = 240;
}  // namespace

void ContentHash::begin_record(std::string_view name) {
  hasher_.update_text(name);
}

void ContentHash::bases(std::string_view letters) {
  upper_.resize(letters.size());
  // In blocks short enough for the counts to be bytes: the loop is then a handful of vector instructions.
  for (size_t at = 0; at < letters.size(); at += kBlock) {
    const size_t count = std::min(kBlock, letters.size() - at);
    const char* from = letters.data() + at;
    char* to = upper_.data() + at;
    uint8_t found[4] = {};
    for (size_t i = 0; i < count; ++i) {
      const char letter = to_upper(from[i]);
      to[i] = letter;
      for (int code = 0; code < 4; ++code) found[code] += letter == kBaseLetters[code] ? 1 : 0;
    }
    for (int code = 0; code < 4; ++code) counts_[code] += found[code];
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
