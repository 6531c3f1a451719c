// Vocabulary lists: vocab.txt of the published kinds, and what is refused.
#include <gtest/gtest.h>

#include <random>

#include "dataserver/tokenizer/list_tokenizer.h"
#include "tests/unit/tokenizer/test_tokenizers.h"

namespace strand {
namespace {

using Ids = std::vector<int32_t>;

std::string lines(const std::vector<std::string>& tokens) {
  std::string text;
  for (const std::string& token : tokens) text += token + "\n";
  return text;
}

// Nucleotide Transformer's second vocabulary as its JAX package orders it; the third has the 6-mers in another order.
std::vector<std::string> second_version() {
  std::vector<std::string> tokens = kmer_vocabulary(6);
  tokens.insert(tokens.begin() + 4, {"<eos>", "<bos>"});
  return tokens;
}

Result<std::unique_ptr<Tokenizer>> parse(const std::string& text, const std::string& config_text = "") {
  const auto config = parse_tokenizer_config(config_text, "tokenizer_config.json", "", "");
  EXPECT_TRUE(config.ok());
  return parse_vocab_txt(text, "vocab.txt", config.value());
}

std::string file_of(const Tokenizer& tokenizer, const std::string& name) {
  for (const TokenizerFile& file : tokenizer.files()) {
    if (file.name == name) return file.content;
  }
  return "";
}

TEST(VocabTxt, DnaFoundationModelsIsTheNucleotideTokenizer) {
  const auto ours = make_nucleotide_tokenizer();
  const auto read = parse(lines(nucleotide_vocabulary()));
  ASSERT_TRUE(read.ok()) << read.error().message();
  EXPECT_EQ(read.value()->fingerprint(), ours->fingerprint());
  EXPECT_EQ(read.value()->specials(), ours->specials());
  EXPECT_EQ(read.value()->frame(), (SequenceFrame{{2}, {3}}));
  EXPECT_EQ(read.value()->to_json(), ours->to_json());
  EXPECT_EQ(file_of(*ours, "vocab.txt"), lines(nucleotide_vocabulary()));
}

TEST(VocabTxt, NucleotideTransformersFirst) {
  const auto ours = make_kmer_tokenizer(6);
  const std::string text = lines(kmer_vocabulary(6));
  for (const std::string& variant : {text, text.substr(0, text.size() - 1)}) {
    const auto read = parse(variant);
    ASSERT_TRUE(read.ok()) << read.error().message();
    EXPECT_EQ(read.value()->vocabulary(), 4105);
    EXPECT_EQ(read.value()->fingerprint(), ours->fingerprint());
    EXPECT_EQ(read.value()->frame(), (SequenceFrame{{3}, {}}));
  }
}

TEST(VocabTxt, NucleotideTransformersSecondIsReadNotComputed) {
  std::vector<std::string> tokens = second_version();
  std::mt19937 random(52);  // seed 52
  for (const bool shuffled : {false, true}) {
    if (shuffled) std::shuffle(tokens.begin() + 6, tokens.end(), random);
    const auto read = parse(lines(tokens), R"({"cls_token": "<cls>", "unk_token": "<unk>", "eos_token": null,
                                               "pad_token": "<pad>", "mask_token": "<mask>"})");
    ASSERT_TRUE(read.ok()) << read.error().message();
    const Tokenizer& tokenizer = *read.value();
    EXPECT_EQ(tokenizer.vocabulary(), 4107);
    EXPECT_EQ(tokenizer.frame(), (SequenceFrame{{3}, {}}));
    EXPECT_EQ(tokenizer.specials().eos, -1);
    const auto id = [&tokens](const std::string& token) {
      return static_cast<int32_t>(std::find(tokens.begin(), tokens.end(), token) - tokens.begin());
    };
    EXPECT_EQ(encode(tokenizer, "GATTACANACGTACGTTT<mask>"),
              (Ids{id("GATTAC"), id("A"), id("N"), id("ACGTAC"), id("G"), id("T"), id("T"), id("T"), 2}));
    EXPECT_EQ(tokenizer.characters(id("GATTAC")), 6);
    EXPECT_EQ(tokenizer.characters(4), 0);
    const auto again = parse_tokenizer_json(tokenizer.to_json(), "tokenizer.json");
    ASSERT_TRUE(again.ok()) << again.error().message();
    EXPECT_EQ(again.value()->fingerprint(), tokenizer.fingerprint());
    EXPECT_EQ(again.value()->frame(), tokenizer.frame());
  }
}

// Split at N, 6-mers from the left, the rest letter by letter: the published rule, said in its own words.
TEST(VocabTxt, SixMersFollowTheRule) {
  const auto tokenizer = parse(lines(second_version()));
  ASSERT_TRUE(tokenizer.ok());
  std::mt19937 random(53);  // seed 53
  for (int n = 0; n < 300; ++n) {
    std::string text;
    for (size_t i = random() % 80; i > 0; --i) text += "ACGTACGTACGTACGTN"[random() % 17];
    std::vector<std::string> expected;
    for (size_t at = 0; at < text.size();) {
      const size_t end = std::min(text.find('N', at), text.size());
      for (; end - at >= 6; at += 6) expected.push_back(text.substr(at, 6));
      for (; at < end; ++at) expected.emplace_back(1, text[at]);
      if (at < text.size()) expected.emplace_back(1, text[at++]);
    }
    const Ids ids = encode(*tokenizer.value(), text);
    ASSERT_EQ(ids.size(), expected.size()) << text;
    for (size_t i = 0; i < ids.size(); ++i) EXPECT_EQ(tokenizer.value()->decode({ids[i]}), expected[i]);
    EXPECT_EQ(tokenizer.value()->decode(ids), text);
  }
}

// A protein model's list: eos closes because the config names it, letters that are no letters, words of any length.
TEST(VocabTxt, AnyListCutsTheLongest) {
  const std::string text = "<cls>\n<pad>\n<eos>\n<unk>\nL\nA\n.\n-\nAL\nALL\n<mask>\nMo_1\n";
  const auto plain = parse(text);
  ASSERT_TRUE(plain.ok()) << plain.error().message();
  EXPECT_EQ(plain.value()->frame(), (SequenceFrame{{0}, {}}));
  const auto esm = parse(text, R"({"cls_token": "<cls>", "eos_token": "<eos>", "unk_token": "<unk>"})");
  ASSERT_TRUE(esm.ok()) << esm.error().message();
  EXPECT_EQ(esm.value()->frame(), (SequenceFrame{{0}, {2}}));
  EXPECT_EQ(encode(*esm.value(), "ALLALAA.-Mo_1 Mo LX<mask>"), (Ids{9, 8, 5, 5, 6, 7, 11, 3, 4, 3, 10}));
  const auto again = parse_tokenizer_json(esm.value()->to_json(), "tokenizer.json");
  ASSERT_TRUE(again.ok()) << again.error().message();
  EXPECT_EQ(again.value()->frame(), esm.value()->frame());
  EXPECT_EQ(encode(*again.value(), "ALLALAA.-Mo_1"), encode(*esm.value(), "ALLALAA.-Mo_1"));
  EXPECT_EQ(file_of(*esm.value(), "vocab.txt"), text);
}

TEST(VocabTxt, RefusesByLine) {
  const auto refused = [](const std::string& text, const char* part) {
    const auto result = parse(text);
    ASSERT_FALSE(result.ok()) << part;
    EXPECT_EQ(result.error().code(), ErrorCode::kBadInput);
    EXPECT_EQ(result.error().message().find("vocab.txt: "), 0u);
    EXPECT_NE(result.error().message().find(part), std::string::npos) << result.error().message();
  };
  refused("", "it is empty");
  refused("[UNK]\nA\n\nC\n", "line 3");
  refused("[UNK]\nA\nC\nA\n", "line 4, \"A\": the token occurs twice");
  refused("[UNK]\nA B\n", "line 2, \"A B\": a token may hold only printable ASCII");
  refused("[UNK]\né\n", "line 2");
  refused("[UNK]\nA\n##C\n", "line 3, \"##C\": a piece of WordPiece");
  refused("[UNK]\nA[\n", "line 2, \"A[\": a token with a bracket");
  refused("A\nC\nG\nT\n", "no unknown token");
  const auto foreign = parse("[UNK]\nA\n", R"({"unk_token": "[UNK]", "cls_token": "[CLS]"})");
  ASSERT_FALSE(foreign.ok());
  EXPECT_NE(foreign.error().message().find("cls_token"), std::string::npos) << foreign.error().message();
}

TEST(VocabTxt, AFlippedBitIsRefusedOrReadAsWritten) {
  const std::string good = lines(nucleotide_vocabulary());
  for (size_t at = 0; at < good.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string text = good;
      text[at] ^= static_cast<char>(1 << bit);
      const auto read = parse(text);
      // A carriage return before the end of a line is no part of the token.
      if (!read.ok() || text.find('\r') != std::string::npos) continue;
      EXPECT_EQ(file_of(*read.value(), "vocab.txt"), text);
    }
  }
}

}  // namespace
}  // namespace strand
