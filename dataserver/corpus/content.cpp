#include "dataserver/corpus/content.h"

#include "dataserver/corpus/alphabet.h"

namespace strand {

void ContentHash::begin_record(std::string_view name) {
  hasher_.update_text(name);
}

void ContentHash::bases(std::string_view letters) {
  upper_.assign(letters);
  for (char& letter : upper_) {
    letter = to_upper(letter);
    ++letters_[static_cast<uint8_t>(letter)];
  }
  hasher_.update(upper_.data(), upper_.size());
}

void ContentHash::end_record(int64_t bases) {
  hasher_.update_u64(static_cast<uint64_t>(bases));
}

void ContentHash::counts(int64_t* five) const {
  int64_t all = 0;
  for (const int64_t count : letters_) all += count;
  five[4] = all;
  for (int code = 0; code < 4; ++code) {
    five[code] = letters_[static_cast<uint8_t>(kBaseLetters[code])];
    five[4] -= five[code];
  }
}

}  // namespace strand
