#include "dataserver/tokenizer/bpe_tokenizer.h"

#include <array>
#include <cctype>

#include "dataserver/tokenizer/byte_level.h"
#include "dataserver/tokenizer/special_names.h"
#include "dataserver/tokenizer/utf8.h"
#include "dataserver/tokenizer/word_cache.h"

namespace strand {
namespace {

// What a byte is to encode_letters.
enum class ByteKind : uint8_t {
  kPart,        // of a character of several bytes, or none
  kSpace,       // dropped
  kUnknown,     // ASCII, and no token
  kWordLetter,  // a token by itself, part of a word of \w
  kOther,       // a token by itself, part of a word of [^\w\s]
};

bool is_word_letter(char c) {
  return c == '_' || std::isalnum(static_cast<unsigned char>(c)) != 0;
}

class BpeTokenizer final : public Tokenizer {
 public:
  explicit BpeTokenizer(BpeParts parts)
      : parts_(std::move(parts)), literal_(parts_.added, false), normalized_(parts_.added, true) {
    for (const std::string& text : parts_.model.vocabulary()) {
      bytes_.push_back(over_bytes() ? from_byte_letters(text) : text);
    }
    for (size_t byte = 0; byte < kinds_.size(); ++byte) {
      const char c = static_cast<char>(byte);
      if (parts_.model.letter(c) >= 0) {
        kinds_[byte] = is_word_letter(c) ? ByteKind::kWordLetter : ByteKind::kOther;
      } else if (byte < 0x80) {
        kinds_[byte] = is_white_space(static_cast<uint32_t>(byte)) ? ByteKind::kSpace : ByteKind::kUnknown;
      }
    }
    texts_ = parts_.model.vocabulary();
    for (const std::string& bytes : bytes_) characters_.push_back(static_cast<int32_t>(bytes.size()));
    for (const AddedToken& token : parts_.added) {
      const size_t id = static_cast<size_t>(token.id);
      if (id >= texts_.size()) texts_.resize(id + 1), bytes_.resize(id + 1), characters_.resize(id + 1);
      texts_[id] = bytes_[id] = token.content;
      // Words and labels added to a vocabulary of bases stand for no base.
      const bool counts = over_bytes() && !token.special;
      characters_[id] = counts ? static_cast<int32_t>(token.content.size()) : 0;
    }
    const SpecialTokens& s = parts_.specials;
    for (const int32_t id : {s.unknown, s.cls, s.sep, s.pad, s.mask, s.bos, s.eos}) {
      if (id >= 0) characters_[static_cast<size_t>(id)] = 0;
    }
  }

  int32_t vocabulary() const override { return static_cast<int32_t>(texts_.size()); }
  SpecialTokens specials() const override { return parts_.specials; }
  const SequenceFrame& frame() const override { return parts_.frame; }

  void encode(std::string_view text, std::vector<int32_t>* ids) const override {
    const auto take = [ids](const AddedToken& token) { ids->push_back(token.id); };
    const auto words = [this, ids](std::string_view piece) {
      over_bytes() ? encode_bytes(piece, ids) : encode_letters(piece, ids);
    };
    literal_.split(
        text, [&](std::string_view piece) { normalized_.split(piece, words, take); }, take);
  }

  std::string decode(const std::vector<int32_t>& ids) const override {
    std::string text;
    for (int32_t id : ids) {
      if (id < 0 || id >= vocabulary()) id = parts_.specials.unknown;
      if (id >= 0) text += bytes_[static_cast<size_t>(id)];
    }
    return text;
  }

  int32_t characters(int32_t id) const override {
    return id >= 0 && id < vocabulary() ? characters_[static_cast<size_t>(id)] : 0;
  }

  Digest128 fingerprint() const override {
    Hasher128 hasher;
    hasher.update_text("bpe 1");
    hash_words(&hasher);
    hasher.update_u64(parts_.model.vocabulary().size());
    for (const std::string& text : parts_.model.vocabulary()) hasher.update_text(text);
    hasher.update_u64(parts_.model.merges().size());
    for (const BpeMerge& merge : parts_.model.merges()) {
      hasher.update_u64(static_cast<uint64_t>(merge.left));
      hasher.update_u64(static_cast<uint64_t>(merge.right));
    }
    hasher.update_u64(static_cast<uint64_t>(parts_.model.unknown()));
    hasher.update_u64(parts_.added.size());
    for (const AddedToken& token : parts_.added) {
      hasher.update_u64(static_cast<uint64_t>(token.id));
      hasher.update_text(token.content);
      // The bits beyond the first are rare, and absent from older fingerprints.
      hasher.update_u64(uint64_t{token.normalized} | uint64_t{token.single_word} << 1 | uint64_t{token.lstrip} << 2 |
                        uint64_t{token.rstrip} << 3);
    }
    return hasher.digest();
  }

