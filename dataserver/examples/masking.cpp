#include "dataserver/examples/masking.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "dataserver/examples/fingerprint.h"
#include "shared/base/rng.h"
#include "shared/base/text.h"

namespace strand {

namespace {

// What a word is for: the `layer` of its counter. The numbers are part of every masked dataset's meaning.
enum Draw : uint32_t { kOrder, kSpan, kChange, kRandomId };

// The length of a span: P(n) proportional to 1 / n.
int64_t span_length(int64_t most, uint32_t word) {
  if (most == 1) return 1;
  double all = 0;
  for (int64_t n = 1; n <= most; ++n) all += 1.0 / static_cast<double>(n);
  double left = open_unit_double(word) * all;
  for (int64_t n = 1; n < most; ++n) {
    left -= 1.0 / static_cast<double>(n);
    if (left < 0) return n;
  }
  return most;
}

}  // namespace

Result<MaskingRules> masking_rules(const ObjectiveSpec& objective, const Tokenizer& tokenizer) {
  const int32_t mask = tokenizer.specials().mask;
  if (mask < 0) {
    return bad_input(
        "objective.kind = \"masked\": the tokenizer has no mask token; use one that has, or a causal model");
  }
  if (tokenizer.vocabulary() > kNoTarget) {
    return bad_input(concat("objective.kind = \"masked\": the tokenizer has ", tokenizer.vocabulary(),
                            " ids; expected at most ", kNoTarget, ", since the next number means \"no target\""));
  }
  MaskingRules rules;
  rules.objective = objective;
  rules.mask_id = static_cast<uint16_t>(mask);
  for (int32_t id = 0; id < tokenizer.vocabulary(); ++id) {
    rules.maskable.push_back(tokenizer.characters(id) > 0 ? 1 : 0);
    if (objective.random_ids == RandomIds::kAll || rules.maskable.back() != 0) {
      rules.random_ids.push_back(static_cast<uint16_t>(id));
    }
  }
  return rules;
}

std::vector<FingerprintField> masking_fields(const ObjectiveSpec& objective, const SequenceFrame& frame) {
  std::vector<FingerprintField> fields = {
      {"objective", "masked"},
      {"mask_ratio", exact_number(objective.ratio)},
      {"mask_share", exact_number(objective.mask)},
      {"random_share", exact_number(objective.random)},
      {"random_ids", objective.random_ids == RandomIds::kAll ? "all" : "no-specials"},
      {"max_ngram", concat(objective.max_ngram)},
      frame_field(frame)};
  // Only where they are not the default: datasets from before these keys existed keep their fingerprints.
  if (objective.count_special) fields.push_back({"count_special", "true"});
  if (objective.rounding == MaskRounding::kDown) fields.push_back({"rounding", "down"});
  return fields;
}

size_t masked_count(const ObjectiveSpec& objective, size_t maskable, size_t length) {
  if (maskable == 0) return 0;
  const double share = objective.ratio * static_cast<double>(objective.count_special ? length : maskable);
  const double whole = objective.rounding == MaskRounding::kDown ? std::floor(share) : std::round(share);
  return std::clamp<size_t>(static_cast<size_t>(whole), 1, maskable);
}

void mask_row(const MaskingRules& rules, uint64_t seed, uint64_t row, size_t length, uint16_t* tokens,
              uint16_t* targets) {
  const PhiloxKey key = philox_key(seed, Purpose::kMasking);
  const auto word = [&](Draw draw, size_t at) { return random_word(key, row, draw, static_cast<uint32_t>(at)); };
  const auto maskable = [&](size_t at) { return rules.maskable[tokens[at]] != 0; };
  std::vector<std::pair<uint32_t, uint32_t>> order;  // random word, position
  for (size_t i = 0; i < length; ++i) {
    targets[i] = kNoTarget;
    if (maskable(i)) order.emplace_back(word(kOrder, i), static_cast<uint32_t>(i));
  }
  std::sort(order.begin(), order.end());

  size_t wanted = masked_count(rules.objective, order.size(), length);
  for (const auto& [unused, start] : order) {
    if (wanted == 0) break;
    int64_t span = targets[start] == kNoTarget ? span_length(rules.objective.max_ngram, word(kSpan, start)) : 0;
    for (size_t at = start; span > 0 && wanted > 0; ++at, --span, --wanted) {
      if (at >= length || targets[at] != kNoTarget || !maskable(at)) break;
      targets[at] = tokens[at];
    }
  }
  for (size_t i = 0; i < length; ++i) {
    if (targets[i] == kNoTarget) continue;
    const double change = open_unit_double(word(kChange, i));
    if (change < rules.objective.mask) {
      tokens[i] = rules.mask_id;
    } else if (change < rules.objective.mask + rules.objective.random) {
      const uint64_t draw = word(kRandomId, i);
      tokens[i] = rules.random_ids[(draw * rules.random_ids.size()) >> 32];
    }
  }
}

}  // namespace strand
