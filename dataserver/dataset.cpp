#include "dataserver/dataset.h"

#include <algorithm>
#include <bit>
#include <span>

#include "dataserver/corpus/alphabet.h"
#include "dataserver/dataset_tokenizer.h"
#include "dataserver/markov/markov.h"
#include "shared/base/text.h"

namespace strand {

namespace {

// The split by what it does, not by how it was asked for.
std::string describe_split(const Split& split) {
  Hasher128 hasher;
  for (const auto* runs : {&split.training, &split.held_out}) {
    hasher.update_u64(runs->size());
    for (const BaseRun& run : *runs) {
      hasher.update_u64(run.record);
      hasher.update_u64(static_cast<uint64_t>(run.begin));
      hasher.update_u64(static_cast<uint64_t>(run.end));
    }
  }
  return concat(split.held_out_bases, " bases in ", split.held_out.size(), " runs, ", hasher.digest().hex());
}

// Base codes of runs, one vector a run.
Result<std::vector<std::vector<uint8_t>>> codes_of(CorpusReader* reader, const std::vector<BaseRun>& runs) {
  std::vector<std::vector<uint8_t>> codes;
  std::string text;
  for (const BaseRun& run : runs) {
    STRAND_TRY(reader->read(run, &text));
    codes.emplace_back(text.size());
    for (size_t i = 0; i < text.size(); ++i) codes.back()[i] = base_code(text[i]);
  }
  return codes;
}

std::vector<std::span<const uint8_t>> spans_of(const std::vector<std::vector<uint8_t>>& codes) {
  return {codes.begin(), codes.end()};
}

std::string encode_bits(const MarkovReport& report) {
  std::string bytes;
  for (const double bits : report.bits) bytes += big_endian_key("", std::bit_cast<uint64_t>(bits));
  return bytes;
}

std::vector<double> decode_bits(std::string_view bytes) {
  std::vector<double> bits;
  for (size_t at = 0; at + 8 <= bytes.size(); at += 8) {
    bits.push_back(std::bit_cast<double>(parse_big_endian(bytes.substr(at, 8))));
  }
  return bits;
}

}  // namespace

Result<DataHome> open_data_home(FileSystem* fs, const std::string& directory, bool read_only) {
  DataHome home;
  home.directory = directory;
  home.fs = fs;
  home.read_only = read_only;
  if (!read_only) STRAND_TRY(fs->make_directories(directory));
  STRAND_ASSIGN(auto store, open_data_store(directory + "/rocks", read_only));
  home.store = std::move(store);
  return home;
}

std::string DatasetSpec::key() const {
  std::vector<std::string> parts = {
      concat(data.segment, " ", data.segment_bases, " ", data.stride, " ", data.reverse_complement, " ",
             static_cast<int>(tokenizer.kind), " ", tokenizer.vocabulary, " ", tokenizer.k, " ", model_vocabulary, " ",
             rows_per_step, " ", std::bit_cast<uint64_t>(data.holdout.fraction)),
      tokenizer.file};
  for (const auto* list : {&data.files, &data.holdout.records, &data.holdout.files}) {
    parts.push_back(concat(list->size()));
    parts.insert(parts.end(), list->begin(), list->end());
  }
  for (const HoldoutInterval& interval : data.holdout.intervals) {
    parts.push_back(interval.record);
    parts.push_back(concat(interval.begin, " ", interval.end));
  }
  std::string key;
  for (const std::string& part : parts) key += concat(part.size(), ":", part, "\n");
  return key;
}

DatasetSpec dataset_spec(const JobSpec& job) {
  return {job.data, job.tokenizer, job.model.config.vocabulary, job.train.rows_per_step()};
}

std::string first_difference(const std::vector<FingerprintField>& expected,
                             const std::vector<FingerprintField>& found) {
  for (size_t i = 0; i < std::max(expected.size(), found.size()); ++i) {
    if (i >= found.size()) return concat("dataset field '", expected[i].name, "' is expected but not known here");
    if (i >= expected.size()) return concat("dataset field '", found[i].name, "' was not expected");
    if (expected[i] == found[i]) continue;
    if (expected[i].name != found[i].name) {
      return concat("dataset field ", i, ": expected '", expected[i].name, "', found '", found[i].name, "'");
    }
    return concat("dataset field '", expected[i].name, "' differs: expected ", expected[i].value, ", found ",
                  found[i].value);
  }
  return "";
}

Result<std::shared_ptr<const Dataset>> Dataset::open(const DataHome& home, const DatasetSpec& spec,
                                                     const Progress& progress) {
  const auto stage = [&](double done) -> Status {
    if (progress(done)) return {};
    return Error(ErrorCode::kStopped, "stopped while the dataset was being built");
  };
  if (spec.data.segment < 2 || spec.data.segment > 65535) {
    return bad_input(concat("data.segment = ", spec.data.segment, "; expected 2 to 65535 tokens"));
  }
  std::shared_ptr<Dataset> dataset(new Dataset);
  dataset->home_ = home;
  const auto building = [&](double share) { return progress(0.5 * share); };
  STRAND_ASSIGN(CorpusInfo info, home.read_only ? find_corpus(home.store.get(), spec.data.files)
                                                : build_corpus(home.store.get(), spec.data.files, building));
  STRAND_ASSIGN(dataset->split_, split_corpus(info, spec.data.holdout, spec.data.files));
  dataset->split_text_ = describe_split(dataset->split_);
  dataset->reader_ = std::make_unique<CorpusReader>(home.store.get(), std::move(info));
  STRAND_TRY(stage(0.5));
  STRAND_ASSIGN(dataset->tokenizer_,
                open_tokenizer(home, spec.tokenizer, dataset->reader_.get(), dataset->split_, dataset->split_text_));
  STRAND_TRY(check_tokenizer(*dataset->tokenizer_, spec.model_vocabulary));
  STRAND_TRY(stage(0.9));
  STRAND_TRY(dataset->cut_rows(spec));
  STRAND_TRY(dataset->check(spec));
  STRAND_TRY(dataset->describe(spec));
  STRAND_TRY(stage(1));
  return std::shared_ptr<const Dataset>(std::move(dataset));
}

Status Dataset::cut_rows(const DatasetSpec& spec) {
  const int64_t segment = spec.data.segment;
  segment_bases_ = spec.data.segment_bases;
  if (segment_bases_ == 0) {
    STRAND_ASSIGN(segment_bases_, default_segment_bases(home_, spec.tokenizer, *tokenizer_, segment, reader_.get(),
                                                        split_, split_text_));
  }
  stride_ = spec.data.stride == 0 ? segment_bases_ : spec.data.stride;
  if (segment_bases_ < 2 || stride_ < 1) {
    return bad_input(concat("data.segment_bases = ", segment_bases_, ", data.stride = ", stride_,
                            "; expected at least 2 and at least 1 base"));
  }
  training_ = std::make_unique<TrainingRows>(reader_.get(), tokenizer_.get(),
                                             WindowIndex(split_.training, segment_bases_, stride_), segment,
                                             spec.data.reverse_complement);
  STRAND_ASSIGN(HeldOutRows held_out, HeldOutRows::make(reader_.get(), *tokenizer_, split_.held_out, segment));
  held_out_ = std::make_unique<HeldOutRows>(std::move(held_out));
  return {};
}

Status Dataset::check(const DatasetSpec& spec) const {
  const uint64_t segments = training_->segments();
  if (segments == 0) {
    return bad_input("no training segment: every training run has a single base; give more data.files");
  }
  if (spec.rows_per_step > 0 && static_cast<uint64_t>(spec.rows_per_step) > segments) {
    return bad_input(concat("more segments than data: one step takes ", spec.rows_per_step,
                            " rows (train.lanes x micro_batches_per_lane x micro_batch) but the training data has ",
                            segments, " segments of ", segment_bases_,
                            " bases: lower train.lanes or train.micro_batch, shorten data.stride, or give more data"));
  }
  if (!spec.data.holdout.empty() && held_out_->size() == 0) {
    return bad_input(concat("data.holdout: the ", split_.held_out_bases,
                            " held-out bases make no token that has another before it; hold out more"));
  }
  return {};
}

Status Dataset::describe(const DatasetSpec& spec) {
  summary_.fields = {{"bases", reader_->info().content.hex()},
                     {"holdout", split_text_},
                     {"tokenizer", tokenizer_->fingerprint().hex()},
                     {"segment", concat(spec.data.segment)},
                     {"segment_bases", concat(segment_bases_)},
                     {"stride", concat(stride_)},
                     {"reverse_complement", spec.data.reverse_complement ? "true" : "false"},
                     {"format", concat(kBatchFormatVersion)}};
  Hasher128 hasher;
  for (const FingerprintField& field : summary_.fields) {
    hasher.update_text(field.name);
    hasher.update_text(field.value);
  }
  summary_.fingerprint = hasher.digest();
  summary_.segments = training_->segments();
  summary_.eval_rows = held_out_->size();
  summary_.eval_bases = held_out_->target_bases();
  summary_.segment = spec.data.segment;
  summary_.vocabulary = tokenizer_->vocabulary();
  for (int32_t id = 0; id < summary_.vocabulary; ++id) {
    const int32_t characters = tokenizer_->characters(id);
    if (characters < 0 || characters > 255) {
      return bad_input(concat("tokenizer: id ", id, " stands for ", characters, " bases; expected at most 255"));
    }
    summary_.token_bases.push_back(static_cast<uint8_t>(characters));
  }
  return {};
}

Result<RowBlock> Dataset::rows(uint64_t seed, bool held_out, uint64_t first_row, uint32_t rows) const {
  const auto segment = static_cast<size_t>(summary_.segment);
  if (rows == 0 || rows > kMostRows || rows * segment * sizeof(uint16_t) > kMostBytes) {
    return bad_input(concat("asked for ", rows, " rows of ", segment, " tokens; expected 1 to ", kMostRows,
                            " and at most ", human_bytes(kMostBytes), ": ask for fewer at a time"));
  }
  if (held_out && (first_row > summary_.eval_rows || rows > summary_.eval_rows - first_row)) {
    return bad_input(concat("asked for held-out rows ", first_row, " to ", first_row, " + ", rows,
                            " of a held-out set of ", summary_.eval_rows));
  }
  if (!held_out && first_row > UINT64_MAX - rows) return bad_input(concat("row ", first_row, " is out of range"));
  RowBlock block;
  block.tokens.resize(rows * segment);
  block.lengths.resize(rows);
  TrainingRows::Scratch scratch;
  for (uint32_t i = 0; i < rows; ++i) {
    uint16_t* tokens = block.tokens.data() + i * segment;
    if (held_out) {
      block.lengths[i] = held_out_->row(first_row + i, tokens);
    } else {
      STRAND_ASSIGN(block.lengths[i], training_->row(seed, first_row + i, &scratch, tokens));
    }
  }
  block.cut_tokens = scratch.cut_tokens;
  return block;
}

Result<std::vector<double>> Dataset::markov_bits() const {
  if (split_.held_out_bases == 0 || split_.training_bases > kMostMarkovBases) return std::vector<double>();
  const std::string key =
      concat("derived/markov/", hash128(concat(reader_->info().content.hex(), " ", split_text_)).hex());
  const auto kept = home_.store->get(key);
  if (kept.ok() && kept->size() == 8 * kMarkovOrders) return decode_bits(*kept);
  if (!kept.ok() && kept.error().code() != ErrorCode::kNotFound) return kept.error();
  STRAND_ASSIGN(const auto training, codes_of(reader_.get(), split_.training));
  STRAND_ASSIGN(const auto held_out, codes_of(reader_.get(), split_.held_out));
  const std::string bytes = encode_bits(markov_baseline(spans_of(training), spans_of(held_out)));
  StoreBatch batch;
  batch.put(key, bytes);
  STRAND_TRY(home_.store->write(batch));
  return decode_bits(bytes);
}

}  // namespace strand
