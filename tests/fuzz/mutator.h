// Changes inputs at random, from a seed: the same seed gives the same inputs on every machine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "shared/base/result.h"

namespace strand::fuzz {

using Input = std::string;  // bytes

class Mutator {
 public:
  // `corpus` are valid and interesting inputs (empty: starts from one empty input); `dictionary` holds words of the
  // format; no input grows beyond `max_bytes`.
  Mutator(uint64_t seed, std::vector<Input> corpus, std::vector<Input> dictionary, size_t max_bytes);

  // An input of the corpus with one to eight changes: flipped bits, set bytes, cut or repeated pieces, truncation,
  // inserted words, changed numbers, pieces of other inputs.
  Input next();

 private:
  uint64_t random(uint64_t bound);  // uniform in [0, bound); 0 when bound is 0
  void change(Input* input);
  void change_bytes(Input* input, uint64_t kind);
  void splice(Input* input);
  void change_number(Input* input);

  uint64_t state_;
  std::vector<Input> corpus_;
  std::vector<Input> dictionary_;
  size_t max_bytes_;
};

// A dictionary in libFuzzer's format: one "word" a line, in double quotes, with \\, \" and \xNN; # starts a comment.
Result<std::vector<Input>> parse_dictionary(std::string_view text, const std::string& origin);

}  // namespace strand::fuzz
