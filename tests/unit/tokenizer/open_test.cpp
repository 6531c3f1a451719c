// Frames from a post_processor, and tokenizers found by the name of a file or a folder.
#include <gtest/gtest.h>

#include <filesystem>

#include "dataserver/tokenizer/list_tokenizer.h"
#include "dataserver/tokenizer/open_tokenizer.h"
#include "dataserver/tokenizer/post_processor.h"
#include "tests/unit/tokenizer/test_tokenizers.h"

namespace strand {
namespace {

const TokenIds kIds = {{"[CLS]", 1}, {"[SEP]", 2}, {"<s>", 3}};

Result<SequenceFrame> frame_of(const std::string& text) {
  const auto json = parse_json(text, "test");
  EXPECT_TRUE(json.ok()) << text;
  return read_frame(FilePlace("tokenizer.json"), json.value(), kIds);
}

constexpr const char* kTemplate = R"({"type": "TemplateProcessing",
  "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
             {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
  "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [1], "tokens": ["[CLS]"]},
                     "[SEP]": {"id": "[SEP]", "ids": [2, 1], "tokens": ["[SEP]", "[CLS]"]}}})";

TEST(PostProcessor, EveryKind) {
  const auto is = [](const std::string& text, const SequenceFrame& expected) {
    const auto frame = frame_of(text);
    ASSERT_TRUE(frame.ok()) << frame.error().message();
    EXPECT_EQ(frame.value(), expected) << text;
  };
  is("null", {});
  is(R"({"type": "ByteLevel", "add_prefix_space": true})", {});
  is(kTemplate, {{1}, {2, 1}});
  is(R"({"type": "RobertaProcessing", "sep": ["[SEP]", 2], "cls": ["<s>", 3], "trim_offsets": true})", {{3}, {2}});
  is(R"({"type": "BertProcessing", "sep": ["[SEP]", 2], "cls": ["[CLS]", 1]})", {{1}, {2}});
  is(concat(R"({"type": "Sequence", "processors": [{"type": "ByteLevel"}, )", kTemplate,
            R"(, {"type": "BertProcessing", "sep": ["<s>", 3], "cls": ["<s>", 3]}]})"),
     {{3, 1}, {2, 1, 3}});
}

TEST(PostProcessor, ComesBackFromItsDocument) {
  const std::vector<std::string> texts = {"", "[CLS]", "[SEP]", "<s>"};
  for (const SequenceFrame& frame : {SequenceFrame{{1}, {2}}, SequenceFrame{{3}, {}}, SequenceFrame{{}, {2}},
                                     SequenceFrame{{3, 1}, {2, 3}}, SequenceFrame{}}) {
    const auto again = read_frame(FilePlace("test"), frame_document(frame, texts), kIds);
    ASSERT_TRUE(again.ok()) << again.error().message();
    EXPECT_EQ(again.value(), frame);
  }
}

TEST(PostProcessor, RefusesByPlace) {
  const auto refused = [](const std::string& text, const char* part) {
    const auto frame = frame_of(text);
    ASSERT_FALSE(frame.ok()) << text;
    EXPECT_EQ(frame.error().code(), ErrorCode::kBadInput);
    EXPECT_NE(frame.error().message().find(part), std::string::npos) << frame.error().message();
  };
  refused("7", "post_processor: expected an object");
  refused(R"({"type": "Custom"})", "post_processor.type");
  refused(R"({"type": "Sequence"})", "post_processor.processors");
  refused(R"({"type": "BertProcessing", "sep": ["[SEP]", 1], "cls": ["[CLS]", 1]})", "post_processor.sep: expected 2");
  refused(R"({"type": "BertProcessing", "sep": ["[SEP]", 2], "cls": ["[NEW]", 9]})", "post_processor.cls");
  refused(R"({"type": "BertProcessing", "cls": ["[CLS]", 1]})", "post_processor.sep");
  refused(R"({"type": "TemplateProcessing", "single": []})", "names the sequence \"A\" once");
  refused(R"({"type": "TemplateProcessing", "single": [{"Sequence": {"id": "B"}}]})", "single[0]");
  refused(R"({"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A"}}, {"Sequence": {"id": "A"}}]})",
          "single[1]");
  refused(R"({"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "[CLS]"}}]})",
          "special_tokens[\"[CLS]\"]");
  refused(R"({"type": "TemplateProcessing", "single": [{}]})", "single[0]");
}

