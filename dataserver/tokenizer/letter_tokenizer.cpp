// The two vocabularies that Strand knows by heart: DNA FM's letters and Nucleotide Transformer's k-mers.
#include "dataserver/tokenizer/list_tokenizer.h"
#include "shared/base/check.h"

namespace strand {

std::vector<std::string> nucleotide_vocabulary() {
  return {"[PAD]", "[MASK]", "[CLS]", "[SEP]", "[UNK]", "A",         "G",         "C",
          "T",     "U",      "N",     "[BOS]", "[EOS]", "[UNUSED1]", "[UNUSED2]", "[UNUSED3]"};
}

size_t kmer_vocabulary_size(int k) {
  return 9 + (k > 1 ? size_t{1} << (2 * k) : 0);
}

std::vector<std::string> kmer_vocabulary(int k) {
  constexpr std::string_view kOrder = "ATCG";
  std::vector<std::string> tokens = {"<unk>", "<pad>", "<mask>", "<cls>"};
  const uint32_t kmers = 1u << (2 * k);
  for (uint32_t number = 0; k > 1 && number < kmers; ++number) {
    std::string kmer;
    for (int place = k - 1; place >= 0; --place) kmer += kOrder[(number >> (2 * place)) & 3];
    tokens.push_back(std::move(kmer));
  }
  for (const char* letter : {"A", "T", "C", "G", "N"}) tokens.emplace_back(letter);
  return tokens;
}

std::unique_ptr<Tokenizer> make_nucleotide_tokenizer(bool bos_eos) {
  TokenList list;
  list.tokens = nucleotide_vocabulary();
  list.specials = {.unknown = 4, .cls = 2, .sep = 3, .pad = 0, .mask = 1, .bos = 11, .eos = 12};
  list.frame = bos_eos ? SequenceFrame{{2, 11}, {12, 3}} : SequenceFrame{{2}, {3}};
  return make_list_tokenizer(std::move(list));
}

std::unique_ptr<Tokenizer> make_kmer_tokenizer(int k) {
  STRAND_CHECK(k >= 1 && k <= kLongestKmer, "k = ", k);
  TokenList list;
  list.tokens = kmer_vocabulary(k);
  list.specials = {.unknown = 0, .cls = 3, .pad = 1, .mask = 2};
  list.frame = {{3}, {}};
  return make_list_tokenizer(std::move(list));
}

}  // namespace strand
