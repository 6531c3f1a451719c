#include "dataserver/tokenizer/document.h"

namespace strand {
namespace {

Json object_of(const char* name, Json content) {
  Json object = Json::object();
  object[name] = std::move(content);
  return object;
}

Json typed_piece(const char* kind, const std::string& name, int type) {
  Json content = Json::object();
  content["id"] = name;
  content["type_id"] = type;
  return object_of(kind, std::move(content));
}

Json added_document(const std::vector<AddedToken>& added) {
  Json list = Json::array();
  for (const AddedToken& token : added) {
    Json entry = Json::object();
    entry["id"] = token.id;
    entry["special"] = token.special;
    entry["content"] = token.content;
    entry["single_word"] = false;
    entry["lstrip"] = false;
    entry["rstrip"] = false;
    entry["normalized"] = token.normalized;
    list.push_back(std::move(entry));
  }
  return list;
}

Json template_document(const AddedToken* before, const AddedToken* after) {
  Json single = Json::array(), pair = Json::array(), tokens = Json::object();
  const auto special = [&](const AddedToken* token, Json* list, int type) {
    if (token == nullptr) return;
    list->push_back(typed_piece("SpecialToken", token->content, type));
    Json entry = Json::object();
    entry["id"] = token->content;
    entry["ids"] = Json::array({token->id});
    entry["tokens"] = Json::array({token->content});
    tokens[token->content] = std::move(entry);
  };
  for (Json* list : {&single, &pair}) {
    special(before, list, 0);
    list->push_back(typed_piece("Sequence", "A", 0));
    special(after, list, 0);
  }
  pair.push_back(typed_piece("Sequence", "B", 1));
  special(after, &pair, 1);
  Json processor = Json::object();
  processor["type"] = "TemplateProcessing";
  processor["single"] = std::move(single);
  processor["pair"] = std::move(pair);
  processor["special_tokens"] = std::move(tokens);
  return processor;
}

}  // namespace

Json tokenizer_document(const std::vector<AddedToken>& added, Json pre_tokenizer, const AddedToken* before,
                        const AddedToken* after, Json model) {
  Json document = Json::object();
  document["version"] = "1.0";
  document["truncation"] = nullptr;
  document["padding"] = nullptr;
  document["added_tokens"] = added_document(added);
  document["normalizer"] = nullptr;
  document["pre_tokenizer"] = std::move(pre_tokenizer);
  document["post_processor"] = template_document(before, after);
  document["decoder"] = nullptr;
  document["model"] = std::move(model);
  return document;
}

Json bpe_model_document(const BpeModel& model) {
  const std::vector<std::string>& vocabulary = model.vocabulary();
  Json document = Json::object();
  document["type"] = "BPE";
  document["dropout"] = nullptr;
  document["unk_token"] = vocabulary[static_cast<size_t>(model.unknown())];
  document["continuing_subword_prefix"] = nullptr;
  document["end_of_word_suffix"] = nullptr;
  document["fuse_unk"] = false;
  // Appended without a search for each key: an ordered object is a list, and assigning by key would be quadratic.
  Json::object_t ids;
  for (size_t id = 0; id < vocabulary.size(); ++id) ids.emplace_back(vocabulary[id], id);
  document["vocab"] = std::move(ids);
  Json merges = Json::array();
  for (const BpeMerge& merge : model.merges()) {
    merges.push_back(vocabulary[static_cast<size_t>(merge.left)] + " " + vocabulary[static_cast<size_t>(merge.right)]);
  }
  document["merges"] = std::move(merges);
  return document;
}

}  // namespace strand
