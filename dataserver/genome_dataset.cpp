#include "dataserver/genome_dataset.h"

#include <bit>
#include <span>

#include "dataserver/corpus/alphabet.h"
#include "dataserver/corpus/exclusions.h"
#include "dataserver/corpus/joined_corpus.h"
#include "dataserver/dataset_tokenizer.h"
#include "dataserver/examples/source_order.h"
#include "dataserver/markov/markov.h"
#include "dataserver/packing.h"
#include "dataserver/sampler/sampler.h"
#include "shared/base/text.h"

namespace strand {

namespace {

void add_runs(const std::vector<BaseRun>& runs, Hasher128* hasher) {
  hasher->update_u64(runs.size());
  for (const BaseRun& run : runs) {
    hasher->update_u64(run.record);
    hasher->update_u64(static_cast<uint64_t>(run.begin));
    hasher->update_u64(static_cast<uint64_t>(run.end));
  }
}

std::string describe_exclusion(const Split& split) {
  Hasher128 hasher;
  add_runs(split.excluded, &hasher);
  return concat(split.excluded_bases, " bases in ", split.excluded.size(), " runs, ", hasher.digest().hex());
}

// The split by what it does, not by how it was asked for.
std::string describe_split(const Split& split) {
  Hasher128 hasher;
  for (const auto* runs : {&split.training, &split.held_out}) add_runs(*runs, &hasher);
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

Result<std::shared_ptr<const Dataset>> GenomeDataset::open(const DataHome& home, const DatasetSpec& spec,
                                                           const Progress& progress) {
  const auto stage = [&](double done) -> Status {
    if (progress(done)) return {};
    return Error(ErrorCode::kStopped, "stopped while the dataset was being built");
  };
  std::shared_ptr<GenomeDataset> dataset(new GenomeDataset);
  dataset->home_ = home;
  const auto building = [&](double share) { return progress(0.5 * share); };
  STRAND_ASSIGN(CorpusInfo info, home.read_only ? find_data(home.store.get(), spec.data)
                                                : build_data(home.store.get(), spec.data, building));
  for (const std::string& id : stored_ids(info)) STRAND_TRY(note_built(home, id));
  STRAND_ASSIGN(dataset->split_, split_data(info, spec.data));
  dataset->split_text_ = describe_split(dataset->split_);
  dataset->reader_ = std::make_unique<CorpusReader>(home.store.get(), std::move(info), home.chunks);
  STRAND_TRY(stage(0.5));
  STRAND_ASSIGN(dataset->tokenizer_,
                open_tokenizer(home, spec.tokenizer, dataset->reader_.get(), dataset->split_, dataset->split_text_));
  STRAND_TRY(check_tokenizer(*dataset->tokenizer_, spec.model_vocabulary));
  STRAND_TRY(dataset->set_style(spec));
  STRAND_TRY(stage(0.9));
  STRAND_TRY(spec.data.packing ? dataset->pack_rows(spec, [&](double share) { return progress(0.9 + 0.05 * share); })
                               : dataset->cut_windows(spec));
  STRAND_TRY(dataset->cut_held_out());
  STRAND_TRY(dataset->check(spec));
  STRAND_TRY(dataset->describe(spec));
  STRAND_TRY(stage(1));
  return std::shared_ptr<const Dataset>(std::move(dataset));
}

Status GenomeDataset::set_style(const DatasetSpec& spec) {
  style_.segment = spec.data.segment;
  if (!spec.masked) return {};
  style_.masked = true;
  style_.frame = tokenizer_->frame();
  if (style_.room() < 2) {
    return bad_input(concat("data.segment = ", style_.segment, ": the tokenizer's special tokens take ",
                            style_.frame_size(), " of them; expected room for 2 tokens more: lengthen data.segment"));
  }
  STRAND_ASSIGN(masking_, masking_rules(*spec.masked, *tokenizer_));
  return {};
}

// Of each source; without sources of all.
std::vector<uint64_t> GenomeDataset::windows_of_parts(const WindowIndex& windows) const {
  const std::vector<CorpusPart>& parts = reader_->info().parts;
  std::vector<uint64_t> counts;
  for (size_t i = 0; i < parts.size(); ++i) {
    const uint64_t end = i + 1 == parts.size() ? windows.size() : windows.before(parts[i + 1].first_record);
    counts.push_back(end - windows.before(parts[i].first_record));
  }
  return parts.empty() ? std::vector<uint64_t>{windows.size()} : counts;
}

Status GenomeDataset::cut_windows(const DatasetSpec& spec) {
  segment_bases_ = spec.data.segment_bases;
  if (segment_bases_ == 0) {
    STRAND_ASSIGN(segment_bases_, default_segment_bases(home_, spec.tokenizer, *tokenizer_, style_.room(),
                                                        reader_.get(), split_, split_text_));
  }
  stride_ = spec.data.stride == 0 ? segment_bases_ : spec.data.stride;
  if (segment_bases_ < 2 || stride_ < 1) {
    return bad_input(concat("data.segment_bases = ", segment_bases_, ", data.stride = ", stride_,
                            "; expected at least 2 and at least 1 base"));
  }
  WindowIndex windows(split_.training, segment_bases_, stride_);
  STRAND_ASSIGN(order_, row_order(spec.data, reader_->info(), windows_of_parts(windows), spec.rows_per_step));
  training_ = std::make_unique<TrainingRows>(reader_.get(), tokenizer_.get(), std::move(windows), style_, order_);
  return {};
}

Status GenomeDataset::pack_rows(const DatasetSpec& spec, const Progress& go_on) {
  STRAND_ASSIGN(
      packed_, open_packed_rows(home_, spec.tokenizer, *tokenizer_, reader_.get(), split_, split_text_, style_, go_on));
  STRAND_ASSIGN(order_, row_order(spec.data, reader_->info(), packed_->rows_of_parts(), spec.rows_per_step));
  return {};
}

Status GenomeDataset::cut_held_out() {
  const std::string tokens_of =
      concat(reader_->info().content.hex(), " ", split_text_, " ", tokenizer_->fingerprint().hex());
  STRAND_ASSIGN(HeldOutRows held_out,
                HeldOutRows::make(
                    reader_.get(), *tokenizer_, split_.held_out, style_,
                    {home_.store.get(), concat("derived/held-out/", hash128(tokens_of).hex(), "/"), !home_.read_only}));
  held_out_ = std::make_unique<HeldOutRows>(std::move(held_out));
  return {};
}

Status GenomeDataset::check(const DatasetSpec& spec) const {
  const uint64_t segments = order_.segments();
  if (segments == 0) {
    return bad_input("no training segment: every training run has a single base; give more data.files");
  }
  if (spec.rows_per_step > 0 && static_cast<uint64_t>(spec.rows_per_step) > segments) {
    return bad_input(concat("more segments than data: one step takes ", spec.rows_per_step,
                            " rows (train.lanes x micro_batches_per_lane x micro_batch) but the training data has ",
                            segments, packed_ ? " packed rows" : concat(" segments of ", segment_bases_, " bases"),
                            ": lower train.lanes or train.micro_batch, ",
                            packed_ ? "shorten data.segment" : "shorten data.stride", ", or give more data"));
  }
  if (!spec.data.holdout.empty() && held_out_->size() == 0) {
    return bad_input(concat("data.holdout: the ", split_.held_out_bases,
                            " held-out bases make no token that has another before it; hold out more"));
  }
  return {};
}

Status GenomeDataset::describe(const DatasetSpec& spec) {
  summary_.fields = {{"bases", reader_->info().content.hex()},
                     {"holdout", split_text_},
                     {"tokenizer", tokenizer_->fingerprint().hex()},
                     {"segment", concat(spec.data.segment)},
                     {"segment_bases", concat(segment_bases_)},
                     {"stride", concat(stride_)},
                     {"reverse_complement", spec.data.reverse_complement ? "true" : "false"},
                     {"format", concat(kBatchFormatVersion)}};
  if (!spec.data.exclude.empty()) {  // the runs of "holdout" leave it out; this field says why they differ
    summary_.fields.insert(summary_.fields.begin() + 1, {"exclude", describe_exclusion(split_)});
  }
  if (packed_) summary_.fields.push_back({"packing", concat("separator ", separator_of(*tokenizer_))});
  const std::vector<FingerprintField> of_order = order_fields(spec.data, order_);
  summary_.fields.insert(summary_.fields.end(), of_order.begin(), of_order.end());
  if (spec.masked) {
    const std::vector<FingerprintField> more = masking_fields(*spec.masked, style_.frame);
    summary_.fields.insert(summary_.fields.end(), more.begin(), more.end());
  }
  summary_.segments = order_.segments();
  summary_.eval_rows = held_out_->size();
  summary_.segment = spec.data.segment;
  summary_.targets = masking_.has_value();
  STRAND_TRY(finish_summary());
  if (!masking_) {
    summary_.eval_bases = held_out_->target_bases();
    return {};
  }
  return sum_masked_bases();
}

// Bases of the tokens that the held-out rows ask for, kept in the store: it takes every row.
Status GenomeDataset::sum_masked_bases() {
  const std::string key = concat("derived/masked-bases/", summary_.fingerprint.hex());
  const auto kept = home_.store->get(key);
  if (kept.ok() && kept->size() == 8) {
    summary_.eval_bases = static_cast<int64_t>(parse_big_endian(*kept));
    return {};
  }
  if (!kept.ok() && kept.error().code() != ErrorCode::kNotFound) return kept.error();
  constexpr uint64_t kAtOnce = 64;
  for (uint64_t row = 0; row < summary_.eval_rows; row += kAtOnce) {
    const auto count = static_cast<uint32_t>(std::min(kAtOnce, summary_.eval_rows - row));
    STRAND_ASSIGN(const RowBlock block, rows(0, RowSet::kHeldOut, row, count));
    for (const uint16_t target : block.targets) {
      if (target != kNoTarget) summary_.eval_bases += summary_.token_bases[target];
    }
  }
  if (home_.read_only) return {};
  StoreBatch batch;
  batch.put(key, big_endian_key("", static_cast<uint64_t>(summary_.eval_bases)));
  return home_.store->write(batch);
}

Status GenomeDataset::fill_packed(uint64_t seed, uint64_t first_row, RowBlock* block) const {
  PackedRows::Scratch scratch;
  for (size_t i = 0; i < block->lengths.size(); ++i) {
    const SampledRow sampled = order_.row(seed, first_row + i);
    block->samples[i] = sampled.window;
    STRAND_ASSIGN(block->lengths[i], packed_->row(sampled.window, sampled.reverse_complement, &scratch,
                                                  block->tokens.data() + i * static_cast<size_t>(style_.segment)));
  }
  block->cut_tokens = scratch.cut_tokens;
  return {};
}

Status GenomeDataset::fill(uint64_t seed, RowSet set, uint64_t first_row, RowBlock* block) const {
  const auto segment = static_cast<size_t>(style_.segment);
  const bool training = set == RowSet::kTraining;
  if (training && packed_) STRAND_TRY(fill_packed(seed, first_row, block));
  if (training && training_) {
    TrainingRows::Scratch scratch;
    STRAND_TRY(training_->fill(seed, first_row, &scratch, block->tokens.data(), block->lengths, block->samples.data()));
    block->cut_tokens = scratch.rows.cut_tokens;
  }
  for (size_t i = 0; i < block->lengths.size(); ++i) {
    const uint64_t row = first_row + i;
    uint16_t* tokens = block->tokens.data() + i * segment;
    if (!training) {
      STRAND_ASSIGN(block->lengths[i], held_out_->row(row, tokens));
      block->samples[i] = held_out_row(summary_.eval_rows, row);
    }
    if (masking_) {
      mask_row(*masking_, training ? seed : kHeldOutMaskSeed, row, block->lengths[i], tokens,
               block->targets.data() + i * segment);
    }
  }
  return {};
}

Result<std::vector<double>> GenomeDataset::markov_bits() const {
  if (masking_ || split_.held_out_bases == 0 || split_.training_bases > kMostMarkovBases) return std::vector<double>();
  const std::string key =
      concat("derived/markov/", hash128(concat(reader_->info().content.hex(), " ", split_text_)).hex());
  const auto kept = home_.store->get(key);
  if (kept.ok() && kept->size() == 8 * kMarkovOrders) return decode_bits(*kept);
  if (!kept.ok() && kept.error().code() != ErrorCode::kNotFound) return kept.error();
  STRAND_ASSIGN(const auto training, codes_of(reader_.get(), split_.training));
  STRAND_ASSIGN(const auto held_out, codes_of(reader_.get(), split_.held_out));
  const std::string bytes = encode_bits(markov_baseline(spans_of(training), spans_of(held_out)));
  if (!home_.read_only) {
    StoreBatch batch;
    batch.put(key, bytes);
    STRAND_TRY(home_.store->write(batch));
  }
  return decode_bits(bytes);
}

}  // namespace strand
