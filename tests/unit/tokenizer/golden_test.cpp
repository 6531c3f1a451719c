// Ids equal to those of Hugging Face's `tokenizers`, which wrote the hashes in tests/golden/tokenizer.json
// (tests/parity/tokenizer_golden.py makes that file and describes the strings).
#include <gtest/gtest.h>

#include "dataserver/tokenizer/bpe_files.h"
#include "shared/formats/json.h"
#include "tests/unit/tokenizer/test_tokenizers.h"

namespace strand {
namespace {

constexpr const char* kGolden = "tests/golden/tokenizer.json";

// FNV-1a over 32-bit little-endian ids, each text closed by 0xffffffff.
class IdHash {
 public:
  void add(const std::vector<int32_t>& ids) {
    for (const int32_t id : ids) add_word(static_cast<uint32_t>(id));
    add_word(~0u);
  }
  std::string hex() const {
    char text[17];
    std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(hash_));
    return text;
  }

 private:
  void add_word(uint32_t word) {
    for (int shift = 0; shift < 32; shift += 8) hash_ = (hash_ ^ (word >> shift & 0xff)) * 0x100000001b3ull;
  }
  uint64_t hash_ = 0xcbf29ce484222325ull;
};

// The same generator as in the script: Knuth's MMIX constants, high bits.
class Strings {
 public:
  explicit Strings(const Json& golden)
      : state_(golden["seed"].get<uint64_t>()), pieces_(golden["pieces"].get<std::vector<std::string>>()) {}

  std::string next() {
    std::string text;
    for (uint64_t parts = 1 + below(11); parts > 0; --parts) {
      const uint64_t kind = below(10);
      if (kind < 5) {
        for (uint64_t n = 1 + below(40); n > 0; --n) text += "ACGT"[below(4)];
      } else if (kind == 5) {
        const char letter = "ACGT"[below(4)];
        text.append(1 + below(70), letter);
      } else {
        text += pieces_[below(pieces_.size())];
      }
    }
    return text;
  }

 private:
  uint64_t below(uint64_t bound) {
    state_ = state_ * 6364136223846793005ull + 1442695040888963407ull;
    return (state_ >> 33) % bound;
  }
  uint64_t state_;
  std::vector<std::string> pieces_;
};

void compare(const Tokenizer& tokenizer, const std::string& name) {
  const auto golden = parse_json(read_text(kGolden), kGolden);
  ASSERT_TRUE(golden.ok()) << golden.error().message();
  const Json& expected = golden.value()["hashes"][name];
  Strings strings(golden.value());
  IdHash random;
  for (int n = golden.value()["strings"].get<int>(); n > 0; --n) random.add(encode(tokenizer, strings.next()));
  EXPECT_EQ(random.hex(), expected["strings"]) << name;
  const std::string genome = read_genome_file(kBundledGenome);
  ASSERT_FALSE(genome.empty()) << kBundledGenome << " is absent";
  IdHash bases;
  bases.add(encode(tokenizer, std::string_view(genome).substr(0, golden.value()["genome_bases"].get<size_t>())));
  EXPECT_EQ(bases.hex(), expected["genome"]) << name;
}

TEST(TokenizerGolden, Published) {
  const std::string text = read_text(kPublishedTokenizer);
  if (text.empty()) GTEST_SKIP() << kPublishedTokenizer << " is absent";
  const auto tokenizer = parse_tokenizer_json(text, kPublishedTokenizer);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message();
  compare(*tokenizer.value(), "dnabert2");
}

TEST(TokenizerGolden, Gpt2) {
  const std::string vocab = read_text(kGpt2Vocabulary), merges = read_text(kGpt2Merges);
  if (vocab.empty() || merges.empty()) GTEST_SKIP() << kGpt2Vocabulary << " or " << kGpt2Merges << " is absent";
  const auto tokenizer = parse_bpe_files({vocab, kGpt2Vocabulary}, {merges, kGpt2Merges}, {});
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message();
  compare(*tokenizer.value(), "gpt2");
}

TEST(TokenizerGolden, SmallBytes) {
  compare(*small_bytes(), "bytes");
}

TEST(TokenizerGolden, Trained) {
  const auto tokenizer = train_small();
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message();
  compare(*tokenizer.value(), "trained");
}

TEST(TokenizerGolden, Nucleotide) {
  compare(*make_nucleotide_tokenizer(), "nucleotide");
}

TEST(TokenizerGolden, Kmer) {
  compare(*make_kmer_tokenizer(6), "kmer6");
}

}  // namespace
}  // namespace strand
