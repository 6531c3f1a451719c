#include "dataserver/tokenizer/list_tokenizer.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <set>

#include "dataserver/tokenizer/document.h"
#include "dataserver/tokenizer/post_processor.h"
#include "dataserver/tokenizer/token_trie.h"
#include "dataserver/tokenizer/utf8.h"

namespace strand {
namespace {

bool is_letter(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0;
}

// A regular expression for exactly this text.
std::string escaped(const std::string& text) {
  std::string pattern;
  for (const char c : text) {
    if (!is_letter(c) && c != '_') pattern += '\\';
    pattern += c;
  }
  return pattern;
}

// "[ATCG]{6}" when the words are all words of one length over some letters, in the order of their first use; else
// empty.
std::string kmer_pattern(const std::vector<std::string>& words) {
  if (words.empty()) return "";
  std::string letters;
  size_t all = 1;
  for (const std::string& word : words) {
    if (word.size() != words[0].size()) return "";
    for (const char c : word) {
      if (letters.find(c) == std::string::npos) letters += c;
    }
  }
  for (size_t i = 0; i < words[0].size() && all <= words.size(); ++i) all *= letters.size();
  if (all != words.size() || !std::all_of(letters.begin(), letters.end(), is_letter)) return "";
  return concat("[", letters, "]{", words[0].size(), "}");
}

// Tokens that are not special as a regular expression whose first alternative that matches is the longest token.
std::string token_pattern(const std::vector<std::string>& tokens) {
  std::vector<std::string> words, alternatives;
  std::string letters;
  bool plain = true;
  for (const std::string& token : tokens) {
    if (is_special_text(token)) continue;
    if (token.size() > 1) {
      words.push_back(token);
    } else {
      letters += token;
      plain = plain && is_letter(token[0]);
    }
  }
  if (const std::string kmers = kmer_pattern(words); !kmers.empty()) {
    alternatives.push_back(kmers);
  } else {
    std::stable_sort(words.begin(), words.end(), [](const auto& a, const auto& b) { return a.size() > b.size(); });
    for (const std::string& word : words) alternatives.push_back(escaped(word));
  }
  if (!letters.empty() && plain) {
    alternatives.push_back(concat("[", letters, "]"));
  } else {
    for (const char c : letters) alternatives.push_back(escaped(std::string(1, c)));
  }
  return join(alternatives, "|");
}

// The cut of encode() in the terms of tokenizer.json.
Json splitter(const std::string& pattern) {
  Json split = Json::object();
  split["type"] = "Split";
  split["pattern"] = Json::object();
  split["pattern"]["Regex"] = pattern;
  split["behavior"] = "Isolated";
  split["invert"] = false;
  Json spaces = Json::object();
  spaces["type"] = "WhitespaceSplit";
  Json sequence = Json::object();
  sequence["type"] = "Sequence";
  sequence["pretokenizers"] = Json::array();
  if (!pattern.empty()) sequence["pretokenizers"].push_back(std::move(split));
  sequence["pretokenizers"].push_back(std::move(spaces));
  return sequence;
}

std::vector<std::pair<std::string, int32_t>> numbered(const std::vector<std::string>& tokens) {
  std::vector<std::pair<std::string, int32_t>> texts;
  for (const std::string& token : tokens) texts.emplace_back(token, static_cast<int32_t>(texts.size()));
  return texts;
}

// Names of the vocabularies that Strand makes by itself, wherever they come from; "list 1" of any other.
std::string fingerprint_name(const std::vector<std::string>& tokens) {
  if (tokens == nucleotide_vocabulary()) return "nucleotide 1";
  for (int k = 1; k <= kLongestKmer; ++k) {
    if (tokens.size() == kmer_vocabulary_size(k) && tokens == kmer_vocabulary(k)) return concat("kmer 1, k = ", k);
  }
  return "list 1";
}

class ListTokenizer final : public Tokenizer {
 public:
  explicit ListTokenizer(TokenList list) : list_(std::move(list)), trie_(numbered(list_.tokens)) {
    alone_.fill(-1);
    std::array<int, 256> starting{};
    for (const std::string& token : list_.tokens) ++starting[static_cast<uint8_t>(token[0])];
    for (size_t id = 0; id < list_.tokens.size(); ++id) {
      const std::string& token = list_.tokens[id];
      const uint8_t first = static_cast<uint8_t>(token[0]);
      if (token.size() == 1 && starting[first] == 1) alone_[first] = static_cast<int32_t>(id);
      characters_.push_back(is_special_text(token) ? 0 : static_cast<int32_t>(token.size()));
    }
  }

