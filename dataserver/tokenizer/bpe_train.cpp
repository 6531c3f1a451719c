// Trains byte-pair merges with incremental counts: every position stands in the list of the one pair that starts
// there, so a merge touches only the places where its pair occurs.
#include <algorithm>
#include <numeric>
#include <queue>
#include <unordered_map>

#include "dataserver/tokenizer/bpe_tokenizer.h"
#include "dataserver/tokenizer/document.h"
#include "dataserver/tokenizer/tokenizer.h"
#include "shared/base/text.h"

namespace strand {
namespace {

constexpr int32_t kNone = -1;
constexpr const char* kSpecialTokens[] = {"[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"};
constexpr std::string_view kBases = "ACGT";

struct Position {
  int32_t id = kNone;                      // of the token that starts here; kNone within a token and between words
  int32_t previous = kNone, next = kNone;  // tokens of the same word
  int32_t before = kNone, after = kNone;   // other positions where the same pair starts
};

struct Pair {
  int32_t left, right;
  int32_t count;  // overlapping occurrences count: AAA holds the pair (A, A) twice
  int32_t first;  // of the list of positions
};

// A pair as it stood when queued; counts of queued pairs may have shrunk since.
struct Candidate {
  int32_t count, left, right;
  bool operator<(const Candidate& other) const {
    if (count != other.count) return count < other.count;
    return std::pair(left, right) > std::pair(other.left, other.right);
  }
};

class Trainer {
 public:
  Trainer(const std::vector<std::string>& sequences, size_t bases, const BpeTrainOptions& options) : options_(options) {
    for (const char* special : kSpecialTokens) add_token(special);
    unknown_ = 0;
    for (const char base : kBases) add_token(std::string(1, base));
    positions_.resize(bases);
    size_t at = 0;
    for (const std::string& sequence : sequences) at = load(sequence, at);
    for (Pair& pair : pairs_) queue(pair);
  }

  BpeModel train() {
    while (static_cast<int32_t>(tokens_.size()) < options_.vocabulary && !queue_.empty()) {
      const Candidate best = queue_.top();
      queue_.pop();
      const uint32_t number = numbers_.find(best.left, best.right);
      if (pairs_[number].count != best.count) {
        queue(pairs_[number]);
      } else {
        merge(number);
      }
    }
    return BpeModel(std::move(tokens_), std::move(merges_), unknown_);
  }

 private:
  int32_t add_token(std::string text) {
    const auto [found, added] = ids_.emplace(text, static_cast<int32_t>(tokens_.size()));
    if (added) tokens_.push_back(std::move(text));
    return found->second;
  }

  // Chains the words of one sequence from position `at` on; returns the position after it.
  size_t load(const std::string& sequence, size_t at) {
    for (size_t i = 0; i < sequence.size(); ++i, ++at) {
      const size_t base = kBases.find(sequence[i]);
      if (base == std::string_view::npos) continue;
      const int32_t here = static_cast<int32_t>(at);
      positions_[at].id = static_cast<int32_t>(std::size(kSpecialTokens) + base);
      if (i == 0 || positions_[at - 1].id == kNone) continue;
      positions_[at].previous = here - 1;
      positions_[at - 1].next = here;
      enter(here - 1);
    }
    return at;
  }

  // Puts the pair that starts at `at` into its list; returns the pair's number.
  uint32_t enter(int32_t at) {
    Position& position = positions_[static_cast<size_t>(at)];
    const int32_t right = positions_[static_cast<size_t>(position.next)].id;
    const uint32_t number = numbers_.find_or_insert(position.id, right, static_cast<uint32_t>(pairs_.size()));
    if (number == pairs_.size()) pairs_.push_back({position.id, right, 0, kNone});
    Pair& pair = pairs_[number];
    position.before = kNone;
    position.after = pair.first;
    if (pair.first != kNone) positions_[static_cast<size_t>(pair.first)].before = at;
    pair.first = at;
    ++pair.count;
    return number;
  }

  void leave(int32_t at) {
    const Position& position = positions_[static_cast<size_t>(at)];
    Pair& pair = pairs_[numbers_.find(position.id, positions_[static_cast<size_t>(position.next)].id)];
    if (position.before == kNone) {
      pair.first = position.after;
    } else {
      positions_[static_cast<size_t>(position.before)].after = position.after;
    }
    if (position.after != kNone) positions_[static_cast<size_t>(position.after)].before = position.before;
    --pair.count;
  }

