#include "dataserver/tokenizer/special_names.h"

#include <algorithm>

namespace strand {
namespace {

struct Role {
  const char* name;  // of the key, without "_token"
  int32_t SpecialTokens::*id;
  std::vector<const char*> texts;  // the first that is a token
};

const std::vector<Role>& roles() {
  static const std::vector<Role> list = {
      {"bos", &SpecialTokens::bos, {"[BOS]", "<bos>", "<s>", "<|endoftext|>"}},
      {"cls", &SpecialTokens::cls, {"[CLS]", "<cls>"}},
      {"eos", &SpecialTokens::eos, {"[EOS]", "<eos>", "</s>", "<|endoftext|>"}},
      {"mask", &SpecialTokens::mask, {"[MASK]", "<mask>"}},
      {"pad", &SpecialTokens::pad, {"[PAD]", "<pad>"}},
      {"sep", &SpecialTokens::sep, {"[SEP]", "<sep>"}},
      {"unk", &SpecialTokens::unknown, {"[UNK]", "<unk>", "<|endoftext|>"}},
  };
  return list;
}

bool token_is(const TokenIds& ids, const char* text, int32_t id) {
  const auto found = ids.find(text);
  return found != ids.end() && found->second == id;
}

// The first ids of fairseq's dictionaries, which RoBERTa and OPT have.
bool has_fairseq_layout(const TokenIds& ids) {
  return token_is(ids, "<s>", 0) && token_is(ids, "<pad>", 1) && token_is(ids, "</s>", 2) && token_is(ids, "<unk>", 3);
}

SpecialTokens by_names(const TokenIds& ids, const SequenceFrame& frame) {
  SpecialTokens specials;
  for (const Role& role : roles()) {
    for (auto text = role.texts.begin(); text != role.texts.end() && specials.*role.id < 0; ++text) {
      if (const auto found = ids.find(*text); found != ids.end()) specials.*role.id = found->second;
    }
  }
  if (!has_fairseq_layout(ids)) return specials;
  if (frame == SequenceFrame{{0}, {2}}) {
    specials.cls = 0;
    specials.sep = 2;
  } else {
    specials = {.unknown = 2, .pad = 1, .bos = 2, .eos = 2};
  }
  return specials;
}

bool is_roberta(const TokenizerConfig& config) {
  return config.tokenizer_class.starts_with("Roberta");
}

class ConfigReader {
 public:
  Status read_config(const FilePlace& place, const Json& document) {
    config_.has_config = true;
    STRAND_TRY(read_roles(place, document));
    if (const Json& name = get(document, "tokenizer_class"); name.is_string()) {
      config_.tokenizer_class = name.get<std::string>();
    }
    for (const auto& [key, value] :
         {std::pair{"add_bos_token", &config_.add_bos}, std::pair{"add_eos_token", &config_.add_eos}}) {
      STRAND_TRY(read_flag(place, document, key, value));
    }
    std::optional<bool> prefix_space;
    STRAND_TRY(read_flag(place, document, "add_prefix_space", &prefix_space));
    config_.add_prefix_space = prefix_space.value_or(false);
    return read_added(place, get(document, "added_tokens_decoder"));
  }

  Status read_map(const FilePlace& place, const Json& document) { return read_roles(place, document); }

  TokenizerConfig take() { return std::move(config_); }

 private:
  static Status read_flag(const FilePlace& place, const Json& document, const char* key, std::optional<bool>* flag) {
    const Json& value = get(document, key);
    if (value.is_null()) return {};
    if (!value.is_boolean()) return place.wrong(key, "true or false", value);
    *flag = value.get<bool>();
    return {};
  }

  // "bos_token": "</s>", or an object with the content and flags. A role that is named already stays.
  Status read_roles(const FilePlace& place, const Json& document) {
    if (!document.is_object()) return place.wrong("the file", "an object", document);
    for (const Role& role : roles()) {
      const std::string key = concat(role.name, "_token");
      const Json& value = get(document, key.c_str());
      if (value.is_null()) continue;
      AddedToken token;
      if (value.is_string() && !value.get_ref<const std::string&>().empty()) {
        token.content = value.get<std::string>();
      } else if (value.is_object()) {
        STRAND_ASSIGN(token, read_added_token(place, key, value, 0));
        token.special = true;
      } else {
        return place.wrong(key, "a text, or an object with its \"content\"", value);
      }
      config_.named.emplace(role.name, std::move(token));
    }
    return {};
  }

  // {"0": {"content": "[UNK]", ...}, ...}
  Status read_added(const FilePlace& place, const Json& list) {
    if (list.is_null()) return {};
    if (!list.is_object()) return place.wrong("added_tokens_decoder", "an object", list);
    for (const auto& [key, entry] : list.items()) {
      const std::string where = concat("added_tokens_decoder[", quoted(key), "]");
      const bool digits = !key.empty() && key.size() < 10 &&
                          std::all_of(key.begin(), key.end(), [](char c) { return c >= '0' && c <= '9'; });
      if (!digits) return place.refused(where, "expected a key that is an id");
      STRAND_ASSIGN(AddedToken token, read_added_token(place, where, entry, std::stoi(key)));
      config_.added.push_back(std::move(token));
    }
    std::stable_sort(config_.added.begin(), config_.added.end(),
                     [](const AddedToken& a, const AddedToken& b) { return a.id < b.id; });
    return {};
  }

