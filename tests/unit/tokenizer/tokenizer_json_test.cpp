// A damaged or foreign tokenizer.json is refused with the place and what was expected there.
#include <gtest/gtest.h>

#include <functional>

#include "shared/formats/json.h"
#include "tests/unit/tokenizer/test_tokenizers.h"

namespace strand {
namespace {

using Ids = std::vector<int32_t>;

// Six tokens, two merges, one added token beyond the model's.
constexpr const char* kSmall = R"({
  "version": "1.0", "truncation": null, "padding": null,
  "added_tokens": [
    {"id": 0, "special": true, "content": "[UNK]", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false},
    {"id": 6, "content": "label_1", "single_word": false, "lstrip": false, "rstrip": false, "normalized": true, "special": false}],
  "normalizer": null, "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null, "decoder": null,
  "model": {"type": "BPE", "dropout": null, "unk_token": "[UNK]", "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false,
            "vocab": {"[UNK]": 0, "A": 1, "C": 2, ".": 3, "AC": 4, "ACC": 5}, "merges": ["#version: 0.2", "A C", ["AC", "C"]]},
  "something_new": {"kept": [1, 2.5]}})";

Json small() {
  return parse_json(kSmall, "small").value();
}

TEST(TokenizerJson, ReadsEveryPart) {
  const auto tokenizer = parse_tokenizer_json(kSmall, "small.json");
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message();
  EXPECT_EQ(tokenizer.value()->vocabulary(), 7);
  EXPECT_EQ(encode(*tokenizer.value(), "ACCAC A.C"), (Ids{5, 4, 1, 3, 2}));
  EXPECT_EQ(encode(*tokenizer.value(), "AClabel_1C[UNK]label_2"), (Ids{4, 6, 2, 0, 0, 0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(tokenizer.value()->characters(5), 3);
  EXPECT_EQ(tokenizer.value()->characters(6), 0);
  EXPECT_EQ(tokenizer.value()->decode({5, 6, 99}), "ACClabel_1[UNK]");
  const auto again = parse_json(tokenizer.value()->to_json(), "again");
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again.value(), small());
}

struct Damage {
  const char* name;
  std::function<void(Json&)> make;
  const char* place;  // part of the message
};

const std::vector<Damage>& damages() {
  static const std::vector<Damage> list = {
      {"root", [](Json& j) { j = Json::array(); }, "the file: expected an object"},
      {"no version", [](Json& j) { j.erase("version"); }, "version: expected \"1.0\""},
      {"other version", [](Json& j) { j["version"] = "2.0"; }, "found \"2.0\""},
      {"no model", [](Json& j) { j.erase("model"); }, "model: expected an object"},
      {"model type", [](Json& j) { j["model"]["type"] = "Unigram"; }, "model.type"},
      {"normalizer",
       [](Json& j) {
         j["normalizer"] = {{"type", "Lowercase"}};
       },
       "normalizer: expected null"},
      {"decoder",
       [](Json& j) {
         j["decoder"] = {{"type", "ByteLevel"}};
       },
       "decoder"},
      {"pre_tokenizer", [](Json& j) { j["pre_tokenizer"]["type"] = "Metaspace"; }, "pre_tokenizer"},
      {"no pre_tokenizer", [](Json& j) { j["pre_tokenizer"] = nullptr; }, "pre_tokenizer"},
      {"dropout", [](Json& j) { j["model"]["dropout"] = 0.1; }, "model.dropout"},
      {"fuse", [](Json& j) { j["model"]["fuse_unk"] = true; }, "model.fuse_unk"},
      {"bytes", [](Json& j) { j["model"]["byte_fallback"] = true; }, "model.byte_fallback"},
      {"whole words", [](Json& j) { j["model"]["ignore_merges"] = true; }, "model.ignore_merges"},
      {"prefix", [](Json& j) { j["model"]["continuing_subword_prefix"] = "##"; }, "model.continuing_subword_prefix"},
      {"vocab type", [](Json& j) { j["model"]["vocab"] = Json::array(); }, "model.vocab"},
      {"vocab empty", [](Json& j) { j["model"]["vocab"] = Json::object(); }, "model.vocab"},
      {"id twice", [](Json& j) { j["model"]["vocab"]["C"] = 1; }, "id 1 is also that of \"A\""},
      {"id beyond", [](Json& j) { j["model"]["vocab"]["C"] = 6; }, "model.vocab[\"C\"]: expected an id from 0 to 5"},
      {"id negative", [](Json& j) { j["model"]["vocab"]["C"] = -1; }, "model.vocab[\"C\"]"},
      {"id text", [](Json& j) { j["model"]["vocab"]["C"] = "2"; }, "model.vocab[\"C\"]"},
      {"id fraction", [](Json& j) { j["model"]["vocab"]["C"] = 2.0; }, "model.vocab[\"C\"]"},
      {"foreign letter", [](Json& j) { j["model"]["vocab"]["\u00e9"] = 6; }, "printable ASCII"},
      {"space", [](Json& j) { j["model"]["vocab"][" "] = 6; }, "no space"},
      {"empty token", [](Json& j) { j["model"]["vocab"][""] = 6; }, "must not be empty"},
      {"no unknown", [](Json& j) { j["model"]["unk_token"] = nullptr; }, "model.unk_token"},
      {"unknown elsewhere", [](Json& j) { j["model"]["unk_token"] = "<unk>"; }, "model.unk_token"},
      {"merges type", [](Json& j) { j["model"]["merges"] = "A C"; }, "model.merges: expected a list"},
      {"merge of three", [](Json& j) { j["model"]["merges"][1] = "A C C"; }, "model.merges[1]"},
      {"merge of one", [](Json& j) { j["model"]["merges"][2] = {"AC"}; }, "model.merges[2]"},
      {"merge of numbers",
       [](Json& j) {
         j["model"]["merges"][2] = {1, 2};
       },
       "model.merges[2]"},
      {"merge of nothing", [](Json& j) { j["model"]["merges"][1] = "G C"; }, "model.merges[1]: \"G\" is not in"},
      {"merge into nothing", [](Json& j) { j["model"]["merges"][1] = "C A"; }, "model.merges[1]: \"CA\" is not in"},
      {"merge twice", [](Json& j) { j["model"]["merges"][2] = "A C"; }, "model.merges[2]: the same merge"},
      {"added type", [](Json& j) { j["added_tokens"] = 7; }, "added_tokens: expected a list"},
      {"added entry", [](Json& j) { j["added_tokens"][1] = 7; }, "added_tokens[1]: expected an object"},
      {"added id", [](Json& j) { j["added_tokens"][1]["id"] = 7; }, "added_tokens[1].id: expected 6"},
      {"added id huge", [](Json& j) { j["added_tokens"][1]["id"] = 1ull << 40; }, "added_tokens[1].id"},
      {"added id of another", [](Json& j) { j["added_tokens"][0]["id"] = 1; }, "added_tokens[0].id: expected 0"},
      {"added twice", [](Json& j) { j["added_tokens"][1] = j["added_tokens"][0]; }, "is added twice"},
      {"added empty", [](Json& j) { j["added_tokens"][1]["content"] = ""; }, "added_tokens[1].content"},
      {"added strip", [](Json& j) { j["added_tokens"][1]["lstrip"] = 1; }, "added_tokens[1].lstrip"},
      {"added flag", [](Json& j) { j["added_tokens"][1]["special"] = "yes"; }, "added_tokens[1].special"},
      {"word level", [](Json& j) { j["model"]["type"] = "WordLevel"; }, "exactly as Strand writes it"},
  };
  return list;
}

TEST(TokenizerJson, RefusesDamageByName) {
  for (const Damage& damage : damages()) {
    Json document = small();
    damage.make(document);
    const auto result = parse_tokenizer_json(document.dump(), "damaged.json");
    ASSERT_FALSE(result.ok()) << damage.name;
    EXPECT_EQ(result.error().code(), ErrorCode::kBadInput) << damage.name;
    EXPECT_EQ(result.error().message().find("damaged.json: "), 0u) << result.error().message();
    EXPECT_NE(result.error().message().find(damage.place), std::string::npos)
        << damage.name << ": " << result.error().message();
  }
}

TEST(TokenizerJson, RefusesTextThatIsNoJson) {
  const std::string text = kSmall;
  for (size_t length = 0; length < text.size(); ++length) {
    EXPECT_FALSE(parse_tokenizer_json(text.substr(0, length), "cut.json").ok()) << length;
  }
  const auto deep =
      parse_tokenizer_json("{\"version\": \"1.0\", \"truncation\": " + std::string(100'000, '['), "deep.json");
  ASSERT_FALSE(deep.ok());
  EXPECT_NE(deep.error().message().find("nested more than"), std::string::npos);
}

}  // namespace
}  // namespace strand
