// tokenizer_dump FOLDER: writes NAME.json for each tokenizer that Strand makes by itself and golden_test compares.
#include <cstdio>

#include "tests/unit/tokenizer/test_tokenizers.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: tokenizer_dump FOLDER (run it from the repository's root)\n");
    return 2;
  }
  const auto trained = strand::train_small();
  if (!trained.ok()) {
    std::fprintf(stderr, "%s\n", trained.error().message().c_str());
    return 2;
  }
  const std::string folder = argv[1];
  std::ofstream(folder + "/trained.json") << trained.value()->to_json();
  std::ofstream(folder + "/nucleotide.json") << strand::make_nucleotide_tokenizer()->to_json();
  std::ofstream(folder + "/bytes.json") << strand::small_bytes()->to_json();
  std::ofstream(folder + "/kmer6.json") << strand::make_kmer_tokenizer(6)->to_json();
  return 0;
}
