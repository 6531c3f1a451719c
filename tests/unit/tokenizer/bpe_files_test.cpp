// vocab.json with merges.txt: GPT-2's own files where they are there, and a small vocabulary in OPT's layout.
#include "dataserver/tokenizer/bpe_files.h"

#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "dataserver/tokenizer/bpe_model.h"
#include "dataserver/tokenizer/byte_level.h"
#include "tests/unit/tokenizer/test_tokenizers.h"

namespace strand {
namespace {

using Ids = std::vector<int32_t>;

Result<std::unique_ptr<Tokenizer>> parse(const std::string& vocab, const std::string& merges,
                                         const TokenizerConfig& config = {}) {
  return parse_bpe_files({vocab, "vocab.json"}, {merges, "merges.txt"}, config);
}

std::vector<std::string> pieces(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<std::string> list;
  for (const int32_t id : encode(tokenizer, text)) list.push_back(tokenizer.decode({id}));
  return list;
}

class Gpt2 : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    const std::string vocab = read_text(kGpt2Vocabulary), merges = read_text(kGpt2Merges);
    if (vocab.empty() || merges.empty()) return;
    auto parsed = parse(vocab, merges);
    ASSERT_TRUE(parsed.ok()) << parsed.error().message();
    tokenizer_ = std::move(parsed).value();
  }
  static void TearDownTestSuite() { tokenizer_.reset(); }
  void SetUp() override {
    if (!tokenizer_) GTEST_SKIP() << kGpt2Vocabulary << " or " << kGpt2Merges << " is absent";
  }
  static std::unique_ptr<Tokenizer> tokenizer_;
};
std::unique_ptr<Tokenizer> Gpt2::tokenizer_;

TEST_F(Gpt2, PublishedSplits) {
  EXPECT_EQ(tokenizer_->vocabulary(), 50257);
  EXPECT_EQ(encode(*tokenizer_, "Hello world"), (Ids{15496, 995}));
  using Texts = std::vector<std::string>;
  const std::string prompt = "Domain: DNA Promoter\nSequence: AAACCC\nAnnotation:";
  EXPECT_EQ(pieces(*tokenizer_, prompt), (Texts{"Domain", ":", " DNA", " Prom", "oter", "\n", "Sequ", "ence", ":",
                                                " AA", "AC", "CC", "\n", "An", "notation", ":"}));
  EXPECT_EQ(encode(*tokenizer_, "a<|endoftext|>b"), (Ids{64, 50256, 65}));
  EXPECT_EQ(tokenizer_->frame(), SequenceFrame());
  const SpecialTokens specials = tokenizer_->specials();
  EXPECT_EQ((Ids{specials.bos, specials.eos, specials.unknown, specials.pad}), (Ids{50256, 50256, 50256, -1}));
}

// The reference's counts on random bases: 1.90 bases per token.
TEST_F(Gpt2, TokensOfRandomBases) {
  std::mt19937 random(44);  // seed 44
  for (const auto& [length, expected] : {std::pair{300, 158.0}, std::pair{500, 263.0}, std::pair{1000, 527.0}}) {
    size_t sum = 0;
    for (int draw = 0; draw < 200; ++draw) {
      std::string bases;
      for (int i = 0; i < length; ++i) bases += "ACGT"[random() % 4];
      sum += encode(*tokenizer_, bases).size();
    }
    EXPECT_NEAR(static_cast<double>(sum) / 200, expected, 0.01 * expected) << length;
  }
}

TEST_F(Gpt2, FilesComeBack) {
  for (const TokenizerFile& file : tokenizer_->files()) {
    if (file.name == "merges.txt") {
      EXPECT_EQ(file.content, read_text(kGpt2Merges));
    }
    if (file.name == "vocab.json") {
      const auto again = parse(file.content, read_text(kGpt2Merges));
      ASSERT_TRUE(again.ok()) << again.error().message();
      EXPECT_EQ(again.value()->fingerprint(), tokenizer_->fingerprint());
    }
  }
}