  void queue(const Pair& pair) {
    const size_t length =
        tokens_[static_cast<size_t>(pair.left)].size() + tokens_[static_cast<size_t>(pair.right)].size();
    if (pair.count >= 2 && length <= static_cast<size_t>(options_.max_token_length)) {
      queue_.push({pair.count, pair.left, pair.right});
    }
  }

  // Replaces the pair everywhere, left to right within each word.
  void merge(uint32_t number) {
    const Pair pair = pairs_[number];
    const int32_t product =
        add_token(tokens_[static_cast<size_t>(pair.left)] + tokens_[static_cast<size_t>(pair.right)]);
    merges_.push_back({pair.left, pair.right, product});
    std::vector<int32_t> places;
    for (int32_t at = pair.first; at != kNone; at = positions_[static_cast<size_t>(at)].after) places.push_back(at);
    std::sort(places.begin(), places.end());
    std::vector<uint32_t> changed;
    for (const int32_t at : places) {
      // Overlaps: an earlier place may have taken this one's left half.
      if (positions_[static_cast<size_t>(at)].id == pair.left) join(at, product, &changed);
    }
    std::sort(changed.begin(), changed.end());
    changed.erase(std::unique(changed.begin(), changed.end()), changed.end());
    for (const uint32_t other : changed) queue(pairs_[other]);
  }

  void join(int32_t at, int32_t product, std::vector<uint32_t>* changed) {
    Position& position = positions_[static_cast<size_t>(at)];
    const int32_t absorbed = position.next;
    const int32_t following = positions_[static_cast<size_t>(absorbed)].next;
    leave(at);
    if (position.previous != kNone) leave(position.previous);
    if (following != kNone) leave(absorbed);
    positions_[static_cast<size_t>(absorbed)].id = kNone;
    position.id = product;
    position.next = following;
    if (position.previous != kNone) changed->push_back(enter(position.previous));
    if (following != kNone) {
      positions_[static_cast<size_t>(following)].previous = at;
      changed->push_back(enter(at));
    }
  }

  const BpeTrainOptions& options_;
  std::vector<std::string> tokens_;
  std::unordered_map<std::string, int32_t> ids_;
  int32_t unknown_ = 0;
  std::vector<BpeMerge> merges_;
  std::vector<Position> positions_;
  std::vector<Pair> pairs_;
  PairMap numbers_;  // of pairs in pairs_
  std::priority_queue<Candidate> queue_;
};

}  // namespace

Result<std::unique_ptr<Tokenizer>> train_bpe(const std::vector<std::string>& sequences,
                                             const BpeTrainOptions& options) {
  constexpr int32_t kSmallest = static_cast<int32_t>(std::size(kSpecialTokens) + kBases.size());
  if (options.vocabulary < kSmallest) {
    return bad_input(concat("tokenizer vocabulary: expected at least ", kSmallest,
                            " (five special tokens and A, C, G, T), found ", options.vocabulary));
  }
  if (options.max_token_length < 1) {
    return bad_input(concat("tokenizer max_token_length: expected at least 1, found ", options.max_token_length));
  }
  const size_t bases = std::accumulate(sequences.begin(), sequences.end(), size_t{0},
                                       [](size_t sum, const std::string& text) { return sum + text.size(); });
  if (bases > INT32_MAX - 1) {
    return bad_input(concat("tokenizer training: ", with_thousands(static_cast<int64_t>(bases)),
                            " bases are more than the ", with_thousands(INT32_MAX - 1),
                            " that training can take; train on a part of them"));
  }
  const auto has_base = [](const std::string& text) { return text.find_first_of(kBases) != std::string::npos; };
  if (std::none_of(sequences.begin(), sequences.end(), has_base)) {
    return bad_input("tokenizer training: there is no A, C, G or T (upper case) in the sequences to train on");
  }
  const BpeModel model = Trainer(sequences, bases, options).train();
  std::vector<AddedToken> added;
  for (const char* special : kSpecialTokens) {
    added.push_back({.id = static_cast<int32_t>(added.size()), .content = special});
  }
  Json words = Json::object();
  words["type"] = "Whitespace";
  BpeParts parts{
      .model = model, .words = {}, .added = std::move(added), .frame = {{1}, {2}}, .specials = {}, .document = {}};
  parts.specials = {.unknown = 0, .cls = 1, .sep = 2, .pad = 3, .mask = 4};
  parts.document = tokenizer_document(parts.added, std::move(words), parts.frame, model.vocabulary(), nullptr,
                                      bpe_model_document(model));
  return make_bpe_tokenizer(std::move(parts));
}

}  // namespace strand
