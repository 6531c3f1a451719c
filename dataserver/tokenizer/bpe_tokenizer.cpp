#include "dataserver/tokenizer/bpe_tokenizer.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "dataserver/tokenizer/utf8.h"

namespace strand {
namespace {

// Finds literal tokens in text: the leftmost match, and of those the longest.
class LiteralFinder {
 public:
  explicit LiteralFinder(std::vector<AddedToken> tokens) {
    std::sort(tokens.begin(), tokens.end(), [](const AddedToken& a, const AddedToken& b) {
      return a.content.size() != b.content.size() ? a.content.size() > b.content.size() : a.id < b.id;
    });
    empty_ = tokens.empty();
    for (AddedToken& token : tokens) by_first_[static_cast<uint8_t>(token.content[0])].push_back(std::move(token));
  }

  const AddedToken* starting_at(std::string_view text, size_t at) const {
    for (const AddedToken& token : by_first_[static_cast<uint8_t>(text[at])]) {
      if (text.substr(at).starts_with(token.content)) return &token;
    }
    return nullptr;
  }

  // Calls between(piece) and found(token) in the order of the text.
  template <class Between, class Found>
  void split(std::string_view text, Between between, Found found) const {
    size_t start = 0;
    for (size_t at = 0; !empty_ && at < text.size();) {
      const AddedToken* token = starting_at(text, at);
      if (token == nullptr) {
        ++at;
        continue;
      }
      between(text.substr(start, at - start));
      found(*token);
      start = at += token->content.size();
    }
    between(text.substr(start));
  }

 private:
  std::array<std::vector<AddedToken>, 256> by_first_;
  bool empty_ = true;
};

bool is_word_letter(char c) {
  return c == '_' || std::isalnum(static_cast<unsigned char>(c)) != 0;
}

class BpeTokenizer final : public Tokenizer {
 public:
  BpeTokenizer(BpeModel model, std::vector<AddedToken> added, Json document)
      : model_(std::move(model)),
        added_(std::move(added)),
        document_(std::move(document)),
        literal_(select(added_, false)),
        normalized_(select(added_, true)),
        texts_(model_.vocabulary()) {
    characters_.reserve(texts_.size());
    for (const std::string& text : texts_) characters_.push_back(static_cast<int32_t>(text.size()));
    characters_[static_cast<size_t>(model_.unknown())] = 0;
    for (const AddedToken& token : added_) {
      const size_t id = static_cast<size_t>(token.id);
      if (id >= texts_.size()) texts_.resize(id + 1), characters_.resize(id + 1);
      texts_[id] = token.content;
      characters_[id] = 0;
    }
  }

  int32_t vocabulary() const override { return static_cast<int32_t>(texts_.size()); }

  SpecialTokens specials() const override {
    SpecialTokens specials;
    specials.unknown = model_.unknown();
    specials.cls = id_of("[CLS]", "<cls>");
    specials.sep = id_of("[SEP]", "<sep>");
    specials.pad = id_of("[PAD]", "<pad>");
    specials.mask = id_of("[MASK]", "<mask>");
    return specials;
  }

  void encode(std::string_view text, std::vector<int32_t>* ids) const override {
    const auto take = [ids](const AddedToken& token) { ids->push_back(token.id); };
    const auto words = [this, ids](std::string_view piece) { encode_piece(piece, ids); };
    literal_.split(
        text, [&](std::string_view piece) { normalized_.split(piece, words, take); }, take);
  }

  std::string decode(const std::vector<int32_t>& ids) const override {
    std::string text;
    for (const int32_t id : ids) {
      text += texts_[static_cast<size_t>(id >= 0 && id < vocabulary() ? id : model_.unknown())];
    }
    return text;
  }

  int32_t characters(int32_t id) const override {
    return id >= 0 && id < vocabulary() ? characters_[static_cast<size_t>(id)] : 0;
  }

  Digest128 fingerprint() const override {
    Hasher128 hasher;
    hasher.update_text("bpe 1");
    hasher.update_u64(model_.vocabulary().size());
    for (const std::string& text : model_.vocabulary()) hasher.update_text(text);
    hasher.update_u64(model_.merges().size());
    for (const BpeMerge& merge : model_.merges()) {
      hasher.update_u64(static_cast<uint64_t>(merge.left));
      hasher.update_u64(static_cast<uint64_t>(merge.right));
    }
    hasher.update_u64(static_cast<uint64_t>(model_.unknown()));
    hasher.update_u64(added_.size());
    for (const AddedToken& token : added_) {
      hasher.update_u64(static_cast<uint64_t>(token.id));
      hasher.update_text(token.content);
      hasher.update_u64(token.normalized);
    }
    return hasher.digest();
  }

  std::string to_json() const override { return document_.dump(2); }

 private:
  static std::vector<AddedToken> select(const std::vector<AddedToken>& tokens, bool normalized) {
    std::vector<AddedToken> selected;
    for (const AddedToken& token : tokens) {
      if (token.normalized == normalized) selected.push_back(token);
    }
    return selected;
  }

  int32_t id_of(std::string_view name, std::string_view other_name) const {
    for (const std::string_view wanted : {name, other_name}) {
      const auto found = std::find(texts_.begin(), texts_.end(), wanted);
      if (found != texts_.end()) return static_cast<int32_t>(found - texts_.begin());
    }
    return -1;
  }

  void encode_piece(std::string_view piece, std::vector<int32_t>* ids) const {
    for (size_t at = 0; at < piece.size();) {
      if (model_.letter(piece[at]) < 0) {
        if (!is_white_space(piece, at)) ids->push_back(model_.unknown());
        at += character_bytes(piece, at);
        continue;
      }
      size_t end = at + 1;
      const bool word = is_word_letter(piece[at]);
      while (end < piece.size() && model_.letter(piece[end]) >= 0 && is_word_letter(piece[end]) == word) ++end;
      model_.encode_word(piece.substr(at, end - at), ids);
      at = end;
    }
  }

  BpeModel model_;
  std::vector<AddedToken> added_;
  Json document_;
  LiteralFinder literal_, normalized_;
  std::vector<std::string> texts_;   // by id, added tokens included
  std::vector<int32_t> characters_;  // by id; added tokens stand for no base
};

}  // namespace

std::unique_ptr<Tokenizer> make_bpe_tokenizer(BpeModel model, std::vector<AddedToken> added, Json document) {
  return std::make_unique<BpeTokenizer>(std::move(model), std::move(added), std::move(document));
}

}  // namespace strand