TEST(PostProcessor, OfThePublishedTokenizerAndOurs) {
  EXPECT_EQ(train_small().value()->frame(), (SequenceFrame{{1}, {2}}));
  const std::string text = read_text(kPublishedTokenizer);
  if (text.empty()) GTEST_SKIP() << kPublishedTokenizer << " is absent";
  EXPECT_EQ(parse_tokenizer_json(text, "published").value()->frame(), (SequenceFrame{{1}, {2}}));
}

class OpenTokenizer : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "open_tokenizer_test";
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void write(const std::string& name, const std::string& content) const {
    std::ofstream(folder_ + "/" + name, std::ios::binary) << content;
  }
  Result<std::unique_ptr<Tokenizer>> open(const std::string& name) const {
    return open_tokenizer(*fs_, name.empty() ? folder_ : folder_ + "/" + name);
  }
  void expect(const std::string& name, const Tokenizer& tokenizer) const {
    const auto opened = open(name);
    ASSERT_TRUE(opened.ok()) << opened.error().message();
    EXPECT_EQ(opened.value()->fingerprint(), tokenizer.fingerprint());
    EXPECT_EQ(opened.value()->frame(), tokenizer.frame());
    EXPECT_EQ(opened.value()->specials(), tokenizer.specials());
  }
  void refused(const std::string& name, const char* part) const {
    const auto opened = open(name);
    ASSERT_FALSE(opened.ok()) << part;
    EXPECT_NE(opened.error().message().find(part), std::string::npos) << opened.error().message();
  }

  std::unique_ptr<FileSystem> fs_ = make_posix_file_system();
  std::string folder_;
};

TEST_F(OpenTokenizer, WhatIsWrittenIsRead) {
  std::vector<std::unique_ptr<Tokenizer>> all;
  all.push_back(make_nucleotide_tokenizer());
  all.push_back(make_kmer_tokenizer(6));
  all.push_back(small_bytes());
  all.push_back(std::move(train_small()).value());
  for (const auto& tokenizer : all) {
    SetUp();
    ASSERT_TRUE(write_tokenizer(*fs_, folder_, *tokenizer).ok());
    expect("", *tokenizer);
    expect("tokenizer.json", *tokenizer);
    std::filesystem::remove(folder_ + "/tokenizer.json");
    if (tokenizer == all.back()) break;  // words of letters have no other file
    expect("", *tokenizer);
  }
}

TEST_F(OpenTokenizer, FolderInOrder) {
  refused("", "found none");
  write("vocab.txt", "[UNK]\nA\n");
  EXPECT_EQ(open("").value()->vocabulary(), 2);
  const BytesFiles files = small_bytes_files(5);
  write("vocab.json", files.vocab);
  refused("", "merges.txt beside it");
  write("merges.txt", files.merges);
  EXPECT_EQ(open("").value()->vocabulary(), 265);
  write("tokenizer.json", make_nucleotide_tokenizer()->to_json());
  EXPECT_EQ(open("").value()->vocabulary(), 16);
  EXPECT_EQ(open("vocab.json").value()->vocabulary(), 265);
  refused("merges.txt", "give the vocab.json");
}

TEST_F(OpenTokenizer, FilesWithABeginningBelongTogether) {
  const BytesFiles files = small_bytes_files(5);
  write("my-vocab.json", files.vocab);
  write("merges.txt", files.merges);
  refused("my-vocab.json", "my-merges.txt beside it");
  write("my-merges.txt", files.merges);
  EXPECT_EQ(open("my-vocab.json").value()->frame(), (SequenceFrame{{2}, {}}));
  write("my-tokenizer_config.json", "{\"add_bos_token\": false}");
  EXPECT_EQ(open("my-vocab.json").value()->frame(), SequenceFrame());
  write("my-tokenizer_config.json", "{\"add_bos_token\": 3}");
  refused("my-vocab.json", "my-tokenizer_config.json: add_bos_token");
}

TEST_F(OpenTokenizer, SpecialTokensMapNamesRoles) {
  write("vocab.txt", "[UNK]\n[S]\nA\n");
  EXPECT_EQ(open("").value()->frame(), SequenceFrame());
  write("special_tokens_map.json", "{\"unk_token\": \"[UNK]\", \"cls_token\": {\"content\": \"[S]\"}}");
  EXPECT_EQ(open("").value()->frame(), (SequenceFrame{{1}, {}}));
  // Where both files name a role, tokenizer_config.json counts.
  write("tokenizer_config.json", "{\"unk_token\": \"[UNK]\", \"cls_token\": \"[UNK]\"}");
  EXPECT_EQ(open("").value()->frame(), (SequenceFrame{{0}, {}}));
}

TEST_F(OpenTokenizer, AbsentFileIsNamed) {
  refused("nothing.json", "nothing.json");
}

}  // namespace
}  // namespace strand
