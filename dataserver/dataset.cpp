#include "dataserver/dataset.h"

#include <algorithm>
#include <bit>

#include "dataserver/genome_dataset.h"
#include "dataserver/task_dataset.h"
#include "shared/base/text.h"
#include "shared/job_spec/objective.h"

namespace strand {

namespace {

using Parts = std::vector<std::string>;

void add_list(const Parts& list, Parts* parts) {
  parts->push_back(concat(list.size()));
  parts->insert(parts->end(), list.begin(), list.end());
}

// Numbers by their bits, so that unequal ones have unequal texts.
void add_objective(const ObjectiveSpec& o, Parts* parts) {
  parts->push_back(concat("masked ", std::bit_cast<uint64_t>(o.ratio), " ", std::bit_cast<uint64_t>(o.mask), " ",
                          std::bit_cast<uint64_t>(o.random), " ", static_cast<int>(o.random_ids), " ", o.max_ngram, " ",
                          o.count_special, " ", static_cast<int>(o.rounding)));
}

void add_mixing(const DataSpec& data, Parts* parts) {
  parts->push_back(concat("mixing ", data.shift, " ", data.packing, " ", std::bit_cast<uint64_t>(data.temperature), " ",
                          data.sources.size(), " ", data.mixture.size()));
  add_list(data.holdout.sources, parts);
  for (const SourceSpec& source : data.sources) {
    parts->push_back(source.name);
    parts->push_back(concat(std::bit_cast<uint64_t>(source.weight)));
    add_list(source.files, parts);
  }
  for (const MixtureSpec& mixture : data.mixture) {
    std::string weights = concat(mixture.from_step);
    for (const double weight : mixture.weights) weights += concat(" ", std::bit_cast<uint64_t>(weight));
    parts->push_back(std::move(weights));
  }
}

void add_task(const TaskSpec& t, Parts* parts) {
  parts->push_back(concat("task ", static_cast<int>(t.kind), " ", t.classes, " ", t.folds, " ", t.fold, " ",
                          t.split_seed, " ", std::bit_cast<uint64_t>(t.dev_fraction), " ", t.standardize, " ",
                          t.special_tokens, " ", t.reverse_complement, " ", static_cast<int>(t.too_long), " ",
                          t.sort_by_length));
  add_list({t.train, t.dev, t.test, t.sequence, t.label, t.prefix, t.suffix}, parts);
  add_list(t.labels, parts);
  add_list(t.class_names, parts);
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
  home.chunks = std::make_shared<ChunkCache>();
  return home;
}

Status note_built(const DataHome& home, const std::string& id) {
  if (home.read_only || home.clock == nullptr) return {};
  STRAND_ASSIGN(const auto known, built_at(home.store.get(), id));
  if (known) return {};
  constexpr int64_t kSecond = 1'000'000'000;
  StoreBatch batch;
  batch.put("built/" + id, big_endian_key("", static_cast<uint64_t>(home.clock->wall_nanoseconds() / kSecond)));
  return home.store->write(batch);
}

Result<std::optional<int64_t>> built_at(Store* store, const std::string& id) {
  const auto kept = store->get("built/" + id);
  if (!kept.ok()) {
    if (kept.error().code() == ErrorCode::kNotFound) return std::optional<int64_t>();
    return kept.error();
  }
  if (kept->size() != 8) return corrupt(concat("the date of data set ", id, " is damaged; build the store again"));
  return std::optional<int64_t>(static_cast<int64_t>(parse_big_endian(*kept)));
}

std::string DatasetSpec::key() const {
  Parts parts = {concat(data.segment, " ", data.segment_bases, " ", data.stride, " ", data.reverse_complement, " ",
                        static_cast<int>(tokenizer.kind), " ", tokenizer.vocabulary, " ", tokenizer.k, " ",
                        model_vocabulary, " ", rows_per_step, " ", std::bit_cast<uint64_t>(data.holdout.fraction)),
                 tokenizer.file};
  for (const auto* list : {&data.files, &data.holdout.records, &data.holdout.files}) add_list(*list, &parts);
  for (const HoldoutInterval& interval : data.holdout.intervals) {
    parts.push_back(interval.record);
    parts.push_back(concat(interval.begin, " ", interval.end));
  }
  add_list(data.exclude.files, &parts);
  for (const HoldoutInterval& interval : data.exclude.intervals) {
    parts.push_back(interval.record);
    parts.push_back(concat("excluded ", interval.begin, " ", interval.end));
  }
  add_mixing(data, &parts);
  parts.push_back(concat(tokenizer.overlapping, " ", tokenizer.bos_eos, " ", tokenizer.max_length));
  if (masked) add_objective(*masked, &parts);
  if (task) add_task(*task, &parts);
  std::string key;
  for (const std::string& part : parts) key += concat(part.size(), ":", part, "\n");
  return key;
}

DatasetSpec dataset_spec(const JobSpec& job) {
  DatasetSpec spec;
  spec.data = job.data;
  spec.tokenizer = job.tokenizer;
  spec.model_vocabulary = job.model.config.vocabulary;
  spec.rows_per_step = job.train.rows_per_step();
  if (masked_objective(job)) spec.masked = job.objective;
  if (job.job.kind == "finetune") spec.task = job.task;
  return spec;
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

uint64_t DatasetSummary::rows_of(RowSet set) const {
  if (set == RowSet::kTraining) return segments;
  return set == RowSet::kTest ? test_rows : eval_rows;
}

Result<std::shared_ptr<const Dataset>> Dataset::open(const DataHome& home, const DatasetSpec& spec,
                                                     const Progress& progress) {
  if (spec.data.segment < 2 || spec.data.segment > 65535) {
    return bad_input(concat("data.segment = ", spec.data.segment, "; expected 2 to 65535 tokens"));
  }
  if (spec.task) return TaskDataset::open(home, spec, progress);
  return GenomeDataset::open(home, spec, progress);
}

Status Dataset::finish_summary() {
  Hasher128 hasher;
  for (const FingerprintField& field : summary_.fields) {
    hasher.update_text(field.name);
    hasher.update_text(field.value);
  }
  summary_.fingerprint = hasher.digest();
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

Result<RowBlock> Dataset::rows(uint64_t seed, RowSet set, uint64_t first_row, uint32_t rows) const {
  const auto segment = static_cast<size_t>(summary_.segment);
  const size_t row_bytes = std::max(segment * sizeof(uint16_t), summary_.labels_per_row * sizeof(float));
  if (rows == 0 || rows > kMostRows || rows * row_bytes > kMostBytes) {
    return bad_input(concat("asked for ", rows, " rows of ", segment, " tokens; expected 1 to ", kMostRows,
                            " and at most ", human_bytes(kMostBytes), ": ask for fewer at a time"));
  }
  const uint64_t all = summary_.rows_of(set);
  if (set != RowSet::kTraining && (first_row > all || rows > all - first_row)) {
    return bad_input(concat("asked for ", row_set_name(set), " rows ", first_row, " to ", first_row, " + ", rows,
                            " of a ", row_set_name(set), " set of ", all));
  }
  if (set == RowSet::kTraining && (all == 0 || first_row > UINT64_MAX - rows)) {
    return bad_input(concat("row ", first_row, " is out of range"));
  }
  RowBlock block;
  block.tokens.resize(rows * segment);
  block.lengths.resize(rows);
  block.samples.resize(rows);
  if (summary_.targets) block.targets.assign(rows * segment, kNoTarget);
  block.labels.resize(size_t{rows} * summary_.labels_per_row);
  STRAND_TRY(fill(seed, set, first_row, &block));
  return block;
}

}  // namespace strand