  int32_t vocabulary() const override { return static_cast<int32_t>(list_.tokens.size()); }
  SpecialTokens specials() const override { return list_.specials; }
  const SequenceFrame& frame() const override { return list_.frame; }

  void encode(std::string_view text, std::vector<int32_t>* ids) const override {
    bool in_unknown = false;
    for (size_t at = 0; at < text.size();) {
      const TokenTrie::Match match = token_at(text, at);
      if (match.value >= 0) {
        ids->push_back(match.value);
        at += match.length;
        in_unknown = false;
      } else {
        const bool space = is_white_space(text, at);
        if (!space && !in_unknown) ids->push_back(list_.specials.unknown);
        in_unknown = !space;
        at += character_bytes(text, at);
      }
    }
  }

  std::string decode(const std::vector<int32_t>& ids) const override {
    std::string text;
    for (const int32_t id : ids) text += token(id >= 0 && id < vocabulary() ? id : list_.specials.unknown);
    return text;
  }

  int32_t characters(int32_t id) const override {
    return id >= 0 && id < vocabulary() ? characters_[static_cast<size_t>(id)] : 0;
  }

  Digest128 fingerprint() const override {
    Hasher128 hasher;
    hasher.update_text(fingerprint_name(list_.tokens));
    hasher.update_u64(list_.tokens.size());
    for (const std::string& token : list_.tokens) hasher.update_text(token);
    return hasher.digest();
  }

  std::string to_json() const override {
    Json model = Json::object();
    model["type"] = "WordLevel";
    Json::object_t words;  // appended: an ordered object is a list
    for (size_t id = 0; id < list_.tokens.size(); ++id) words.emplace_back(list_.tokens[id], id);
    model["vocab"] = std::move(words);
    model["unk_token"] = token(list_.specials.unknown);
    return dump_json(tokenizer_document(added(), splitter(token_pattern(list_.tokens)), list_.frame, list_.tokens,
                                        nullptr, std::move(model)),
                     2);
  }

  std::vector<TokenizerFile> files() const override {
    std::string lines;
    for (const std::string& token : list_.tokens) lines += token + "\n";
    std::vector<TokenizerFile> files = {{"tokenizer.json", to_json()}, {"vocab.txt", std::move(lines)}};
    // EsmTokenizer is the Python class that cuts by this rule; its names are those in angle brackets. It closes every
    // sequence with the eos token unless that is said to be none.
    const bool esm = token(list_.specials.unknown) == "<unk>";
    SpecialTokens named = list_.specials;
    std::vector<std::pair<std::string, Json>> extra;
    if (esm && list_.frame.suffix.empty()) {
      named.eos = -1;
      extra.emplace_back("eos_token", nullptr);
    }
    const std::string tokenizer_class = esm ? "EsmTokenizer" : "PreTrainedTokenizerFast";
    for (TokenizerFile& file : config_files(named, list_.tokens, added(), tokenizer_class, extra)) {
      files.push_back(std::move(file));
    }
    return files;
  }

 private:
  const std::string& token(int32_t id) const { return list_.tokens[static_cast<size_t>(id)]; }

  std::vector<AddedToken> added() const {
    std::vector<AddedToken> added;
    for (int32_t id = 0; id < vocabulary(); ++id) {
      if (is_special_text(token(id))) added.push_back({.id = id, .content = token(id)});
    }
    return added;
  }

  TokenTrie::Match token_at(std::string_view text, size_t at) const {
    const int32_t id = alone_[static_cast<uint8_t>(text[at])];
    return id >= 0 ? TokenTrie::Match{id, 1} : trie_.longest(text, at);
  }

