// The content hash of a data set: what its records are called and which letters they have, however they were stored.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "shared/base/hash.h"

namespace strand {

class ContentHash {
 public:
  void begin_record(std::string_view name);
  // Hashed in upper case: masking is no part of what a model sees. The same however the letters are cut.
  void bases(std::string_view letters);
  void end_record(int64_t bases);
  Digest128 digest() const { return hasher_.digest(); }
  // A, C, G, T, other.
  void counts(int64_t* five) const;

 private:
  Hasher128 hasher_;
  std::string upper_;
  int64_t counts_[5] = {};  // A, C, G, T, all
};

}  // namespace strand
