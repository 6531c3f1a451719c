// Reads a Hugging Face tokenizer.json. Whatever would make our ids differ from Hugging Face's is refused by name.
#include <unordered_map>

#include "dataserver/tokenizer/bpe_tokenizer.h"
#include "dataserver/tokenizer/tokenizer.h"
#include "shared/base/text.h"

namespace strand {
namespace {

using Ids = std::unordered_map<std::string, int32_t>;

std::string quoted(const Json& value) {
  std::string text = value.is_structured() ? std::string(value.type_name()) : value.dump();
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

// Null when absent, like a key that is there with the value null.
const Json& get(const Json& object, const char* key) {
  static const Json null;
  const auto found = object.find(key);
  return found == object.end() ? null : *found;
}

class Reader {
 public:
  Reader(const Json& document, const std::string& origin) : document_(document), origin_(origin) {}

  Result<std::unique_ptr<Tokenizer>> read() {
    if (!document_.is_object()) return wrong("the file", "an object", document_);
    const Json& version = get(document_, "version");
    if (version != "1.0") return wrong("version", "\"1.0\", the only one there is", version);
    const Json& model = get(document_, "model");
    if (!model.is_object()) return wrong("model", "an object", model);
    const Json& type = get(model, "type");
    if (type == "WordLevel") return read_letters(model);
    if (type != "BPE") return wrong("model.type", "\"BPE\" (or \"WordLevel\" as Strand writes it)", type);
    STRAND_TRY(check_settings(model));
    STRAND_ASSIGN(const std::vector<std::string> vocabulary, read_vocabulary(get(model, "vocab")));
    const Json& unknown = get(model, "unk_token");
    if (!unknown.is_string() || !ids_.contains(unknown.get<std::string>())) {
      return wrong("model.unk_token", "a token of model.vocab", unknown);
    }
    unknown_ = ids_.at(unknown.get<std::string>());
    STRAND_ASSIGN(std::vector<BpeMerge> merges, read_merges(get(model, "merges")));
    STRAND_ASSIGN(std::vector<AddedToken> added, read_added(get(document_, "added_tokens"), vocabulary.size()));
    return make_bpe_tokenizer(BpeModel(vocabulary, std::move(merges), unknown_), std::move(added), document_);
  }

 private:
  Error wrong(const std::string& where, const std::string& expected, const Json& found) const {
    return bad_input(concat(origin_, ": ", where, ": expected ", expected, ", found ", quoted(found)));
  }
  Error refused(const std::string& where, const std::string& what) const {
    return bad_input(concat(origin_, ": ", where, ": ", what));
  }

  // The settings under which our encoder gives Hugging Face's ids.
  Status check_settings(const Json& model) const {
    for (const char* key : {"normalizer", "decoder"}) {
      if (const Json& value = get(document_, key); !value.is_null()) return wrong(key, "null", value);
    }
    const Json& words = get(document_, "pre_tokenizer");
    if (!words.is_object() || get(words, "type") != "Whitespace") {
      return wrong("pre_tokenizer", "{\"type\": \"Whitespace\"}", words.is_object() ? get(words, "type") : words);
    }
    if (const Json& dropout = get(model, "dropout"); !dropout.is_null() && dropout != 0) {
      return wrong("model.dropout", "null", dropout);
    }
    for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
      const Json& value = get(model, key);
      if (!value.is_null() && value != "") return wrong(concat("model.", key), "null", value);
    }
    for (const char* key : {"fuse_unk", "byte_fallback", "ignore_merges"}) {
      const Json& value = get(model, key);
      if (!value.is_null() && value != false) return wrong(concat("model.", key), "false", value);
    }
    return {};
  }

  Result<std::vector<std::string>> read_vocabulary(const Json& vocab) {
    if (!vocab.is_object() || vocab.empty()) return wrong("model.vocab", "an object of tokens and ids", vocab);
    std::vector<std::string> tokens(vocab.size());
    for (const auto& [token, id] : vocab.items()) {
      const std::string where = concat("model.vocab[", quoted(token), "]");
      for (const char c : token) {
        if (c < '!' || c > '~') return refused(where, "a token may hold only printable ASCII characters and no space");
      }
      if (token.empty()) return refused(where, "a token must not be empty");
      if (!id.is_number_unsigned() || id.get<uint64_t>() >= tokens.size()) {
        return wrong(where, concat("an id from 0 to ", tokens.size() - 1, ", each used once"), id);
      }
      std::string& place = tokens[id.get<size_t>()];
      if (!place.empty()) return refused(where, concat("id ", id.get<size_t>(), " is also that of ", quoted(place)));
      place = token;
      if (!ids_.emplace(token, id.get<int32_t>()).second) return refused(where, "the token occurs twice");
    }
    return tokens;
  }

  // "left right", or ["left", "right"].
  Result<std::pair<std::string, std::string>> split_merge(const std::string& where, const Json& merge) const {
    if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
      return std::pair(merge[0].get<std::string>(), merge[1].get<std::string>());
    }
    if (merge.is_string()) {
      const std::vector<std::string> parts = split(merge.get<std::string>(), ' ');
      if (parts.size() == 2) return std::pair(parts[0], parts[1]);
    }
    return wrong(where, "\"left right\" or [\"left\", \"right\"]", merge);
  }