  std::string to_json() const override { return dump_json(parts_.document, 2); }

  std::vector<TokenizerFile> files() const override {
    std::vector<TokenizerFile> files = {{"tokenizer.json", to_json()}};
    std::string tokenizer_class = "PreTrainedTokenizerFast";
    std::vector<std::pair<std::string, Json>> extra;
    if (over_bytes()) {
      files.push_back({"vocab.json", vocabulary_file()});
      files.push_back({"merges.txt", merges_file()});
      const SequenceFrame bos_first = {{parts_.specials.bos}, {}};
      if (parts_.frame == SequenceFrame() || parts_.frame == bos_first) {
        tokenizer_class = "GPT2Tokenizer";
        extra = {{"add_bos_token", parts_.frame == bos_first}, {"errors", "replace"}};
      } else if (parts_.specials.cls >= 0 && parts_.specials.sep >= 0 &&
                 parts_.frame == SequenceFrame{{parts_.specials.cls}, {parts_.specials.sep}}) {
        tokenizer_class = "RobertaTokenizer";
      }
      extra.emplace_back("add_prefix_space", parts_.words.add_prefix_space);
    }
    for (TokenizerFile& file : config_files(parts_.specials, texts_, parts_.added, tokenizer_class, extra)) {
      files.push_back(std::move(file));
    }
    return files;
  }

 private:
  bool over_bytes() const { return parts_.words.alphabet == BpeModel::Alphabet::kBytes; }

  void hash_words(Hasher128* hasher) const {
    if (!over_bytes()) return;
    hasher->update_text("bytes 1");
    hasher->update_u64(uint64_t{parts_.words.add_prefix_space} | uint64_t{parts_.words.use_regex} << 1);
  }

  void encode_letters(std::string_view piece, std::vector<int32_t>* ids) const {
    const BpeModel& model = parts_.model;
    const auto kind_at = [&](size_t at) { return kinds_[static_cast<uint8_t>(piece[at])]; };
    for (size_t at = 0; at < piece.size();) {
      const ByteKind kind = kind_at(at);
      if (kind < ByteKind::kWordLetter) {
        const bool space = kind == ByteKind::kPart ? is_white_space(piece, at) : kind == ByteKind::kSpace;
        if (!space) ids->push_back(model.unknown());
        at += kind == ByteKind::kPart ? character_bytes(piece, at) : 1;
        continue;
      }
      size_t end = at + 1;
      while (end < piece.size() && kind_at(end) == kind) ++end;
      model.encode_word(piece.substr(at, end - at), ids);
      at = end;
    }
  }

  void encode_bytes(std::string_view piece, std::vector<int32_t>* ids) const {
    std::string spaced;
    if (parts_.words.add_prefix_space && piece[0] != ' ') piece = spaced.append(" ").append(piece);
    if (!parts_.words.use_regex) return parts_.model.encode_word(piece, ids);
    const auto encode_word = [this, ids](std::string_view word) { parts_.model.encode_word(word, ids); };
    WordCache& cache = WordCache::of_thread();
    for (size_t at = 0; at < piece.size();) {
      const size_t end = word_end(piece, at);
      if (end - at <= WordCache::kLongestWord) {
        cache.append(owner_, piece, at, end, ids, encode_word);
      } else {
        encode_word(piece.substr(at, end - at));
      }
      at = end;
    }
  }

  std::string vocabulary_file() const {
    Json::object_t ids;  // appended: an ordered object is a list
    const std::vector<std::string>& vocabulary = parts_.model.vocabulary();
    for (size_t id = 0; id < vocabulary.size(); ++id) ids.emplace_back(vocabulary[id], id);
    return dump_json(Json(std::move(ids)));
  }

  std::string merges_file() const {
    const std::vector<std::string>& vocabulary = parts_.model.vocabulary();
    std::string text = "#version: 0.2\n";
    for (const BpeMerge& merge : parts_.model.merges()) {
      text += vocabulary[static_cast<size_t>(merge.left)];
      text += ' ';
      text += vocabulary[static_cast<size_t>(merge.right)];
      text += '\n';
    }
    return text;
  }

  BpeParts parts_;
  AddedTokenFinder literal_, normalized_;
  uint32_t owner_ = WordCache::new_owner();
  std::array<ByteKind, 256> kinds_{};
  std::vector<std::string> texts_;   // by id as files name them, added tokens included
  std::vector<std::string> bytes_;   // by id, what decode() gives
  std::vector<int32_t> characters_;  // by id
};

}  // namespace

std::unique_ptr<Tokenizer> make_bpe_tokenizer(BpeParts parts) {
  return std::make_unique<BpeTokenizer>(std::move(parts));
}

}  // namespace strand
