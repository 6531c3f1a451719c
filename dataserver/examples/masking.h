// Which tokens of a row a masked model must predict, and what it sees in their place (Devlin et al., 2019; spans as in
// SpanBERT's and Megatron's n-grams). A pure function of (seed, row number): any server, any order, the same masks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "dataserver/tokenizer/tokenizer.h"
#include "shared/base/result.h"
#include "shared/job_spec/task_spec.h"
#include "shared/wire/messages.h"

namespace strand {

struct MaskingRules {
  ObjectiveSpec objective;
  uint16_t mask_id = 0;
  std::vector<uint8_t> maskable;     // of each id: 1 where it may be a target; 0 for special tokens, unknown included
  std::vector<uint16_t> random_ids;  // what a random token is drawn from
};

// kBadInput for a tokenizer without a mask token, or with so many ids that one of them would mean "no target".
Result<MaskingRules> masking_rules(const ObjectiveSpec& objective, const Tokenizer& tokenizer);

// What of a masked objective decides the rows, for the dataset's fingerprint.
std::vector<FingerprintField> masking_fields(const ObjectiveSpec& objective, const SequenceFrame& frame);

// Targets of a row of `length` tokens, of which `maskable` may be targets: max(1, round(ratio x maskable)), halves up,
// at most `maskable`; 0 of 0. With count_special ratio x length is rounded, with rounding = "down" it is cut off.
size_t masked_count(const ObjectiveSpec& objective, size_t maskable, size_t length);

// Masks tokens[0, length), a row without its padding, in place; targets[i] is what token i was where it must be
// predicted, else kNoTarget. Exactly masked_count of the maskable tokens are targets.
//
// Positions are visited in the order of their random words; each one not yet a target begins a span of n tokens, n in
// [1, max_ngram] with P(n) proportional to 1 / n. A span ends before a special token, a token that is a target already,
// and the row's end, and is cut when enough are chosen. Then each target alone becomes the mask token, a random token
// or stays.
void mask_row(const MaskingRules& rules, uint64_t seed, uint64_t row, size_t length, uint16_t* tokens,
              uint16_t* targets);

// Held-out rows are masked by this seed, whatever the job's: evaluation is a fixed set.
constexpr uint64_t kHeldOutMaskSeed = 0x68656c646f7574;

}  // namespace strand
