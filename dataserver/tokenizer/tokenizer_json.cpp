// Reads a Hugging Face tokenizer.json. Whatever would make our ids differ from Hugging Face's is refused by name.
#include "dataserver/tokenizer/tokenizer_json.h"

#include "dataserver/tokenizer/bpe_tokenizer.h"
#include "dataserver/tokenizer/list_tokenizer.h"
#include "dataserver/tokenizer/post_processor.h"

namespace strand {
namespace {

class Reader {
 public:
  Reader(Json document, const std::string& origin, const TokenizerConfig& config)
      : document_(std::move(document)), place_(origin), config_(config) {}

  Result<std::unique_ptr<Tokenizer>> read() {
    if (!document_.is_object()) return place_.wrong("the file", "an object", document_);
    const Json& version = get(document_, "version");
    if (version != "1.0") return place_.wrong("version", "\"1.0\", the only one there is", version);
    const Json& model = get(document_, "model");
    if (!model.is_object()) return place_.wrong("model", "an object", model);
    const Json& type = get(model, "type");
    if (type == "WordLevel") return read_word_level(place_, document_, config_);
    if (type != "BPE") return place_.wrong("model.type", "\"BPE\" (or \"WordLevel\" as Strand writes it)", type);
    STRAND_ASSIGN(const WordRule words, read_words());
    STRAND_TRY(check_settings(model, words));
    return read_bpe(model, words);
  }

 private:
  static bool over_bytes(const WordRule& words) { return words.alphabet == BpeModel::Alphabet::kBytes; }

  Result<std::unique_ptr<Tokenizer>> read_bpe(const Json& model, const WordRule& words) {
    STRAND_ASSIGN(std::vector<std::string> tokens,
                  read_vocabulary(get(model, "vocab"), place_, "model.vocab", !over_bytes(words)));
    BpeReader reader(std::move(tokens));
    STRAND_ASSIGN(const int32_t unknown, read_unknown(get(model, "unk_token"), reader.ids(), over_bytes(words)));
    reader.set_unknown(unknown);
    STRAND_TRY(read_merges(get(model, "merges"), &reader));
    STRAND_TRY(reader.add_tokens(place_, get(document_, "added_tokens")));
    STRAND_ASSIGN(SequenceFrame frame, read_frame(place_, get(document_, "post_processor"), reader.ids()));
    STRAND_ASSIGN(const SpecialTokens specials, name_specials(place_, reader.ids(), config_, unknown, frame));
    return make_bpe_tokenizer({.model = BpeModel(reader.tokens(), reader.merges(), unknown, words.alphabet),
                               .words = words,
                               .added = reader.added(),
                               .frame = std::move(frame),
                               .specials = specials,
                               .document = std::move(document_)});
  }

  Result<WordRule> read_words() const {
    const Json& splitter = get(document_, "pre_tokenizer");
    const Json& type = splitter.is_object() ? get(splitter, "type") : splitter;
    if (type == "Whitespace") return WordRule();
    if (type != "ByteLevel") return place_.wrong("pre_tokenizer", "type \"Whitespace\" or \"ByteLevel\"", type);
    WordRule words;
    words.alphabet = BpeModel::Alphabet::kBytes;
    STRAND_ASSIGN(words.add_prefix_space, read_flag(splitter, "add_prefix_space", true));
    STRAND_ASSIGN(words.use_regex, read_flag(splitter, "use_regex", true));
    return words;
  }

  Result<bool> read_flag(const Json& splitter, const char* key, bool absent) const {
    const Json& value = get(splitter, key);
    if (value.is_null()) return absent;
    if (!value.is_boolean()) return place_.wrong(concat("pre_tokenizer.", key), "true or false", value);
    return value.get<bool>();
  }

  // The settings under which our encoder gives Hugging Face's ids.
  Status check_settings(const Json& model, const WordRule& words) const {
    if (const Json& value = get(document_, "normalizer"); !value.is_null()) {
      return place_.wrong("normalizer", "null", value);
    }
    if (const Json& decoder = get(document_, "decoder"); !decoder.is_null()) {
      const bool bytes = decoder.is_object() && get(decoder, "type") == "ByteLevel";
      if (!over_bytes(words)) return place_.wrong("decoder", "null", decoder);
      if (!bytes) return place_.wrong("decoder", "null or type \"ByteLevel\"", decoder);
    }
    if (const Json& dropout = get(model, "dropout"); !dropout.is_null() && dropout != 0) {
      return place_.wrong("model.dropout", "null", dropout);
    }
    for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
      const Json& value = get(model, key);
      if (!value.is_null() && value != "") return place_.wrong(concat("model.", key), "null", value);
    }
    for (const char* key : {"fuse_unk", "byte_fallback", "ignore_merges"}) {
      const Json& value = get(model, key);
      if (!value.is_null() && value != false) return place_.wrong(concat("model.", key), "false", value);
    }
    return {};
  }

  // Over bytes there may be none: then a byte that is no token is left out, as Hugging Face's does.
  Result<int32_t> read_unknown(const Json& unknown, const TokenIds& ids, bool may_be_absent) const {
    if (unknown.is_null() && may_be_absent) return -1;
    const auto found = unknown.is_string() ? ids.find(unknown.get<std::string>()) : ids.end();
    if (found == ids.end()) return place_.wrong("model.unk_token", "a token of model.vocab", unknown);
    return found->second;
  }

  // "left right", or ["left", "right"].
  Result<std::pair<std::string, std::string>> split_merge(size_t i, const Json& merge) const {
    if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
      return std::pair(merge[0].get<std::string>(), merge[1].get<std::string>());
    }
    if (merge.is_string()) {
      const std::vector<std::string> parts = split(merge.get_ref<const std::string&>(), ' ');
      if (parts.size() == 2) return std::pair(parts[0], parts[1]);
    }
    return place_.wrong(concat("model.merges[", i, "]"), "\"left right\" or [\"left\", \"right\"]", merge);
  }

  Status read_merges(const Json& list, BpeReader* reader) const {
    if (!list.is_array()) return place_.wrong("model.merges", "a list", list);
    for (size_t i = 0; i < list.size(); ++i) {
      if (list[i].is_string() && list[i].get_ref<const std::string&>().starts_with("#version")) continue;
      STRAND_ASSIGN(const auto parts, split_merge(i, list[i]));
      const auto where = [i] { return concat("model.merges[", i, "]"); };
      STRAND_TRY(reader->add_merge(place_, where, parts.first, parts.second));
    }
    return {};
  }

  Json document_;
  FilePlace place_;
  const TokenizerConfig& config_;
};

}  // namespace

Result<std::unique_ptr<Tokenizer>> read_tokenizer_json(std::string_view text, const std::string& origin,
                                                       const TokenizerConfig& config) {
  STRAND_ASSIGN(Json document, parse_json(text, origin));
  return Reader(std::move(document), origin, config).read();
}

Result<std::unique_ptr<Tokenizer>> parse_tokenizer_json(std::string_view text, const std::string& origin) {
  return read_tokenizer_json(text, origin, TokenizerConfig());
}

}  // namespace strand
