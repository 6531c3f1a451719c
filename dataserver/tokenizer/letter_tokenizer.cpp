// Tokenizers whose vocabulary is letters, and words of exactly k letters A, C, G, T: DNA FM's (k = 1) and Nucleotide
// Transformer's. Both published ones cut a text the same way: the longest token that starts here, special tokens
// included; whatever is between tokens is split at white space and each piece is one unknown token. Letters are not
// upper-cased: "acgt" is one unknown token.
#include <array>

#include "dataserver/tokenizer/document.h"
#include "dataserver/tokenizer/tokenizer.h"
#include "dataserver/tokenizer/utf8.h"
#include "shared/base/check.h"

namespace strand {
namespace {

struct Vocabulary {
  std::string name;  // part of the fingerprint
  std::vector<std::string> tokens;
  std::vector<int32_t> special_ids;  // in increasing order
  SpecialTokens specials;
  int k = 1;
  std::string order;  // the letters of k-mers, in the order in which k-mers count up; empty without k-mers
  int32_t first_kmer = 0;
  bool closing_separator = false;
};

class LetterTokenizer final : public Tokenizer {
 public:
  explicit LetterTokenizer(Vocabulary vocabulary) : vocabulary_(std::move(vocabulary)) {
    letters_.fill(-1);
    digits_.fill(-1);
    const auto& tokens = vocabulary_.tokens;
    for (size_t id = 0; id < tokens.size(); ++id) {
      if (tokens[id].size() == 1) letters_[static_cast<uint8_t>(tokens[id][0])] = static_cast<int32_t>(id);
    }
    for (size_t i = 0; i < vocabulary_.order.size(); ++i) {
      digits_[static_cast<uint8_t>(vocabulary_.order[i])] = static_cast<int8_t>(i);
    }
    characters_.reserve(tokens.size());
    for (const std::string& token : tokens) characters_.push_back(static_cast<int32_t>(token.size()));
    for (const int32_t id : vocabulary_.special_ids) characters_[static_cast<size_t>(id)] = 0;
  }

  int32_t vocabulary() const override { return static_cast<int32_t>(vocabulary_.tokens.size()); }
  SpecialTokens specials() const override { return vocabulary_.specials; }

  void encode(std::string_view text, std::vector<int32_t>* ids) const override {
    bool in_unknown = false;
    for (size_t at = 0; at < text.size();) {
      const auto [id, length] = token_at(text, at);
      if (id >= 0) {
        ids->push_back(id);
        at += length;
        in_unknown = false;
      } else {
        const bool space = is_white_space(text, at);
        if (!space && !in_unknown) ids->push_back(vocabulary_.specials.unknown);
        in_unknown = !space;
        at += character_bytes(text, at);
      }
    }
  }

  std::string decode(const std::vector<int32_t>& ids) const override {
    std::string text;
    for (const int32_t id : ids) {
      text += vocabulary_.tokens[static_cast<size_t>(id >= 0 && id < vocabulary() ? id : vocabulary_.specials.unknown)];
    }
    return text;
  }

  int32_t characters(int32_t id) const override {
    return id >= 0 && id < vocabulary() ? characters_[static_cast<size_t>(id)] : 0;
  }

  Digest128 fingerprint() const override {
    Hasher128 hasher;
    hasher.update_text(vocabulary_.name);
    hasher.update_u64(vocabulary_.tokens.size());
    for (const std::string& token : vocabulary_.tokens) hasher.update_text(token);
    return hasher.digest();
  }

  std::string to_json() const override {
    std::vector<AddedToken> added;
    for (const int32_t id : vocabulary_.special_ids) added.push_back({id, token(id), true, false});
    const AddedToken before{vocabulary_.specials.cls, token(vocabulary_.specials.cls), true, false};
    AddedToken after;
    if (vocabulary_.closing_separator) after = {vocabulary_.specials.sep, token(vocabulary_.specials.sep), true, false};
    Json model = Json::object();
    model["type"] = "WordLevel";
    Json::object_t words;
    for (size_t id = 0; id < vocabulary_.tokens.size(); ++id) words.emplace_back(vocabulary_.tokens[id], id);
    model["vocab"] = std::move(words);
    model["unk_token"] = token(vocabulary_.specials.unknown);
    return tokenizer_document(added, splitter(), &before, vocabulary_.closing_separator ? &after : nullptr,
                              std::move(model))
        .dump(2);
  }

