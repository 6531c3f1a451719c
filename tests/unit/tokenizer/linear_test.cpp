// Linear byte-pair encoding against the definition: ids, pairs and tokens, over random rules and published
// vocabularies, on texts that a left-to-right search finds hard; its steps; threads.
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <thread>
#include <utility>

#include "dataserver/tokenizer/bpe_files.h"
#include "dataserver/tokenizer/bpe_model.h"
#include "shared/base/text.h"
#include "shared/formats/json.h"
#include "tests/unit/tokenizer/test_tokenizers.h"

namespace strand {
namespace {

using Ids = std::vector<int32_t>;

struct Rules {
  std::vector<std::string> vocabulary;
  std::vector<BpeMerge> merges;

  BpeModel model() const { return BpeModel(vocabulary, merges, 0); }
};

// Rules over some letters, each made of tokens before it, so that ranks are the order of merges. Some never apply.
// Unless `once`, several may make one token, and then only a later one may apply.
Rules random_rules(std::mt19937* random, const std::string& letters, size_t merges, size_t longest, bool once = true) {
  Rules rules{{"[UNK]"}, {}};
  std::map<std::string, int32_t> ids;
  std::map<std::pair<int32_t, int32_t>, bool> seen;
  for (const char letter : letters) {
    ids.emplace(std::string(1, letter), static_cast<int32_t>(rules.vocabulary.size()));
    rules.vocabulary.emplace_back(1, letter);
  }
  for (size_t tries = 0; rules.merges.size() < merges && tries < 20 * merges; ++tries) {
    const auto pick = [&] { return static_cast<int32_t>(1 + (*random)() % (rules.vocabulary.size() - 1)); };
    const int32_t left = pick(), right = pick();
    const std::string text = rules.vocabulary[static_cast<size_t>(left)] + rules.vocabulary[static_cast<size_t>(right)];
    if (text.size() > longest || (once && ids.contains(text))) continue;
    if (!seen.emplace(std::pair(left, right), true).second) continue;
    const auto [found, added] = ids.emplace(text, static_cast<int32_t>(rules.vocabulary.size()));
    if (added) rules.vocabulary.push_back(text);
    rules.merges.push_back({left, right, found->second});
  }
  return rules;
}

Rules rules_of(const Tokenizer& tokenizer) {
  const Json model = parse_json(tokenizer.to_json(), "tokenizer.json").value()["model"];
  Rules rules;
  std::map<std::string, int32_t> ids = model["vocab"].get<std::map<std::string, int32_t>>();
  rules.vocabulary.resize(ids.size());
  for (const auto& [text, id] : ids) rules.vocabulary[static_cast<size_t>(id)] = text;
  for (const Json& merge : model["merges"]) {
    const std::vector<std::string> halves = split(merge.get<std::string>(), ' ');
    rules.merges.push_back({ids.at(halves[0]), ids.at(halves[1]), ids.at(halves[0] + halves[1])});
  }
  return rules;
}

// Random letters, runs of one, repeats of a short piece, and Fibonacci words, whose repeats overlap at every scale.
std::string hard_text(std::mt19937* random, const std::string& letters, size_t length) {
  std::string text;
  const auto letter = [&] { return letters[(*random)() % letters.size()]; };
  while (text.size() < length) {
    const size_t part = 1 + (*random)() % (1 + length / 2);
    switch ((*random)() % 4) {
      case 0:
        for (size_t i = 0; i < part; ++i) text += letter();
        break;
      case 1: text.append(part, letter()); break;
      case 2: {
        std::string piece;
        for (size_t i = 1 + (*random)() % 9; i > 0; --i) piece += letter();
        for (size_t i = 0; i < part; i += piece.size()) text += piece;
        break;
      }
      default: {
        std::string before(1, letter()), word(1, letter());
        while (word.size() < part) {
          const std::string next = word + before;
          before = std::exchange(word, next);
        }
        text += word;
      }
    }
  }
  return text.substr(0, length);
}

Ids linear(const BpeModel& model, std::string_view word, size_t* steps) {
  Ids ids;
  model.encode_word(word, &ids, steps);
  return ids;
}

Ids by_merging(const BpeModel& model, std::string_view word) {
  Ids ids;
  model.encode_word_by_merging(word, &ids);
  return ids;
}

class RandomRules : public testing::TestWithParam<std::string> {};

TEST_P(RandomRules, LinearEqualsMerging) {
  std::mt19937 random(61);  // seed 61
  size_t linear_words = 0, words = 0;
  for (int n = 0; n < 150; ++n) {
    const bool once = n % 3 != 0;
    const Rules rules = random_rules(&random, GetParam(), 1 + random() % 120, 2 + random() % 14, once);
    const BpeModel model = rules.model();
    for (int i = 0; i < 30; ++i) {
      const std::string word = hard_text(&random, GetParam(), 33 + random() % 300);
      size_t steps = 0;
      ASSERT_EQ(linear(model, word, &steps), by_merging(model, word)) << word;
      words += once;
      linear_words += once && steps > 0;
    }
    const std::string little = hard_text(&random, GetParam(), 1 + random() % 32);
    ASSERT_EQ(linear(model, little, nullptr), by_merging(model, little)) << little;
  }
  EXPECT_EQ(linear_words, words);  // rules in the order of their halves never need the other way
}

// In an order that no training gives, merges do not happen in the order of ranks, and merging has to be done as it is
// defined.
TEST_P(RandomRules, InAnyOrder) {
  std::mt19937 random(62);  // seed 62
  size_t merged = 0;
  for (int n = 0; n < 100; ++n) {
    Rules rules = random_rules(&random, GetParam(), 40, 8, false);
    std::shuffle(rules.merges.begin(), rules.merges.end(), random);
    const BpeModel model = rules.model();
    for (int i = 0; i < 20; ++i) {
      const std::string word = hard_text(&random, GetParam(), 33 + random() % 100);
      size_t steps = 0;
      ASSERT_EQ(linear(model, word, &steps), by_merging(model, word)) << word;
      merged += steps == 0;
    }
  }
  EXPECT_GT(merged, 0u);
}

// Every pair: the rule, the matrix and the memo against the encoding of the two texts joined. Every token: kept if and
// only if its own text is encoded to it.
TEST_P(RandomRules, PairsAndTokens) {
  std::mt19937 random(63);  // seed 63
  for (int n = 0; n < 30; ++n) {
    const Rules made = random_rules(&random, GetParam(), 60, 2 + random() % 10);
    const BpeModel model = made.model();
    std::array<int32_t, 256> letters;
    for (size_t byte = 0; byte < letters.size(); ++byte) letters[byte] = model.letter(static_cast<char>(byte));
    const auto rules = BpeRules::make(letters, made.merges);
    ASSERT_TRUE(rules.has_value());
    std::map<std::string, int32_t> kept;
    for (const BpeRules::Token& token : rules->tokens()) kept.emplace(token.bytes, token.id);
    ASSERT_EQ(kept.size(), rules->tokens().size());
    for (size_t id = 1; id < made.vocabulary.size(); ++id) {
      const std::string& text = made.vocabulary[id];
      const bool itself = by_merging(model, text) == Ids{static_cast<int32_t>(id)};
      EXPECT_EQ(kept.contains(text), itself) << text;
    }
    const PairMatrix matrix(*rules);
    const PairMemo memo(*rules);
    const uint32_t size = static_cast<uint32_t>(rules->tokens().size());
    for (uint32_t left = 0; left < size; ++left) {
      for (uint32_t right = 0; right < size; ++right) {
        const BpeRules::Token &a = rules->tokens()[left], &b = rules->tokens()[right];
        const bool side_by_side = by_merging(model, a.bytes + b.bytes) == Ids{a.id, b.id};
        ASSERT_EQ(rules->holds(left, right), side_by_side) << a.bytes << " " << b.bytes;
        ASSERT_EQ(matrix.holds(left, right), side_by_side) << a.bytes << " " << b.bytes;
        ASSERT_EQ(memo.holds(left, right), side_by_side) << a.bytes << " " << b.bytes;
        ASSERT_EQ(memo.holds(left, right), side_by_side) << a.bytes << " " << b.bytes;
      }
      EXPECT_TRUE(matrix.holds(size, left) && memo.holds(size, left));
    }
  }
}

// Bases, bytes that are not, and two letters, over which rules meet most often.
INSTANTIATE_TEST_SUITE_P(All, RandomRules, testing::Values("ACGT", "abcd", "ab", "+-"),
                         [](const auto& info) { return concat("Letters", info.index); });

std::unique_ptr<Tokenizer> published() {
  const std::string text = read_text(kPublishedTokenizer);
  return text.empty() ? nullptr : parse_tokenizer_json(text, kPublishedTokenizer).value();
}

std::unique_ptr<Tokenizer> gpt2() {
  const std::string vocab = read_text(kGpt2Vocabulary), merges = read_text(kGpt2Merges);
  if (vocab.empty() || merges.empty()) return nullptr;
  return parse_bpe_files({vocab, kGpt2Vocabulary}, {merges, kGpt2Merges}, {}).value();
}

TEST(LinearBpe, PublishedEqualsMerging) {
  const auto tokenizer = published();
  if (tokenizer == nullptr) GTEST_SKIP() << kPublishedTokenizer << " is absent";
  const BpeModel model = rules_of(*tokenizer).model();
  std::mt19937 random(64);  // seed 64
  const std::string genome = read_genome_file(kBundledGenome);
  for (int n = 0; n < 2000; ++n) {
    const std::string word = n % 2 == 0 ? hard_text(&random, "ACGT", 1 + random() % 600)
                                        : genome.substr(random() % (genome.size() - 600), 1 + random() % 600);
    size_t steps = 0;
    ASSERT_EQ(linear(model, word, &steps), by_merging(model, word)) << word;
    EXPECT_GT(steps, 0u);
  }
}

// GPT-2's rules over its own alphabet, in words without an end: bases, and English with its spaces taken out.
TEST(LinearBpe, Gpt2EqualsMerging) {
  const auto tokenizer = gpt2();
  if (tokenizer == nullptr) GTEST_SKIP() << kGpt2Vocabulary << " or " << kGpt2Merges << " is absent";
  const Rules rules = rules_of(*tokenizer);
  const BpeModel model(rules.vocabulary, rules.merges, -1, BpeModel::Alphabet::kBytes);
  const std::string page = read_text("docs/tokenizers.md") + read_text("docs/architecture.md");
  ASSERT_FALSE(page.empty());
  std::string english;
  for (const char c : page) english += c == ' ' || c == '\n' ? '_' : c;
  std::mt19937 random(65);  // seed 65
  for (int n = 0; n < 1500; ++n) {
    const size_t length = 33 + random() % 300;
    std::string word = n % 3 == 0   ? hard_text(&random, "ACGT", length)
                       : n % 3 == 1 ? english.substr(random() % (english.size() - length), length)
                                    : hard_text(&random, "ACGTNacgtn0 \x80\xc3\xa9", length);
    size_t steps = 0;
    ASSERT_EQ(linear(model, word, &steps), by_merging(model, word)) << word;
    EXPECT_GT(steps, 0u);
  }
}

// A pre-token of ten million letters: a few steps for each token, whatever the length. Counted, not timed.
TEST(LinearBpe, StepsAreLinear) {
  const auto tokenizer = published();
  if (tokenizer == nullptr) GTEST_SKIP() << kPublishedTokenizer << " is absent";
  const BpeModel model = rules_of(*tokenizer).model();
  std::mt19937 random(66);  // seed 66
  const std::string genome = read_genome_file(kBundledGenome);
  std::string bases;
  while (bases.size() < 10'000'000) bases += genome;
  bases.resize(10'000'000);
  const std::string hard = hard_text(&random, "ACGT", 10'000'000), run(10'000'000, 'A');
  for (const std::string* text : {&std::as_const(bases), &hard, &run}) {
    size_t steps = 0, of_part = 0;
    const Ids ids = linear(model, *text, &steps);
    linear(model, std::string_view(*text).substr(0, 1'000'000), &of_part);
    EXPECT_GE(steps, ids.size());
    EXPECT_LE(steps, text->size());
    if (text != &hard) {
      EXPECT_NEAR(static_cast<double>(steps), 10 * static_cast<double>(of_part), 0.2 * static_cast<double>(steps));
    }
    EXPECT_EQ(tokenizer->decode(ids), *text);
  }
}

// Rules made to lead the search astray: of a run of letters only the last tells which tokens were right. The bound
// holds: at most the letters times the longest token.
TEST(LinearBpe, StepsAreBoundedOnTheHardestTexts) {
  std::mt19937 random(67);  // seed 67
  for (int n = 0; n < 60; ++n) {
    const Rules rules = random_rules(&random,
                                     n % 2 == 0 ? "AC"
                                                  "GT"
                                                : "ab",
                                     80, 32);
    const BpeModel model = rules.model();
    for (const size_t length : {1000u, 20'000u}) {
      const std::string text = hard_text(&random, n % 2 == 0 ? "AC" : "ab", length);
      size_t steps = 0;
      linear(model, text, &steps);
      EXPECT_GT(steps, 0u);
      EXPECT_LE(steps, 33 * length);
    }
  }
}

// One tokenizer, its memo and its caches in the hands of several threads; words that the caches share places for.
TEST(LinearBpe, ThreadsAgree) {
  const auto large = gpt2(), small = small_bytes();
  std::vector<const Tokenizer*> tokenizers = {small.get()};
  if (large != nullptr) tokenizers.push_back(large.get());
  const std::string page = read_text("docs/tokenizers.md"), genome = read_genome_file(kBundledGenome);
  std::mt19937 random(68);  // seed 68
  std::vector<std::string> texts;
  for (int n = 0; n < 300; ++n) {
    texts.push_back(page.substr(random() % page.size(), random() % 400) +
                    genome.substr(random() % genome.size(), random() % 400) + hard_text(&random, "ACGTN ", 200));
  }
  std::vector<std::vector<Ids>> expected;
  for (const Tokenizer* tokenizer : tokenizers) {
    expected.emplace_back();
    for (const std::string& text : texts) expected.back().push_back(encode(*tokenizer, text));
  }
  std::vector<std::thread> threads;
  std::vector<size_t> wrong(4);
  for (size_t thread = 0; thread < wrong.size(); ++thread) {
    threads.emplace_back([&, thread] {
      for (size_t i = 0; i < texts.size(); ++i) {
        const size_t text = (i * (2 * thread + 1)) % texts.size();
        for (size_t which = 0; which < tokenizers.size(); ++which) {
          wrong[thread] += encode(*tokenizers[which], texts[text]) != expected[which][text];
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<size_t>(4));
}

// What the cache of words gives is what merging gives, also for words of its longest length and beyond, at the end of a
// text, and with zero bytes.
TEST(LinearBpe, CachedWordsEqualMerging) {
  const auto tokenizer = small_bytes();
  const Rules rules = rules_of(*tokenizer);
  const BpeModel model(rules.vocabulary, rules.merges, -1, BpeModel::Alphabet::kBytes);
  std::mt19937 random(69);  // seed 69
  for (int n = 0; n < 20'000; ++n) {
    std::string word;
    for (size_t i = 1 + random() % 18; i > 0; --i) word += static_cast<char>("abcdeth"[random() % 7]);
    EXPECT_EQ(encode(*tokenizer, word), by_merging(model, word)) << word;
    Ids both = by_merging(model, word);
    const Ids again = by_merging(model, " " + word);
    both.insert(both.end(), again.begin(), again.end());
    EXPECT_EQ(encode(*tokenizer, word + " " + word), both) << word;
  }
  for (size_t zeros = 1; zeros < 20; ++zeros) {
    const std::string word(zeros, '\0');
    EXPECT_EQ(encode(*tokenizer, word), by_merging(model, word)) << zeros;
  }
}

}  // namespace
}  // namespace strand
