#include "dataserver/tokenizer/bpe_reader.h"

#include <algorithm>
#include <utility>

namespace strand {
namespace {

bool printable_ascii(const std::string& text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= '!' && c <= '~'; });
}

}  // namespace

Result<std::vector<std::string>> read_vocabulary(const Json& vocab, const FilePlace& place, const std::string& name,
                                                 bool ascii) {
  if (!vocab.is_object() || vocab.empty()) return place.wrong(name, "an object of tokens and ids", vocab);
  std::vector<std::string> tokens(vocab.size());
  for (const auto& [token, id] : vocab.get_ref<const Json::object_t&>()) {
    const auto where = [&, &token = token] { return concat(name, "[", quoted(token), "]"); };
    if (ascii && !printable_ascii(token)) {
      return place.refused(where(), "a token may hold only printable ASCII characters and no space");
    }
    if (token.empty()) return place.refused(where(), "a token must not be empty");
    if (!id.is_number_unsigned() || id.get<uint64_t>() >= tokens.size()) {
      return place.wrong(where(), concat("an id from 0 to ", tokens.size() - 1, ", each used once"), id);
    }
    std::string& slot = tokens[id.get<size_t>()];
    if (!slot.empty()) {
      return place.refused(where(), concat("id ", id.get<size_t>(), " is also that of ", quoted(slot)));
    }
    slot = token;
  }
  return tokens;
}

BpeReader::BpeReader(std::vector<std::string> tokens) : tokens_(std::move(tokens)), next_id_(tokens_.size()) {
  ids_.reserve(tokens_.size());
  for (size_t id = 0; id < tokens_.size(); ++id) ids_.emplace(tokens_[id], static_cast<int32_t>(id));
}

Status BpeReader::add_merge(const FilePlace& place, const Where& where, const std::string& left,
                            const std::string& right) {
  BpeMerge merge;
  for (const auto& [text, id] :
       {std::pair<std::string, int32_t*>{left, &merge.left}, {right, &merge.right}, {left + right, &merge.product}}) {
    const auto found = ids_.find(text);
    if (found == ids_.end()) return place.refused(where(), concat(quoted(text), " is not in the vocabulary"));
    *id = found->second;
  }
  if (unknown_ >= 0 && (merge.left == unknown_ || merge.right == unknown_)) {
    return place.refused(where(), "merges the unknown token");
  }
  const uint32_t rank = static_cast<uint32_t>(merges_.size());
  if (seen_.find_or_insert(merge.left, merge.right, rank) != rank) {
    return place.refused(where(), "the same merge occurs twice");
  }
  merges_.push_back(merge);
  return {};
}

Status BpeReader::add_token(const FilePlace& place, const std::string& where, AddedToken token) {
  const auto known = ids_.find(token.content);
  const size_t expected = known == ids_.end() ? next_id_ : static_cast<size_t>(known->second);
  if (static_cast<size_t>(token.id) != expected) {
    return place.wrong(where + ".id", concat(expected, ", the id of ", quoted(token.content)), token.id);
  }
  if (known == ids_.end()) ++next_id_;
  const bool twice = std::any_of(added_.begin(), added_.end(), [&](const auto& other) { return other.id == token.id; });
  if (twice) return place.refused(where, concat(quoted(token.content), " is added twice"));
  ids_.emplace(token.content, token.id);
  added_.push_back(std::move(token));
  return {};
}

Status BpeReader::add_tokens(const FilePlace& place, const Json& list) {
  if (list.is_null()) return {};
  if (!list.is_array()) return place.wrong("added_tokens", "a list", list);
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string where = concat("added_tokens[", i, "]");
    STRAND_ASSIGN(AddedToken token, read_added_token(place, where, list[i], -1));
    STRAND_TRY(add_token(place, where, std::move(token)));
  }
  return {};
}

Result<AddedToken> read_added_token(const FilePlace& place, const std::string& where, const Json& entry, int32_t id) {
  if (!entry.is_object()) return place.wrong(where, "an object", entry);
  AddedToken token;
  const Json& content = get(entry, "content");
  if (!content.is_string() || content.get_ref<const std::string&>().empty()) {
    return place.wrong(where + ".content", "a text that is not empty", content);
  }
  token.content = content.get<std::string>();
  token.id = id;
  if (const Json& given = get(entry, "id"); id < 0 || !given.is_null()) {
    if (!given.is_number_unsigned() || given.get<uint64_t>() > INT32_MAX) {
      return place.wrong(where + ".id", "a whole number", given);
    }
    token.id = given.get<int32_t>();
  }
  for (const auto& [key, flag] : {std::pair{"special", &token.special}, std::pair{"normalized", &token.normalized},
                                  std::pair{"single_word", &token.single_word}, std::pair{"lstrip", &token.lstrip},
                                  std::pair{"rstrip", &token.rstrip}}) {
    const Json& value = get(entry, key);
    if (value.is_null()) continue;
    if (!value.is_boolean()) return place.wrong(concat(where, ".", key), "true or false", value);
    *flag = value.get<bool>();
  }
  return token;
}

}  // namespace strand