  TokenList list_;
  TokenTrie trie_;
  std::array<int32_t, 256> alone_;  // the id of a letter with which no other token begins, or -1
  std::vector<int32_t> characters_;
};

std::string line_of(const std::string& token, size_t id) {
  return concat("line ", id + 1, ", ", quoted(token));
}

std::string entry_of(const std::string& token, size_t) {
  return concat("model.vocab[", quoted(token), "]");
}

TokenIds ids_of(const std::vector<std::string>& tokens) {
  TokenIds ids;
  for (size_t id = 0; id < tokens.size(); ++id) ids.emplace(tokens[id], static_cast<int32_t>(id));
  return ids;
}

// The k of which these are the overlapping k-mers; 0 for other lists.
int overlapping_length(const std::vector<std::string>& tokens) {
  const auto k = static_cast<int>(tokens.back().size());
  return k <= kLongestKmer && tokens == overlapping_vocabulary(k) ? k : 0;
}

// With specials by name or config; `unknown` unless it is -1; an unknown token must be there.
Result<TokenList> named_list(const FilePlace& place, std::vector<std::string> tokens, const TokenizerConfig& config,
                             int32_t unknown) {
  TokenList list;
  STRAND_ASSIGN(list.specials, name_specials(place, ids_of(tokens), config, unknown, {}));
  if (list.specials.unknown < 0) {
    return place.refused("the vocabulary", "it has no unknown token; add a line [UNK] or <unk>");
  }
  list.tokens = std::move(tokens);
  return list;
}

}  // namespace

bool is_special_text(std::string_view text) {
  return text.size() > 2 &&
         ((text.front() == '[' && text.back() == ']') || (text.front() == '<' && text.back() == '>'));
}

Status check_token_list(const FilePlace& place, const std::vector<std::string>& tokens,
                        std::string (*name)(const std::string& token, size_t id)) {
  std::set<std::string_view> seen;
  for (size_t id = 0; id < tokens.size(); ++id) {
    const std::string& token = tokens[id];
    if (token.empty()) return place.refused(name(token, id), "a token must not be empty; remove the line");
    if (!std::all_of(token.begin(), token.end(), [](char c) { return c >= '!' && c <= '~'; })) {
      return place.refused(name(token, id), "a token may hold only printable ASCII characters and no space");
    }
    if (!seen.insert(token).second) return place.refused(name(token, id), "the token occurs twice");
    if (token.starts_with("##")) {
      return place.refused(name(token, id),
                           "a piece of WordPiece, whose rule is not the longest token; give the"
                           " model's tokenizer.json");
    }
    if (!is_special_text(token) && token.find_first_of("[]<>") != std::string::npos) {
      return place.refused(name(token, id), "a token with a bracket that is not in brackets as a whole");
    }
  }
  return {};
}

std::unique_ptr<Tokenizer> make_list_tokenizer(TokenList list) {
  return std::make_unique<ListTokenizer>(std::move(list));
}

Result<std::unique_ptr<Tokenizer>> parse_vocab_txt(std::string_view text, const std::string& origin,
                                                   const TokenizerConfig& config) {
  const FilePlace place(origin);
  if (text.empty()) return place.refused("the file", "it is empty; expected one token in each line");
  if (text.ends_with('\n')) text.remove_suffix(1);
  std::vector<std::string> tokens = split(text, '\n');
  for (std::string& token : tokens) {
    if (token.ends_with('\r')) token.pop_back();
  }
  STRAND_TRY(check_token_list(place, tokens, line_of));
  STRAND_ASSIGN(TokenList list, named_list(place, std::move(tokens), config, -1));
  list.frame = list_frame(config, list.specials);
  return make_list_tokenizer(std::move(list));
}

Result<std::unique_ptr<Tokenizer>> read_word_level(const FilePlace& place, const Json& document,
                                                   const TokenizerConfig& config) {
  const Json& model = get(document, "model");
  STRAND_ASSIGN(std::vector<std::string> tokens, read_vocabulary(get(model, "vocab"), place, "model.vocab", true));
  STRAND_TRY(check_token_list(place, tokens, entry_of));
  const TokenIds ids = ids_of(tokens);
  const Json& unknown = get(model, "unk_token");
  const auto found = unknown.is_string() ? ids.find(unknown.get<std::string>()) : ids.end();
  if (found == ids.end()) return place.wrong("model.unk_token", "a token of model.vocab", unknown);
  STRAND_ASSIGN(TokenList list, named_list(place, std::move(tokens), config, found->second));
  STRAND_ASSIGN(list.frame, read_frame(place, get(document, "post_processor"), ids));
  std::unique_ptr<Tokenizer> tokenizer;
  const Json& cut = get(document, "pre_tokenizer");
  const int k = cut.is_object() && get(cut, "type") == "WhitespaceSplit" ? overlapping_length(list.tokens) : 0;
  tokenizer = k > 0 ? make_overlapping_tokenizer(k) : make_list_tokenizer(std::move(list));
  const auto ours = parse_json(tokenizer->to_json(), place.origin());
  if (!ours.ok() || ours.value() != document) {
    return place.refused("model",
                         "a WordLevel tokenizer is read only exactly as Strand writes it; give its vocab.txt,"
                         " or name it by kind instead");
  }
  return tokenizer;
}

}  // namespace strand