TEST(SmallBytes, HasOptsLayout) {
  const auto tokenizer = small_bytes();
  EXPECT_EQ(tokenizer->frame(), (SequenceFrame{{2}, {}}));
  EXPECT_EQ(tokenizer->specials(), (SpecialTokens{.unknown = 2, .pad = 1, .bos = 2, .eos = 2}));
  EXPECT_EQ(encode(*tokenizer, "</s><pad>"), (Ids{2, 1}));
  EXPECT_EQ(encode(*tokenizer, "<s>").size(), 3u);  // no special token of OPT's
  EXPECT_EQ(encode(*tokenizer, "\xff"), (Ids{4}));
  EXPECT_EQ(tokenizer->characters(2), 0);
  EXPECT_EQ(tokenizer->characters(4), 1);
  EXPECT_EQ(tokenizer->decode({4, 999999, -1}), "\xff</s></s>");
}

std::string random_text(std::mt19937* random) {
  static const std::vector<std::string> list = {
      "the promoter", " of",      "'s", "ACGTACGT", "TTTTTTTTTTTT", "\n\n",    "  ",     "é", "中",
      "\xff",         "\xe4\xb8", "12", "...",      "\t",           "GATTACA", " naïve", "N"};
  std::string text;
  for (size_t i = (*random)() % 20; i > 0; --i) text += list[(*random)() % list.size()];
  if ((*random)() % 4 == 0) text += static_cast<char>((*random)());
  return text;
}

TEST(SmallBytes, DecodeUndoesEncodeOnAnyBytes) {
  const auto tokenizer = small_bytes();
  std::mt19937 random(45);  // seed 45
  for (int n = 0; n < 2000; ++n) {
    const std::string text = random_text(&random);
    const Ids ids = encode(*tokenizer, text);
    EXPECT_EQ(tokenizer->decode(ids), text);
    int64_t characters = 0;
    for (const int32_t id : ids) characters += tokenizer->characters(id);
    EXPECT_EQ(characters, static_cast<int64_t>(text.size()));
  }
}

TEST(SmallBytes, SurvivesEveryFileOfItsOwn) {
  const auto tokenizer = small_bytes();
  std::string vocab, merges, config_text, map_text, json;
  for (const TokenizerFile& file : tokenizer->files()) {
    if (file.name == "vocab.json") vocab = file.content;
    if (file.name == "merges.txt") merges = file.content;
    if (file.name == "tokenizer.json") json = file.content;
    if (file.name == "tokenizer_config.json") config_text = file.content;
    if (file.name == "special_tokens_map.json") map_text = file.content;
  }
  const auto config = parse_tokenizer_config(config_text, "config", map_text, "map");
  ASSERT_TRUE(config.ok()) << config.error().message();
  EXPECT_EQ(config.value().tokenizer_class, "GPT2Tokenizer");
  EXPECT_EQ(config.value().add_bos, true);
  const auto from_files = parse(vocab, merges, config.value());
  const auto from_json = parse_tokenizer_json(json, "tokenizer.json");
  ASSERT_TRUE(from_files.ok()) << from_files.error().message();
  ASSERT_TRUE(from_json.ok()) << from_json.error().message();
  std::mt19937 random(46);  // seed 46
  for (const auto* again : {&from_files.value(), &from_json.value()}) {
    EXPECT_EQ((*again)->frame(), tokenizer->frame());
    EXPECT_EQ((*again)->specials(), tokenizer->specials());
    EXPECT_EQ((*again)->to_json(), tokenizer->to_json());
    EXPECT_EQ((*again)->fingerprint(), tokenizer->fingerprint());
    for (int n = 0; n < 200; ++n) {
      const std::string text = random_text(&random);
      EXPECT_EQ(encode(**again, text), encode(*tokenizer, text));
    }
  }
}

