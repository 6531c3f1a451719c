#include "dataserver/dataset_tokenizer.h"

#include <algorithm>

#include "dataserver/corpus/alphabet.h"
#include "dataserver/tokenizer/open_tokenizer.h"
#include "shared/base/text.h"

namespace strand {

namespace {

// A result kept for a restart, named by everything it depends on.
std::string derived_key(const char* kind, const CorpusInfo& info, const std::string& split_text,
                        const std::string& rest) {
  return concat("derived/", kind, "/", hash128(concat(info.content.hex(), " ", split_text, " ", rest)).hex());
}

Result<std::unique_ptr<Tokenizer>> trained_bpe(const DataHome& home, const TokenizerSpec& spec, CorpusReader* reader,
                                               const Split& split, const std::string& split_text) {
  BpeTrainOptions options;
  options.vocabulary = static_cast<int32_t>(spec.vocabulary);
  options.max_token_length = static_cast<int32_t>(spec.max_length);
  const std::string key =
      derived_key("bpe", reader->info(), split_text, concat(options.vocabulary, " ", options.max_token_length));
  const auto kept = home.store->get(key);
  if (kept.ok()) return parse_tokenizer_json(*kept, home.directory + "/" + key);
  if (kept.error().code() != ErrorCode::kNotFound) return kept.error();
  if (home.read_only) {
    return not_found(concat(home.directory, ": no vocabulary has been trained for this job yet; run the job first"));
  }
  STRAND_ASSIGN(const auto sequences, sample_training(reader, split.training, kMostSampledBases));
  STRAND_ASSIGN(auto tokenizer, train_bpe(sequences, options));
  StoreBatch batch;
  batch.put(key, tokenizer->to_json());
  STRAND_TRY(home.store->write(batch));
  return tokenizer;
}

// The copy for other tools.
Status write_copy(const DataHome& home, const Tokenizer& tokenizer) {
  if (home.read_only) return {};
  const std::string path = home.directory + "/tokenizer.json";
  const std::string json = tokenizer.to_json();
  const auto current = home.fs->exists(path) ? home.fs->read_file(path) : Result<std::string>(std::string());
  if (current.ok() && *current == json) return {};
  return write_file_atomically(*home.fs, path, json);
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> ready_tokenizer(const DataHome& home, const TokenizerSpec& spec) {
  std::unique_ptr<Tokenizer> tokenizer;
  switch (spec.kind) {
    case TokenizerKind::kNucleotide: tokenizer = make_nucleotide_tokenizer(spec.bos_eos); break;
    case TokenizerKind::kKmer: {
      const int k = static_cast<int>(spec.k);
      tokenizer = spec.overlapping ? make_overlapping_tokenizer(k) : make_kmer_tokenizer(k);
      break;
    }
    case TokenizerKind::kBpe:
      return bad_input("tokenizer.kind = \"bpe\" is trained on a genome, and here is none; use kind = \"file\"");
    case TokenizerKind::kFile: {
      STRAND_ASSIGN(tokenizer, open_tokenizer(*home.fs, spec.file));
    }
  }
  STRAND_TRY(write_copy(home, *tokenizer));
  return tokenizer;
}

Result<std::vector<std::string>> sample_training(CorpusReader* reader, const std::vector<BaseRun>& training,
                                                 int64_t most_bases) {
  int64_t all = 0;
  for (const BaseRun& run : training) all += run.length();
  // Of every `period` bases of the concatenated runs the first `keep` count.
  constexpr int64_t kPiece = int64_t{1} << 20;
  const int64_t pieces = std::max<int64_t>(1, (all + most_bases - 1) / most_bases);
  std::vector<std::string> sequences;
  int64_t before = 0;
  for (const BaseRun& run : training) {
    for (int64_t begin = run.begin; begin < run.end;) {
      const int64_t position = before + (begin - run.begin);
      const int64_t rest_of_piece = kPiece - position % kPiece;
      const int64_t end = pieces == 1 ? run.end : std::min(run.end, begin + rest_of_piece);
      if (pieces == 1 || (position / kPiece) % pieces == 0) {
        sequences.emplace_back();
        STRAND_TRY(reader->read({run.record, begin, end}, &sequences.back()));
      }
      begin = end;
    }
    before += run.length();
  }
  return sequences;
}

Result<std::unique_ptr<Tokenizer>> open_tokenizer(const DataHome& home, const TokenizerSpec& spec, CorpusReader* reader,
                                                  const Split& split, const std::string& split_text) {
  if (spec.kind != TokenizerKind::kBpe) return ready_tokenizer(home, spec);
  STRAND_ASSIGN(auto tokenizer, trained_bpe(home, spec, reader, split, split_text));
  STRAND_TRY(write_copy(home, *tokenizer));
  return tokenizer;
}

Status check_tokenizer(const Tokenizer& tokenizer, int64_t model_vocabulary) {
  std::vector<int32_t> ids;
  for (const char letter : kBaseLetters) {
    ids.clear();
    // Of overlapping k-mers, as many as make a token.
    for (size_t count = 1; ids.empty() && count <= kLongestKmer; ++count)
      tokenizer.encode(std::string(count, letter), &ids);
    if (ids.size() != 1 || ids[0] == tokenizer.specials().unknown || tokenizer.characters(ids[0]) != 1) {
      return bad_input(
          concat("tokenizer: no id for the base ", letter,
                 ", so it does not cover the data; give a tokenizer whose vocabulary holds A, C, G and T"));
    }
  }
  constexpr int32_t kMostIds = 65536;
  if (tokenizer.vocabulary() > kMostIds) {
    return bad_input(concat("tokenizer: ", tokenizer.vocabulary(), " ids; expected at most ", kMostIds,
                            ", since tokens travel in 16 bits: use a smaller vocabulary"));
  }
  if (model_vocabulary > 0 && tokenizer.vocabulary() > model_vocabulary) {
    return bad_input(concat("the tokenizer has ", tokenizer.vocabulary(), " ids but model.vocabulary is ",
                            model_vocabulary, ": set model.vocabulary to at least ", tokenizer.vocabulary()));
  }
  return {};
}

// The 1st percentile of the bases under `segment` consecutive tokens.
static Result<int64_t> measure_segment_bases(const Tokenizer& tokenizer, int64_t segment,
                                             const std::vector<std::string>& sequences) {
  std::vector<int64_t> covered;
  int64_t tokens = 0, bases = 0;
  std::vector<int32_t> ids;
  for (const std::string& sequence : sequences) {
    ids.clear();
    tokenizer.encode(sequence, &ids);
    tokens += static_cast<int64_t>(ids.size());
    bases += static_cast<int64_t>(sequence.size());
    const auto row = static_cast<size_t>(segment);
    for (size_t begin = 0; begin + row <= ids.size(); begin += row) {
      int64_t sum = 0;
      for (size_t i = begin; i < begin + row; ++i) sum += tokenizer.characters(ids[i]);
      covered.push_back(sum);
    }
  }
  if (tokens == 0) return bad_input("the tokenizer makes no token of the training bases; give another tokenizer");
  if (covered.empty()) return std::max<int64_t>(2, segment * bases / tokens);  // less than one row of data
  const auto at = covered.begin() + static_cast<ptrdiff_t>(covered.size() / 100);
  std::nth_element(covered.begin(), at, covered.end());
  return std::max<int64_t>(2, *at);
}

Result<int64_t> default_segment_bases(const DataHome& home, const TokenizerSpec& spec, const Tokenizer& tokenizer,
                                      int64_t segment, CorpusReader* reader, const Split& split,
                                      const std::string& split_text) {
  if (spec.kind == TokenizerKind::kNucleotide) return segment;
  if (spec.kind == TokenizerKind::kKmer) return spec.overlapping ? segment + spec.k - 1 : segment * spec.k;
  const std::string key =
      derived_key("window", reader->info(), split_text, concat(tokenizer.fingerprint().hex(), " ", segment));
  const auto kept = home.store->get(key);
  if (kept.ok() && kept->size() == 8) return static_cast<int64_t>(parse_big_endian(*kept));
  if (!kept.ok() && kept.error().code() != ErrorCode::kNotFound) return kept.error();
  STRAND_ASSIGN(const auto sequences, sample_training(reader, split.training, kMostSampledBases));
  STRAND_ASSIGN(const int64_t bases, measure_segment_bases(tokenizer, segment, sequences));
  if (home.read_only) return bases;
  StoreBatch batch;
  batch.put(key, big_endian_key("", static_cast<uint64_t>(bases)));
  STRAND_TRY(home.store->write(batch));
  return bases;
}

}  // namespace strand
