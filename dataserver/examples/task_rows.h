// One example of a task as a row of tokens.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "dataserver/examples/rows.h"
#include "dataserver/tokenizer/tokenizer.h"
#include "shared/base/result.h"

namespace strand {

struct TaskText {
  std::string prefix, suffix;  // tokenised together with the sequence
  bool empty() const { return prefix.empty() && suffix.empty(); }
};

class TaskEncoder {
 public:
  // `tokenizer` must outlive this. style.room() >= 1.
  TaskEncoder(const Tokenizer* tokenizer, TaskText text, RowStyle style)
      : tokenizer_(tokenizer), text_(std::move(text)), style_(std::move(style)) {}

  // Tokens of prefix, sequence and suffix, without the frame: replaces *ids by what fits into the row and returns how
  // many there are without a cut. Too long, the end of the sequence goes, never the prefix or the suffix: without text
  // around it the tokens beyond the room; with text, where tokens may span the seams, as many bases as it takes
  // (bisection over the number of bases kept). kBadInput when not even one base fits beside the text.
  Result<size_t> encode(std::string_view sequence, std::vector<int32_t>* ids) const;

  const RowStyle& style() const { return style_; }

 private:
  std::string with_text(std::string_view sequence) const { return concat(text_.prefix, sequence, text_.suffix); }

  const Tokenizer* tokenizer_;
  TaskText text_;
  RowStyle style_;
};

// Classes of tokens from classes of letters. ids are the tokens of `letters`, possibly cut at the end; a token takes
// the class that most of its letters have, of equally common ones the one that comes first among its letters; an
// unknown token, and a special one, none (kNoTarget). So single-base tokenizers keep every class. targets[ids.size()].
// kBadInput when the tokens do not spell the letters, which a tokenizer that changes its text does.
Status classes_of_tokens(const Tokenizer& tokenizer, const std::vector<int32_t>& ids, std::string_view letters,
                         const std::vector<uint16_t>& classes, uint16_t* targets);

}  // namespace strand