  Result<int32_t> id_in_merge(const std::string& where, const std::string& token) const {
    const auto found = ids_.find(token);
    if (found == ids_.end()) return refused(where, concat(quoted(token), " is not in model.vocab"));
    return found->second;
  }

  Result<std::vector<BpeMerge>> read_merges(const Json& list) const {
    if (!list.is_array()) return wrong("model.merges", "a list", list);
    std::vector<BpeMerge> merges;
    PairMap seen;
    for (size_t i = 0; i < list.size(); ++i) {
      if (list[i].is_string() && list[i].get_ref<const std::string&>().starts_with("#version")) continue;
      const std::string where = concat("model.merges[", i, "]");
      STRAND_ASSIGN(const auto parts, split_merge(where, list[i]));
      BpeMerge merge;
      STRAND_ASSIGN(merge.left, id_in_merge(where, parts.first));
      STRAND_ASSIGN(merge.right, id_in_merge(where, parts.second));
      STRAND_ASSIGN(merge.product, id_in_merge(where, parts.first + parts.second));
      if (merge.left == unknown_ || merge.right == unknown_) return refused(where, "merges the unknown token");
      const uint32_t rank = static_cast<uint32_t>(i);
      if (seen.find_or_insert(merge.left, merge.right, rank) != rank)
        return refused(where, "the same merge occurs twice");
      merges.push_back(merge);
    }
    return merges;
  }

  Result<AddedToken> read_added_token(const std::string& where, const Json& entry) const {
    if (!entry.is_object()) return wrong(where, "an object", entry);
    AddedToken token;
    const Json& content = get(entry, "content");
    if (!content.is_string() || content.get_ref<const std::string&>().empty()) {
      return wrong(where + ".content", "a text that is not empty", content);
    }
    token.content = content.get<std::string>();
    const Json& id = get(entry, "id");
    if (!id.is_number_unsigned() || id.get<uint64_t>() > INT32_MAX) return wrong(where + ".id", "a whole number", id);
    token.id = id.get<int32_t>();
    for (const char* key : {"single_word", "lstrip", "rstrip"}) {
      const Json& value = get(entry, key);
      if (!value.is_null() && value != false) return wrong(concat(where, ".", key), "false", value);
    }
    for (const auto& [key, flag] : {std::pair{"special", &token.special}, std::pair{"normalized", &token.normalized}}) {
      const Json& value = get(entry, key);
      if (!value.is_boolean()) return wrong(concat(where, ".", key), "true or false", value);
      *flag = value.get<bool>();
    }
    return token;
  }

  // An added token is one of the model's, or the next id after all so far.
  Result<std::vector<AddedToken>> read_added(const Json& list, size_t ids) {
    std::vector<AddedToken> added;
    if (list.is_null()) return added;
    if (!list.is_array()) return wrong("added_tokens", "a list", list);
    for (size_t i = 0; i < list.size(); ++i) {
      const std::string where = concat("added_tokens[", i, "]");
      STRAND_ASSIGN(AddedToken token, read_added_token(where, list[i]));
      const auto known = ids_.find(token.content);
      const size_t expected = known == ids_.end() ? ids++ : static_cast<size_t>(known->second);
      if (static_cast<size_t>(token.id) != expected) {
        return wrong(where + ".id", concat(expected, ", the id of ", quoted(token.content)), token.id);
      }
      for (const AddedToken& other : added) {
        if (other.id == token.id) return refused(where, concat(quoted(token.content), " is added twice"));
      }
      ids_.emplace(token.content, token.id);
      added.push_back(std::move(token));
    }
    return added;
  }

  // Letter tokenizers are read back only as written: the vocabulary says which one it must be.
  Result<std::unique_ptr<Tokenizer>> read_letters(const Json& model) const {
    const Json& vocab = get(model, "vocab");
    if (!vocab.is_object()) return wrong("model.vocab", "an object of tokens and ids", vocab);
    std::unique_ptr<Tokenizer> candidate = make_nucleotide_tokenizer();
    for (int k = 1; static_cast<size_t>(candidate->vocabulary()) != vocab.size() && k <= kLongestKmer; ++k) {
      if (vocab.size() == kmer_vocabulary(k)) candidate = make_kmer_tokenizer(k);
    }
    const auto ours = parse_json(candidate->to_json(), origin_);
    if (!ours.ok() || ours.value() != document_) {
      return refused("model",
                     "a WordLevel tokenizer is read only exactly as Strand writes it; name it by kind instead");
    }
    return candidate;
  }

  static size_t kmer_vocabulary(int k) { return 9 + (k > 1 ? size_t{1} << (2 * k) : 0); }

  const Json& document_;
  const std::string& origin_;
  Ids ids_;
  int32_t unknown_ = 0;
};

}  // namespace

Result<std::unique_ptr<Tokenizer>> parse_tokenizer_json(std::string_view text, const std::string& origin) {
  STRAND_ASSIGN(const Json document, parse_json(text, origin));
  return Reader(document, origin).read();
}

}  // namespace strand