 private:
  std::string token(int32_t id) const { return vocabulary_.tokens[static_cast<size_t>(id)]; }

  struct Match {
    int32_t id;
    size_t length;
  };

  // The longest token that starts at text[at]; id -1 when none does.
  Match token_at(std::string_view text, size_t at) const {
    if (text[at] == '[' || text[at] == '<') {
      for (const int32_t id : vocabulary_.special_ids) {
        const std::string& special = vocabulary_.tokens[static_cast<size_t>(id)];
        if (text.substr(at).starts_with(special)) return {id, special.size()};
      }
    }
    const size_t k = static_cast<size_t>(vocabulary_.k);
    if (k > 1 && text.size() - at >= k) {
      int32_t number = 0;
      size_t length = 0;
      for (; length < k; ++length) {
        const int8_t digit = digits_[static_cast<uint8_t>(text[at + length])];
        if (digit < 0) break;
        number = number * 4 + digit;
      }
      if (length == k) return {vocabulary_.first_kmer + number, k};
    }
    return {letters_[static_cast<uint8_t>(text[at])], 1};
  }

  // The same cut as encode(), in the terms of tokenizer.json.
  Json splitter() const {
    std::string single = "[";
    for (const std::string& text : vocabulary_.tokens) {
      if (text.size() == 1) single += text;
    }
    single += "]";
    const std::string kmers = vocabulary_.k > 1 ? concat("[", vocabulary_.order, "]{", vocabulary_.k, "}|") : "";
    Json split = Json::object();
    split["type"] = "Split";
    split["pattern"] = Json::object();
    split["pattern"]["Regex"] = kmers + single;
    split["behavior"] = "Isolated";
    split["invert"] = false;
    Json spaces = Json::object();
    spaces["type"] = "WhitespaceSplit";
    Json sequence = Json::object();
    sequence["type"] = "Sequence";
    sequence["pretokenizers"] = Json::array({std::move(split), std::move(spaces)});
    return sequence;
  }

  Vocabulary vocabulary_;
  std::array<int32_t, 256> letters_;  // id of a letter that is a token, or -1
  std::array<int8_t, 256> digits_;    // place of a letter in `order`, or -1
  std::vector<int32_t> characters_;
};

}  // namespace

std::unique_ptr<Tokenizer> make_nucleotide_tokenizer() {
  Vocabulary vocabulary;
  vocabulary.name = "nucleotide 1";
  vocabulary.tokens = {"[PAD]", "[MASK]", "[CLS]", "[SEP]", "[UNK]", "A",         "G",         "C",
                       "T",     "U",      "N",     "[BOS]", "[EOS]", "[UNUSED1]", "[UNUSED2]", "[UNUSED3]"};
  vocabulary.special_ids = {0, 1, 2, 3, 4, 11, 12, 13, 14, 15};
  vocabulary.specials = {.unknown = 4, .cls = 2, .sep = 3, .pad = 0, .mask = 1};
  vocabulary.closing_separator = true;
  return std::make_unique<LetterTokenizer>(std::move(vocabulary));
}

std::unique_ptr<Tokenizer> make_kmer_tokenizer(int k) {
  STRAND_CHECK(k >= 1 && k <= kLongestKmer, "k = ", k);
  Vocabulary vocabulary;
  vocabulary.name = concat("kmer 1, k = ", k);
  vocabulary.tokens = {"<unk>", "<pad>", "<mask>", "<cls>"};
  vocabulary.special_ids = {0, 1, 2, 3};
  vocabulary.specials = {.unknown = 0, .cls = 3, .pad = 1, .mask = 2};
  vocabulary.k = k;
  vocabulary.order = "ATCG";
  vocabulary.first_kmer = static_cast<int32_t>(vocabulary.tokens.size());
  const uint32_t kmers = 1u << (2 * k);
  for (uint32_t number = 0; k > 1 && number < kmers; ++number) {
    std::string kmer;
    for (int place = k - 1; place >= 0; --place) kmer += vocabulary.order[(number >> (2 * place)) & 3];
    vocabulary.tokens.push_back(std::move(kmer));
  }
  for (const char* letter : {"A", "T", "C", "G", "N"}) vocabulary.tokens.emplace_back(letter);
  return std::make_unique<LetterTokenizer>(std::move(vocabulary));
}

}  // namespace strand