// A word alone, and the same word too long for the short way of merging, give what looking at every pair gives.
TEST(SmallBytes, MergesEqualTheDefinition) {
  const auto tokenizer = small_bytes();
  const Json document = parse_json(tokenizer->to_json(), "json").value();
  std::map<std::pair<std::string, std::string>, size_t> ranks;
  for (const Json& merge : document["model"]["merges"]) {
    const std::string text = merge.get<std::string>();
    ranks.emplace(std::pair(text.substr(0, text.find(' ')), text.substr(text.find(' ') + 1)), ranks.size());
  }
  std::mt19937 random(47);  // seed 47
  const std::vector<std::string> parts = {"the", "pro", "mot", "er", "of", "se",  "quen",
                                          "ce",  "A",   "C",   "G",  "T",  "TTT", "ATG"};
  for (int n = 0; n < 400; ++n) {
    std::string word;
    for (size_t i = 1 + random() % 30; i > 0; --i) word += parts[random() % parts.size()];
    std::vector<std::string> symbols;
    for (const char c : word) symbols.emplace_back(1, c);
    for (;;) {
      size_t best = ranks.size(), at = 0;
      for (size_t i = 0; i + 1 < symbols.size(); ++i) {
        const auto found = ranks.find({symbols[i], symbols[i + 1]});
        if (found != ranks.end() && found->second < best) best = found->second, at = i;
      }
      if (best == ranks.size()) break;
      symbols[at] += symbols[at + 1];
      symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(at) + 1);
    }
    EXPECT_EQ(pieces(*tokenizer, word), symbols) << word;
  }
}

// Without a letter and an unknown token the byte is left out and its neighbours touch, as Hugging Face's does.
TEST(ByteLevelModel, LeavesOutWhatIsNoToken) {
  const BpeModel model({"A", "C", "AC"}, {{0, 1, 2}}, -1, BpeModel::Alphabet::kBytes);
  for (const std::string& filler : {std::string("x"), std::string(100, 'x')}) {
    Ids ids;
    model.encode_word("A" + filler + "C" + filler, &ids);
    model.encode_word(filler, &ids);
    EXPECT_EQ(ids, Ids{2});
  }
}

struct Damage {
  const char* name;
  std::function<void(BytesFiles&)> make;
  const char* part;  // of the message
};

void replace(std::string* text, const std::string& from, const std::string& to) {
  const size_t at = text->find(from);
  ASSERT_NE(at, std::string::npos) << from;
  text->replace(at, from.size(), to);
}

TEST(BpeFiles, RefusesDamageByPlace) {
  const std::vector<Damage> list = {
      {"no json", [](BytesFiles& f) { f.vocab.pop_back(); }, "vocab.json: line 1"},
      {"a list", [](BytesFiles& f) { f.vocab = "[1]"; }, "vocab.json: token: expected an object"},
      {"id twice", [](BytesFiles& f) { replace(&f.vocab, "\"<pad>\":1", "\"<pad>\":0"); }, "id 0 is also that of"},
      {"token twice", [](BytesFiles& f) { replace(&f.vocab, "\"<pad>\":1", "\"<s>\":1"); }, "each used once"},
      {"id beyond", [](BytesFiles& f) { replace(&f.vocab, "\"<pad>\":1", "\"<pad>\":100000"); }, "token[\"<pad>\"]"},
      {"empty token", [](BytesFiles& f) { replace(&f.vocab, "\"<pad>\":1", "\"\":1"); }, "must not be empty"},
      {"three parts", [](BytesFiles& f) { f.merges += "a b c\n"; }, "merges.txt: line 302: expected two tokens"},
      {"one part", [](BytesFiles& f) { f.merges += "ab\n"; }, "merges.txt: line 302: expected two tokens"},
      {"two spaces", [](BytesFiles& f) { f.merges += "a  b\n"; }, "merges.txt: line 302"},
      {"empty line", [](BytesFiles& f) { f.merges.insert(f.merges.find('\n'), "\n"); }, "merges.txt: line 2"},
      {"unknown token", [](BytesFiles& f) { f.merges += "zzz q\n"; }, "\"zzz\" is not in the vocabulary"},
      {"unknown product", [](BytesFiles& f) { f.merges += "z q\n"; }, "line 302: \"zq\" is not in the vocabulary"},
      {"merge twice", [](BytesFiles& f) { f.merges += f.merges.substr(14, f.merges.find('\n', 14) - 13); },
       "line 302: the same merge occurs twice"},
  };
  for (const Damage& damage : list) {
    BytesFiles files = small_bytes_files();
    damage.make(files);
    const auto result = parse(files.vocab, files.merges);
    ASSERT_FALSE(result.ok()) << damage.name;
    EXPECT_EQ(result.error().code(), ErrorCode::kBadInput) << damage.name;
    EXPECT_NE(result.error().message().find(damage.part), std::string::npos)
        << damage.name << ": " << result.error().message();
  }
}

