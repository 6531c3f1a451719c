// Overlapping k-mers, as DNABERT (Ji et al., 2021) has them.
#include <algorithm>
#include <array>
#include <map>

#include "dataserver/tokenizer/document.h"
#include "dataserver/tokenizer/list_tokenizer.h"
#include "shared/base/check.h"

namespace strand {

namespace {

constexpr std::string_view kOrder = "ATCG";
constexpr int32_t kSpecials = 5;
constexpr int32_t kUnknown = 1;

class OverlappingTokenizer final : public Tokenizer {
 public:
  explicit OverlappingTokenizer(int k)
      : k_(static_cast<size_t>(k)), tokens_(overlapping_vocabulary(k)), frame_{{2}, {3}} {
    digits_.fill(-1);
    for (size_t i = 0; i < kOrder.size(); ++i) digits_[static_cast<uint8_t>(kOrder[i])] = static_cast<int>(i);
  }

  int32_t vocabulary() const override { return static_cast<int32_t>(tokens_.size()); }
  SpecialTokens specials() const override { return {.unknown = kUnknown, .cls = 2, .sep = 3, .pad = 0, .mask = 4}; }
  const SequenceFrame& frame() const override { return frame_; }

  void encode(std::string_view text, std::vector<int32_t>* ids) const override {
    const uint32_t mask = (1u << (2 * k_)) - 1;
    uint32_t number = 0;
    size_t known = 0;  // letters up to here that are bases
    for (size_t i = 0; i < text.size(); ++i) {
      const int digit = digits_[static_cast<uint8_t>(text[i])];
      number = (number << 2 | static_cast<uint32_t>(std::max(digit, 0))) & mask;
      known = digit < 0 ? 0 : known + 1;
      if (i + 1 >= k_) ids->push_back(known >= k_ ? kSpecials + static_cast<int32_t>(number) : kUnknown);
    }
  }

  // A token that goes on with the one before it adds its last letter.
  std::string decode(const std::vector<int32_t>& ids) const override {
    std::string text;
    std::string_view before;  // of the k-mer before, what this one must begin with
    for (const int32_t id : ids) {
      const std::string& token = tokens_[static_cast<size_t>(id >= 0 && id < vocabulary() ? id : kUnknown)];
      const bool bases = id >= kSpecials && id < vocabulary();
      const bool goes_on = bases && before.data() != nullptr && std::string_view(token).substr(0, k_ - 1) == before;
      text += goes_on ? token.substr(k_ - 1) : token;
      before = bases ? std::string_view(token).substr(1) : std::string_view();
    }
    return text;
  }

  int32_t characters(int32_t id) const override { return id >= kSpecials && id < vocabulary() ? 1 : 0; }

  Digest128 fingerprint() const override {
    Hasher128 hasher;
    hasher.update_text(concat("overlapping k-mers 1, k = ", k_));
    return hasher.digest();
  }

  // Other tools have no rule for the cut: they are given the k-mers with blanks between them, as DNABERT is.
  std::string to_json() const override {
    Json spaces = Json::object();
    spaces["type"] = "WhitespaceSplit";
    Json model = Json::object();
    model["type"] = "WordLevel";
    Json::object_t words;  // appended: an ordered object is a list
    for (size_t id = 0; id < tokens_.size(); ++id) words.emplace_back(tokens_[id], id);
    model["vocab"] = std::move(words);
    model["unk_token"] = tokens_[kUnknown];
    return dump_json(tokenizer_document(added(), std::move(spaces), frame_, tokens_, nullptr, std::move(model)), 2);
  }

  std::vector<TokenizerFile> files() const override {
    std::string lines;
    for (const std::string& token : tokens_) lines += token + "\n";
    std::vector<TokenizerFile> files = {{"tokenizer.json", to_json()}, {"vocab.txt", std::move(lines)}};
    for (TokenizerFile& file : config_files(specials(), tokens_, added(), "PreTrainedTokenizerFast", {})) {
      files.push_back(std::move(file));
    }
    return files;
  }

 private:
  std::vector<AddedToken> added() const {
    std::vector<AddedToken> added;
    for (int32_t id = 0; id < kSpecials; ++id) {
      added.push_back({.id = id, .content = tokens_[static_cast<size_t>(id)]});
    }
    return added;
  }

  size_t k_;
  std::vector<std::string> tokens_;
  SequenceFrame frame_;
  std::array<int, 256> digits_;
};

}  // namespace

std::vector<std::string> overlapping_vocabulary(int k) {
  std::vector<std::string> tokens = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
  for (uint32_t number = 0; number < 1u << (2 * k); ++number) {
    std::string kmer;
    for (int place = k - 1; place >= 0; --place) kmer += kOrder[(number >> (2 * place)) & 3];
    tokens.push_back(std::move(kmer));
  }
  return tokens;
}

std::unique_ptr<Tokenizer> make_overlapping_tokenizer(int k) {
  STRAND_CHECK(k >= 1 && k <= kLongestKmer, "k = ", k);
  return std::make_unique<OverlappingTokenizer>(k);
}

}  // namespace strand
