#include "dataserver/task_dataset.h"

#include <algorithm>
#include <cmath>

#include "dataserver/corpus/alphabet.h"
#include "dataserver/dataset_tokenizer.h"
#include "dataserver/examples/fingerprint.h"
#include "dataserver/sampler/sampler.h"
#include "shared/base/text.h"

namespace strand {

namespace {

constexpr RowSet kSets[] = {RowSet::kTraining, RowSet::kHeldOut, RowSet::kTest};

std::string hash_of(const std::vector<std::string>& texts) {
  Hasher128 hasher;
  for (const std::string& text : texts) hasher.update_text(text);
  return hasher.digest().hex();
}

std::string split_text(const TaskSpec& task) {
  if (task.folds == 0 && task.dev_fraction == 0) return "tables";
  return concat(task.folds > 0 ? concat("fold ", task.fold, " of ", task.folds, ", ") : "", "dev ",
                exact_number(task.dev_fraction), ", seed ", task.split_seed);
}

std::string same_rows(const std::string& path, size_t set, size_t other) {
  const char* const names[] = {"train", "dev", "test"};
  return concat(path, ": task.", names[set], " has the very rows of task.", names[other],
                ": a model would be judged by what it was fitted to; give other rows, or split these with "
                "task.dev_fraction or task.folds");
}

}  // namespace

Result<std::shared_ptr<const Dataset>> TaskDataset::open(const DataHome& home, const DatasetSpec& spec,
                                                         const Progress& progress) {
  std::shared_ptr<TaskDataset> dataset(new TaskDataset(home, *spec.task));
  STRAND_TRY(dataset->read_tables([&](double share) { return progress(0.5 * share); }));
  STRAND_TRY(dataset->open_tokenizer(spec));
  STRAND_TRY(dataset->check(spec));
  dataset->rows_per_step_ = static_cast<uint64_t>(std::max<int64_t>(1, spec.rows_per_step));
  dataset->describe(spec);
  STRAND_TRY(dataset->survey([&](double share) { return progress(0.5 + 0.5 * share); }));
  STRAND_TRY(dataset->set_rows(spec));
  return std::shared_ptr<const Dataset>(std::move(dataset));
}

Status TaskDataset::read_tables(const Progress& progress) {
  const std::string* const paths[] = {&task_.train, &task_.dev, &task_.test};
  const TableColumns columns = table_columns(task_);
  std::array<uint64_t, kRowSets> rows = {};
  for (size_t i = 0; i < kRowSets; ++i) {
    readers_.emplace_back(task_, *paths[i]);
    if (paths[i]->empty()) continue;
    const auto part = [&](double share) { return progress((static_cast<double>(i) + share) / kRowSets); };
    STRAND_ASSIGN(tables_[i], home_.read_only ? find_table(home_.store.get(), *paths[i], columns)
                                              : build_table(home_.store.get(), *paths[i], columns, part));
    STRAND_TRY(note_built(home_, tables_[i]->id));
    rows[i] = tables_[i]->rows;
    for (size_t j = 0; j < i; ++j) {
      if (tables_[j] && tables_[j]->content == tables_[i]->content) return bad_input(same_rows(*paths[i], i, j));
    }
  }
  STRAND_ASSIGN(split_, split_task(task_, rows));
  return {};
}

Status TaskDataset::open_tokenizer(const DatasetSpec& spec) {
  STRAND_ASSIGN(tokenizer_, ready_tokenizer(home_, spec.tokenizer));
  STRAND_TRY(check_tokenizer(*tokenizer_, spec.model_vocabulary));
  RowStyle style;
  style.segment = spec.data.segment;
  if (task_.special_tokens) style.frame = tokenizer_->frame();
  if (style.room() < 1) {
    return bad_input(concat("data.segment = ", style.segment, ": the tokenizer's special tokens take ",
                            style.frame_size(), " of them and leave none for a sequence; lengthen data.segment"));
  }
  encoder_ = std::make_unique<TaskEncoder>(tokenizer_.get(), TaskText{task_.prefix, task_.suffix}, std::move(style));
  return {};
}

Status TaskDataset::check(const DatasetSpec& spec) const {
  const uint64_t rows = split_.of(RowSet::kTraining).count;
  if (spec.rows_per_step > 0 && static_cast<uint64_t>(spec.rows_per_step) > rows) {
    return bad_input(concat("one step takes ", spec.rows_per_step,
                            " rows (train.lanes x micro_batches_per_lane x micro_batch) but the task has ", rows,
                            " training rows: lower train.lanes or train.micro_batch, or give more rows"));
  }
  return {};
}

// All but row_length and what the survey finds: what decides the survey.
void TaskDataset::describe(const DatasetSpec& spec) {
  const auto content = [&](size_t table) { return tables_[table] ? tables_[table]->content.hex() : "-"; };
  std::vector<std::string> names = task_output_names(task_);
  summary_.fields = {
      {"task", task_kind_name(task_.kind)},
      {"train", content(0)},
      {"dev", content(1)},
      {"test", content(2)},
      {"split", split_text(task_)},
      {"classes", hash_of(names)},
      {"text", task_.prefix.empty() && task_.suffix.empty() ? "-" : hash_of({task_.prefix, task_.suffix})},
      {"tokenizer", tokenizer_->fingerprint().hex()},
      frame_field(encoder_->style().frame),
      {"segment", concat(spec.data.segment)},
      {"reverse_complement", task_.reverse_complement ? "true" : "false"}};
  summary_.output_names = std::move(names);
  for (const RowSet set : kSets) {
    const uint64_t rows = split_.of(set).count;
    (set == RowSet::kTraining ? summary_.segments
     : set == RowSet::kTest   ? summary_.test_rows
                              : summary_.eval_rows) = rows;
  }
  summary_.labels_per_row = static_cast<uint32_t>(readers_[0].per_row());
  summary_.targets = task_.kind == TaskKind::kClassifyTokens && !table_columns(task_).labels.empty();
}

// Rows are as long as the longest needs, up to data.segment; what was found goes into the summary.
Status TaskDataset::set_rows(const DatasetSpec& spec) {
  RowStyle style = encoder_->style();
  style.segment = std::clamp<int64_t>(static_cast<int64_t>(survey_.longest), 2, spec.data.segment);
  summary_.segment = style.segment;
  encoder_ = std::make_unique<TaskEncoder>(tokenizer_.get(), TaskText{task_.prefix, task_.suffix}, std::move(style));
  summary_.longest_row = survey_.longest;
  summary_.cut_rows.assign(survey_.cut_rows.begin(), survey_.cut_rows.end());
  summary_.cut_tokens.assign(survey_.cut_tokens.begin(), survey_.cut_tokens.end());
  summary_.label_mean = survey_.mean;
  summary_.label_deviation = survey_.deviation;
  summary_.fields.push_back({"row_length", concat(summary_.segment)});
  for (const auto& [name, values] :
       {std::pair("label_mean", &survey_.mean), std::pair("label_deviation", &survey_.deviation)}) {
    std::vector<std::string> texts;
    for (const double value : *values) texts.push_back(exact_number(value));
    if (!texts.empty()) summary_.fields.push_back({name, join(texts, " ")});
  }
  if (task_.sort_by_length) summary_.fields.push_back({"sort_by_length", concat("of ", rows_per_step_, " rows")});
  summary_.fields.push_back({"format", concat(kTaskFormatVersion)});
  return finish_summary();
}

// One example as ids and labels or targets; `turned` reads the other strand.
Status TaskDataset::put_targets(const LabelReader& reader, const Example& example, bool turned,
                                const std::vector<int32_t>& ids, uint16_t* targets) const {
  std::vector<uint16_t> classes;
  STRAND_TRY(reader.read_letters(example, &classes));
  std::string letters = example.sequence;
  if (turned) {
    reverse_complement(&letters);
    std::reverse(classes.begin(), classes.end());
  }
  return classes_of_tokens(*tokenizer_, ids, letters, classes, targets + encoder_->style().frame.prefix.size());
}

Status TaskDataset::put_labels(const LabelReader& reader, const Example& example, float* labels) const {
  std::vector<double> values;
  STRAND_TRY(reader.read(example, &values));
  for (size_t i = 0; i < values.size(); ++i) {
    const bool scaled = !survey_.mean.empty();
    labels[i] = static_cast<float>(scaled ? (values[i] - survey_.mean[i]) / survey_.deviation[i] : values[i]);
  }
  return {};
}

SampledRow TaskDataset::training_row(uint64_t seed, uint64_t n, StepRows* step) const {
  const uint64_t count = split_.of(RowSet::kTraining).count;
  if (!task_.sort_by_length) return sample_row(seed, count, task_.reverse_complement, n);
  const uint64_t first = n - n % rows_per_step_;
  if (step->rows.empty() || step->first != first) {
    step->first = first;
    step->rows.clear();
    for (uint64_t i = 0; i < rows_per_step_; ++i) {
      step->rows.push_back(sample_row(seed, count, task_.reverse_complement, first + i));
    }
    std::ranges::stable_sort(step->rows, {}, [&](const SampledRow& row) { return survey_.lengths[row.window]; });
  }
  return step->rows[n - first];
}

Status TaskDataset::fill(uint64_t seed, RowSet set, uint64_t first_row, RowBlock* block) const {
  const SetRows& rows = split_.of(set);
  const LabelReader& reader = readers_[rows.table];
  const auto segment = static_cast<size_t>(summary_.segment);
  std::vector<int32_t> ids;
  StepRows step;
  for (size_t i = 0; i < block->lengths.size(); ++i) {
    uint64_t index = first_row + i;
    bool turned = false;
    if (set == RowSet::kTraining) {
      const SampledRow sampled = training_row(seed, index, &step);
      index = sampled.window;
      turned = sampled.reverse_complement;
    } else if (set == RowSet::kHeldOut) {
      index = held_out_row(rows.count, index);
    }
    block->samples[i] = rows.row(index);
    STRAND_ASSIGN(const Example example, read_example(home_.store.get(), *tables_[rows.table], block->samples[i]));
    std::string sequence = example.sequence;
    if (turned) reverse_complement(&sequence);
    STRAND_ASSIGN(const size_t uncut, encoder_->encode(sequence, &ids));
    block->cut_tokens += uncut - std::min(uncut, ids.size());
    block->lengths[i] = put_row<int32_t>(encoder_->style(), ids, block->tokens.data() + i * segment);
    if (summary_.targets) {
      STRAND_TRY(put_targets(reader, example, turned, ids, block->targets.data() + i * segment));
    }
    if (summary_.labels_per_row > 0) {
      STRAND_TRY(put_labels(reader, example, block->labels.data() + i * summary_.labels_per_row));
    }
  }
  return {};
}

}  // namespace strand
