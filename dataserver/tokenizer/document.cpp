#include "dataserver/tokenizer/document.h"

#include "dataserver/tokenizer/post_processor.h"

namespace strand {
namespace {

Json added_document(const std::vector<AddedToken>& added) {
  Json list = Json::array();
  for (const AddedToken& token : added) {
    Json entry = Json::object();
    entry["id"] = token.id;
    entry["special"] = token.special;
    entry["content"] = token.content;
    entry["single_word"] = token.single_word;
    entry["lstrip"] = token.lstrip;
    entry["rstrip"] = token.rstrip;
    entry["normalized"] = token.normalized;
    list.push_back(std::move(entry));
  }
  return list;
}

}  // namespace

Json tokenizer_document(const std::vector<AddedToken>& added, Json pre_tokenizer, const SequenceFrame& frame,
                        const std::vector<std::string>& texts, Json decoder, Json model) {
  Json document = Json::object();
  document["version"] = "1.0";
  document["truncation"] = nullptr;
  document["padding"] = nullptr;
  document["added_tokens"] = added_document(added);
  document["normalizer"] = nullptr;
  document["pre_tokenizer"] = std::move(pre_tokenizer);
  document["post_processor"] = frame_document(frame, texts);
  document["decoder"] = std::move(decoder);
  document["model"] = std::move(model);
  return document;
}

Json byte_level_document(bool add_prefix_space, bool use_regex) {
  Json object = Json::object();
  object["type"] = "ByteLevel";
  object["add_prefix_space"] = add_prefix_space;
  object["trim_offsets"] = true;
  object["use_regex"] = use_regex;
  return object;
}

Json bpe_model_document(const BpeModel& model) {
  const std::vector<std::string>& vocabulary = model.vocabulary();
  Json document = Json::object();
  document["type"] = "BPE";
  document["dropout"] = nullptr;
  document["unk_token"] = nullptr;
  if (model.unknown() >= 0) document["unk_token"] = vocabulary[static_cast<size_t>(model.unknown())];
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
