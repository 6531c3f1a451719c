#include "worker/inference/generator.h"

#include <algorithm>
#include <cmath>
#include <deque>

#include "shared/base/rng.h"
#include "shared/base/text.h"
#include "worker/inference/cached_decoder.h"

namespace strand {
namespace {

struct Candidate {
  double logit = 0;
  int32_t id = 0;
};
// Likelier first; of equally likely ones the smaller id.
bool before(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
}

double log_probability(std::span<const float> logits, int32_t id) {
  const double top = *std::ranges::max_element(logits);
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - top);
  return static_cast<double>(logits[static_cast<size_t>(id)]) - top - std::log(sum);
}

// Texts that wait for a slot, and those that have one.
class Texts {
 public:
  Texts(ModelRunner& runner, std::span<const std::vector<int32_t>> prompts, const GenerateOptions& options,
        const std::function<bool(int64_t, int64_t)>& progress)
      : prompts_(prompts),
        options_(options),
        progress_(progress),
        longest_row_(runner.longest_row()),
        decoder_(runner, capacity(runner, prompts, options)),
        texts_(prompts.size()),
        slots_(CachedDecoder::kSlots, kFree),
        next_(CachedDecoder::kSlots, CachedDecoder::kNone) {}

  Result<std::vector<GeneratedText>> run() {
    total_ = static_cast<int64_t>(prompts_.size()) * options_.tokens;
    while (fill_slots()) {
      const ConstMatrix logits = decoder_.step(next_);
      for (size_t slot = 0; slot < slots_.size(); ++slot) {
        if (slots_[slot] == kFree) continue;
        choose(slot, {logits.f32() + static_cast<int64_t>(slot) * logits.stride, static_cast<size_t>(logits.cols)});
      }
      if (progress_ && !progress_(done_, total_)) return Error(ErrorCode::kStopped, "stopped on request");
    }
    return std::move(texts_);
  }

 private:
  static constexpr size_t kFree = SIZE_MAX;

  static int64_t capacity(const ModelRunner& runner, std::span<const std::vector<int32_t>> prompts,
                          const GenerateOptions& options) {
    size_t longest = 1;
    for (const auto& prompt : prompts) longest = std::max(longest, prompt.size());
    return std::min(static_cast<int64_t>(longest) + options.tokens, runner.longest_row());
  }

  // Begins waiting texts in free slots; false when there is nothing left to do.
  bool fill_slots() {
    for (size_t slot = 0; slot < slots_.size(); ++slot) {
      while (slots_[slot] == kFree && waiting_ < prompts_.size()) {
        slots_[slot] = waiting_++;
        choose(slot, decoder_.begin(static_cast<int64_t>(slot), prompts_[slots_[slot]]));
      }
    }
    return std::ranges::any_of(slots_, [](size_t text) { return text != kFree; });
  }

  // The next token of the text in `slot`, or its end.
  void choose(size_t slot, std::span<const float> logits) {
    const size_t number = slots_[slot];
    GeneratedText& text = texts_[number];
    const size_t position = prompts_[number].size() + text.ids.size();
    const int32_t id = sample_token(logits, options_.sampling, number, position);
    if (std::ranges::find(options_.stop, id) != options_.stop.end()) return finish(slot, Ending::kStop);
    text.ids.push_back(id);
    text.nats += log_probability(logits, id);
    ++done_;
    if (static_cast<int64_t>(text.ids.size()) == options_.tokens) return finish(slot, Ending::kTokens);
    if (static_cast<int64_t>(position) + 1 >= longest_row_) return finish(slot, Ending::kRow);
    next_[slot] = id;
  }

  void finish(size_t slot, Ending ending) {
    GeneratedText& text = texts_[slots_[slot]];
    text.ending = ending;
    total_ -= options_.tokens - static_cast<int64_t>(text.ids.size());
    slots_[slot] = kFree;
    next_[slot] = CachedDecoder::kNone;
  }

  std::span<const std::vector<int32_t>> prompts_;
  const GenerateOptions& options_;
  const std::function<bool(int64_t, int64_t)>& progress_;
  int64_t longest_row_;
  CachedDecoder decoder_;
  std::vector<GeneratedText> texts_;
  std::vector<size_t> slots_;  // the text each works on
  std::vector<int32_t> next_;  // its last token, which the next step appends
  size_t waiting_ = 0;         // the first text that has not begun
  int64_t done_ = 0, total_ = 0;
};

}  // namespace

Status check_sampling(const SamplingOptions& options) {
  if (!(options.temperature > 0) || !std::isfinite(options.temperature)) {
    return bad_input(concat("--temperature ", options.temperature, ": expected more than 0; for the likeliest token ",
                            "each time say --greedy"));
  }
  if (options.top_k < 0) return bad_input(concat("--top-k ", options.top_k, ": expected 0 (all tokens) or more"));
  if (!(options.top_p > 0 && options.top_p <= 1)) {
    return bad_input(concat("--top-p ", options.top_p, ": expected more than 0 and at most 1 (all tokens)"));
  }
  return {};
}

int32_t sample_token(std::span<const float> logits, const SamplingOptions& options, uint64_t text, uint64_t position) {
  std::vector<Candidate> candidates;
  candidates.reserve(logits.size());
  for (size_t id = 0; id < logits.size(); ++id) {
    if (id < options.never.size() && options.never[id]) continue;
    candidates.push_back({static_cast<double>(logits[id]), static_cast<int32_t>(id)});
  }
  STRAND_CHECK(!candidates.empty());
  const Candidate best = *std::ranges::min_element(candidates, before);
  if (options.greedy) return best.id;
  if (options.top_k > 0 || options.top_p < 1) std::ranges::sort(candidates, before);
  if (options.top_k > 0) candidates.resize(std::min(candidates.size(), static_cast<size_t>(options.top_k)));
  double sum = 0;
  for (Candidate& candidate : candidates) {
    candidate.logit = std::exp((candidate.logit - best.logit) / options.temperature);  // now a share
    sum += candidate.logit;
  }
  if (options.top_p < 1) {
    double kept = 0;
    size_t count = 0;
    while (count < candidates.size() && (count == 0 || kept < options.top_p * sum)) kept += candidates[count++].logit;
    candidates.resize(count);
    sum = kept;
  }
  const uint32_t word =
      random_word(philox_key(options.seed, Purpose::kSampling), text, 0, static_cast<uint32_t>(position));
  double left = open_unit_double(word) * sum;
  for (const Candidate& candidate : candidates) {
    left -= candidate.logit;
    if (left < 0) return candidate.id;
  }
  return candidates.back().id;  // rounding
}

Result<std::vector<GeneratedText>> generate(ModelRunner& runner, std::span<const std::vector<int32_t>> prompts,
                                            const GenerateOptions& options,
                                            const std::function<bool(int64_t done, int64_t total)>& progress) {
  STRAND_TRY(CachedDecoder::supports(runner.config()));
  STRAND_TRY(check_sampling(options.sampling));
  if (options.tokens < 1) return bad_input(concat("--tokens ", options.tokens, ": expected at least 1"));
  for (size_t p = 0; p < prompts.size(); ++p) {
    if (prompts[p].empty()) return bad_input(concat("prompt ", p + 1, ": no tokens; expected at least one"));
    if (static_cast<int64_t>(prompts[p].size()) < runner.longest_row()) continue;
    return bad_input(concat("prompt ", p + 1, ": ", prompts[p].size(), " tokens leave no room in the model's row of ",
                            runner.longest_row(), "; shorten it"));
  }
  return Texts(runner, prompts, options, progress).run();
}

}  // namespace strand