TEST(BpeFiles, LineEndsOfOtherSystemsAreRead) {
  const BytesFiles files = small_bytes_files();
  std::string merges;
  for (const char c : files.merges) merges += c == '\n' ? std::string("\r\n") : std::string(1, c);
  const auto tokenizer = parse(files.vocab, merges + "\n");
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message();
  EXPECT_EQ(tokenizer.value()->fingerprint(), small_bytes()->fingerprint());
}

// One flipped bit anywhere: refused, or a tokenizer whose files say the same flipped thing.
TEST(BpeFiles, AFlippedBitIsRefusedOrKept) {
  const BytesFiles good = small_bytes_files(40);
  std::mt19937 random(48);  // seed 48
  int refused = 0;
  for (int n = 0; n < 1500; ++n) {
    BytesFiles files = good;
    std::string& text = random() % 2 == 0 ? files.vocab : files.merges;
    text[random() % text.size()] ^= static_cast<char>(1 << random() % 8);
    const auto tokenizer = parse(files.vocab, files.merges);
    if (!tokenizer.ok()) {
      EXPECT_EQ(tokenizer.error().code(), ErrorCode::kBadInput);
      ++refused;
      continue;
    }
    const auto again = parse_tokenizer_json(tokenizer.value()->to_json(), "again.json");
    ASSERT_TRUE(again.ok()) << again.error().message();
    EXPECT_EQ(again.value()->fingerprint(), tokenizer.value()->fingerprint());
    const std::string sample = "ACGTTT the promoter's \xff 中";
    EXPECT_EQ(encode(*again.value(), sample), encode(*tokenizer.value(), sample));
  }
  EXPECT_GT(refused, 750);
}

TEST(TokenizerConfigFile, DecidesFrameAndSpecials) {
  const BytesFiles files = small_bytes_files();
  const auto open = [&](const std::string& text) {
    auto config = parse_tokenizer_config(text, "tokenizer_config.json", "", "");
    EXPECT_TRUE(config.ok());
    return parse(files.vocab, files.merges, config.value());
  };
  const auto roberta = open(R"({"tokenizer_class": "RobertaTokenizer"})");
  ASSERT_TRUE(roberta.ok()) << roberta.error().message();
  EXPECT_EQ(roberta.value()->frame(), (SequenceFrame{{0}, {2}}));
  EXPECT_EQ(roberta.value()->specials().unknown, 3);
  const auto both =
      open(R"({"bos_token": "<s>", "eos_token": {"content": "</s>", "rstrip": true}, "add_bos_token": true,
                             "add_eos_token": true})");
  ASSERT_TRUE(both.ok()) << both.error().message();
  EXPECT_EQ(both.value()->frame(), (SequenceFrame{{0}, {2}}));
  EXPECT_EQ(both.value()->specials().pad, -1);
  EXPECT_EQ(encode(*both.value(), "</s> \n<s>"), (Ids{2, 0}));
  const auto extended =
      open(R"({"bos_token": "</s>", "added_tokens_decoder": {"560": {"content": "[H3]", "special": false}}})");
  const int32_t next = small_bytes()->vocabulary();
  EXPECT_EQ(extended.ok(), next == 560);
  const auto added = open(R"({"bos_token": "</s>", "added_tokens_decoder": {")" + std::to_string(next) +
                          R"(": {"content": "[H3]", "special": false}}})");
  ASSERT_TRUE(added.ok()) << added.error().message();
  EXPECT_EQ(encode(*added.value(), "[H3]"), Ids{next});
  EXPECT_EQ(added.value()->characters(next), 4);
  const auto foreign = open(R"({"pad_token": "[PAD]"})");
  ASSERT_FALSE(foreign.ok());
  EXPECT_NE(foreign.error().message().find("pad_token"), std::string::npos) << foreign.error().message();
  for (const char* text : {"[]", "{\"bos_token\": 7}", "{\"add_bos_token\": 1}", "{\"added_tokens_decoder\": []}",
                           "{\"added_tokens_decoder\": {\"x\": {\"content\": \"a\"}}}", "{", "{\"eos_token\": {}}"}) {
    const auto result = parse_tokenizer_config(text, "tokenizer_config.json", "", "");
    ASSERT_FALSE(result.ok()) << text;
    EXPECT_EQ(result.error().code(), ErrorCode::kBadInput);
  }
}

}  // namespace
}  // namespace strand