  TokenizerConfig config_;
};

}  // namespace

Result<TokenizerConfig> parse_tokenizer_config(std::string_view config, const std::string& config_origin,
                                               std::string_view map, const std::string& map_origin) {
  ConfigReader reader;
  if (!config.empty()) {
    STRAND_ASSIGN(const Json document, parse_json(config, config_origin));
    STRAND_TRY(reader.read_config(FilePlace(config_origin), document));
  }
  if (!map.empty()) {
    STRAND_ASSIGN(const Json document, parse_json(map, map_origin));
    STRAND_TRY(reader.read_map(FilePlace(map_origin), document));
  }
  return reader.take();
}

Result<SpecialTokens> name_specials(const FilePlace& place, const TokenIds& ids, const TokenizerConfig& config,
                                    int32_t model_unknown, const SequenceFrame& frame) {
  SpecialTokens specials;
  if (config.named.empty()) {
    specials = by_names(ids, is_roberta(config) ? SequenceFrame{{0}, {2}} : frame);
  } else {
    for (const Role& role : roles()) {
      const auto named = config.named.find(role.name);
      if (named == config.named.end()) continue;
      const auto found = ids.find(named->second.content);
      if (found == ids.end()) {
        return place.refused(concat(role.name, "_token"),
                             concat("the files beside the vocabulary name ", quoted(named->second.content),
                                    ", which is no token of it; add the token or correct the name"));
      }
      specials.*role.id = found->second;
    }
  }
  if (model_unknown >= 0) specials.unknown = model_unknown;
  return specials;
}

SequenceFrame byte_level_frame(const TokenIds& ids, const TokenizerConfig& config, const SpecialTokens& specials) {
  SequenceFrame frame;
  const auto put = [](std::vector<int32_t>* place, int32_t id) {
    if (id >= 0) place->push_back(id);
  };
  if (is_roberta(config)) {
    put(&frame.prefix, specials.cls >= 0 ? specials.cls : specials.bos);
    put(&frame.suffix, specials.sep >= 0 ? specials.sep : specials.eos);
  } else if (config.has_config) {
    if (config.add_bos.value_or(false)) put(&frame.prefix, specials.bos);
    if (config.add_eos.value_or(false)) put(&frame.suffix, specials.eos);
  } else if (has_fairseq_layout(ids)) {
    put(&frame.prefix, specials.bos);
  }
  return frame;
}

SequenceFrame list_frame(const TokenizerConfig& config, const SpecialTokens& specials) {
  SequenceFrame frame;
  if (specials.cls >= 0) frame.prefix.push_back(specials.cls);
  const int32_t last = specials.sep >= 0 || config.named.empty() ? specials.sep : specials.eos;
  if (last >= 0) frame.suffix.push_back(last);
  return frame;
}

std::vector<TokenizerFile> config_files(const SpecialTokens& specials, const std::vector<std::string>& texts,
                                        const std::vector<AddedToken>& added, const std::string& tokenizer_class,
                                        const std::vector<std::pair<std::string, Json>>& extra) {
  std::map<std::string, Json> config;  // sorted, as the Python libraries write it
  Json map = Json::object();
  for (const Role& role : roles()) {
    if (specials.*role.id < 0) continue;
    const std::string key = concat(role.name, "_token"), &text = texts[static_cast<size_t>(specials.*role.id)];
    config[key] = map[key] = text;
  }
  std::vector<const AddedToken*> by_id;
  for (const AddedToken& token : added) by_id.push_back(&token);
  std::sort(by_id.begin(), by_id.end(), [](const auto* a, const auto* b) { return a->id < b->id; });
  Json::object_t decoder;  // appended: an ordered object is a list
  for (const AddedToken* token : by_id) {
    Json entry = Json::object();
    entry["content"] = token->content;
    entry["lstrip"] = token->lstrip;
    entry["normalized"] = token->normalized;
    entry["rstrip"] = token->rstrip;
    entry["single_word"] = token->single_word;
    entry["special"] = token->special;
    decoder.emplace_back(std::to_string(token->id), std::move(entry));
  }
  config["added_tokens_decoder"] = std::move(decoder);
  config["clean_up_tokenization_spaces"] = false;
  config["tokenizer_class"] = tokenizer_class;
  for (const auto& [key, value] : extra) config[key] = value;
  Json document = Json::object();
  for (const auto& [key, value] : config) document[key] = value;
  return {{"tokenizer_config.json", dump_json(document, 2) + "\n"},
          {"special_tokens_map.json", dump_json(map, 2) + "\n"}};
}

}  // namespace strand
