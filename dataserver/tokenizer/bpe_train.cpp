// A BPE tokenizer from sequences: what may be trained, and the tokenizer around the merges.
#include <algorithm>
#include <numeric>

#include "dataserver/tokenizer/bpe_tokenizer.h"
#include "dataserver/tokenizer/bpe_trainer.h"
#include "dataserver/tokenizer/document.h"
#include "dataserver/tokenizer/tokenizer.h"
#include "shared/base/text.h"

namespace strand {
namespace {

constexpr const char* kSpecialTokens[] = {"[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"};
constexpr std::string_view kBases = "ACGT";

template <class Id>
BpeModel train(const std::vector<std::string>& sequences, const BpeTrainOptions& options) {
  std::vector<std::string> vocabulary(std::begin(kSpecialTokens), std::end(kSpecialTokens));
  for (const char base : kBases) vocabulary.emplace_back(1, base);
  BpeTrainer<Id> trainer(sequences, std::move(vocabulary), options);
  trainer.run();
  return BpeModel(trainer.vocabulary(), trainer.merges(), 0);
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> train_bpe(const std::vector<std::string>& sequences,
                                             const BpeTrainOptions& options) {
  constexpr int32_t kSmallest = static_cast<int32_t>(std::size(kSpecialTokens) + kBases.size());
  if (options.vocabulary < kSmallest) {
    return bad_input(concat("tokenizer vocabulary: expected at least ", kSmallest,
                            " (five special tokens and A, C, G, T), found ", options.vocabulary));
  }
  if (options.max_token_length < 1) {
    return bad_input(concat("tokenizer max_token_length: expected at least 1, found ", options.max_token_length));
  }
  const size_t bases = std::accumulate(sequences.begin(), sequences.end(), size_t{0},
                                       [](size_t sum, const std::string& text) { return sum + text.size(); });
  if (bases > INT32_MAX - 1) {
    return bad_input(concat("tokenizer training: ", with_thousands(static_cast<int64_t>(bases)),
                            " bases are more than the ", with_thousands(INT32_MAX - 1),
                            " that training can take; train on a part of them"));
  }
  const auto has_base = [](const std::string& text) { return text.find_first_of(kBases) != std::string::npos; };
  if (std::none_of(sequences.begin(), sequences.end(), has_base)) {
    return bad_input("tokenizer training: there is no A, C, G or T (upper case) in the sequences to train on");
  }
  // Two ids are kept for what is no token.
  const bool narrow = options.vocabulary < UINT16_MAX - 1;
  const BpeModel model = narrow ? train<uint16_t>(sequences, options) : train<uint32_t>(sequences, options);
  std::vector<AddedToken> added;
  for (const char* special : kSpecialTokens) {
    added.push_back({.id = static_cast<int32_t>(added.size()), .content = special});
  }
  Json words = Json::object();
  words["type"] = "Whitespace";
  BpeParts parts{
      .model = model, .words = {}, .added = std::move(added), .frame = {{1}, {2}}, .specials = {}, .document = {}};
  parts.specials = {.unknown = 0, .cls = 1, .sep = 2, .pad = 3, .mask = 4};
  parts.document = tokenizer_document(parts.added, std::move(words), parts.frame, model.vocabulary(), nullptr,
                                      bpe_model_document(model));
  return make_bpe_tokenizer(std::move(parts));
}

}  // namespace strand
