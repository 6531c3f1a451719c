#include "tests/unit/tokenizer/test_tokenizers.h"

#include <map>

#include "dataserver/tokenizer/bpe_files.h"
#include "dataserver/tokenizer/byte_level.h"
#include "shared/base/check.h"
#include "shared/formats/json.h"

namespace strand {
namespace {

constexpr const char* kSentences =
    "The promoter is the part of the sequence that the polymerase binds. It's read from the start, isn't it? They've"
    " found 12 motifs in 2048 sequences of the genome; we'll count them.\n\nSequence: the naïve reader's café, 3 µm"
    " – π ≈ 3.14159. Das Genom, der Promotor, die Länge; le gène, la séquence. 遺伝子の配列。 Последовательность."
    "\tDomain: DNA Promoter\nSequence:  the promoter of the gene\nAnnotation: promoter, the start of the gene.\n";

// Words as lists of texts, counted by the definition: the most frequent pair first, ties by the texts.
class SlowTrainer {
 public:
  explicit SlowTrainer(const std::string& text) {
    for (size_t at = 0; at < text.size();) {
      const size_t end = word_end(text, at);
      words_.emplace_back();
      for (size_t i = at; i < end; ++i) words_.back().push_back(to_byte_letters(std::string(1, text[i])));
      at = end;
    }
  }

  std::pair<std::string, std::string> next() {
    std::map<std::pair<std::string, std::string>, int> counts;
    for (const auto& word : words_) {
      for (size_t i = 0; i + 1 < word.size(); ++i) ++counts[{word[i], word[i + 1]}];
    }
    const auto best = std::max_element(counts.begin(), counts.end(),
                                       [](const auto& a, const auto& b) { return a.second < b.second; });
    for (auto& word : words_) {
      for (size_t i = 0; i + 1 < word.size(); ++i) {
        if (std::pair(word[i], word[i + 1]) != best->first) continue;
        word[i] += word[i + 1];
        word.erase(word.begin() + static_cast<std::ptrdiff_t>(i) + 1);
      }
    }
    return best->first;
  }

 private:
  std::vector<std::vector<std::string>> words_;
};

}  // namespace

BytesFiles small_bytes_files(size_t merges) {
  const std::string genome = read_genome_file(kBundledGenome);
  SlowTrainer trainer(std::string(kSentences) + genome.substr(0, 500) + " " + genome.substr(500, 500));
  Json::object_t vocab;
  const auto add = [&vocab](const std::string& token) { vocab.emplace_back(token, vocab.size()); };
  for (const char* special : {"<s>", "<pad>", "</s>", "<unk>"}) add(special);
  for (int byte = 255; byte >= 0; --byte) add(to_byte_letters(std::string(1, static_cast<char>(byte))));
  std::string lines = "#version: 0.2\n";
  for (size_t n = 0; n < merges; ++n) {
    const auto [left, right] = trainer.next();
    const auto known = [&](const auto& entry) { return entry.first == left + right; };
    if (std::none_of(vocab.begin(), vocab.end(), known)) add(left + right);
    lines += left + " " + right + "\n";
  }
  return {dump_json(Json(vocab)), lines};
}

std::unique_ptr<Tokenizer> small_bytes() {
  const BytesFiles files = small_bytes_files();
  auto tokenizer = parse_bpe_files({files.vocab, "vocab.json"}, {files.merges, "merges.txt"}, {});
  STRAND_CHECK(tokenizer.ok(), tokenizer.error().message());
  return std::move(tokenizer).value();
}

}  // namespace strand
