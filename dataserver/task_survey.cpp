// One look at every example of a task: are the labels right, how long are the rows, and what are the numbers' mean and
// deviation. The result is kept in the store.
#include <algorithm>
#include <cmath>

#include "dataserver/corpus/alphabet.h"
#include "dataserver/task_dataset.h"
#include "shared/base/text.h"
#include "shared/formats/json.h"

namespace strand {

namespace {

// Mean and deviation of column `at`, over the rows that have it: added in row order, in double.
Status moments(const std::vector<std::vector<double>>& rows, size_t at, double* mean, double* deviation) {
  double sum = 0, count = 0, squares = 0;
  for (const auto& row : rows) {
    if (std::isnan(row[at])) continue;
    sum += row[at];
    ++count;
  }
  if (count == 0) return bad_input("no training row has it");
  *mean = sum / count;
  for (const auto& row : rows) {
    if (!std::isnan(row[at])) squares += (row[at] - *mean) * (row[at] - *mean);
  }
  *deviation = std::sqrt(squares / count);
  if (!(*deviation > 0)) *deviation = 1;  // equal labels: nothing to scale
  return {};
}

std::string lengths_to_bytes(const std::vector<uint16_t>& lengths) {
  std::string bytes;
  for (const uint16_t length : lengths) {
    bytes += static_cast<char>(length & 0xff);
    bytes += static_cast<char>(length >> 8);
  }
  return bytes;
}

}  // namespace

Status TaskDataset::survey(const Progress& progress) {
  std::vector<std::string> parts = {
      concat(static_cast<int>(task_.too_long), " ", task_.standardize, task_.sort_by_length ? " lengths" : "")};
  for (const FingerprintField& field : summary_.fields) parts.push_back(concat(field.name, " ", field.value));
  const std::string key = concat("derived/task/", hash128(join(parts, "\n")).hex());
  const auto kept = home_.store->get(key);
  if (kept.ok()) return take_survey(*kept, key);
  if (kept.error().code() != ErrorCode::kNotFound) return kept.error();
  uint64_t all = 0, done = 0;
  for (const SetRows& set : split_.sets) all += set.count;
  for (size_t set = 0; set < kRowSets; ++set) {
    STRAND_TRY(survey_set(static_cast<RowSet>(set), [&] {
      return ++done % 1024 != 0 || progress(static_cast<double>(done) / static_cast<double>(all));
    }));
  }
  if (home_.read_only) return {};
  StoreBatch batch;
  if (task_.sort_by_length) batch.put(key + "/lengths", lengths_to_bytes(survey_.lengths));
  batch.put(key, dump_json({{"longest", survey_.longest},
                            {"cut_rows", survey_.cut_rows},
                            {"cut_tokens", survey_.cut_tokens},
                            {"mean", survey_.mean},
                            {"deviation", survey_.deviation}}));
  return home_.store->write(batch);
}

Status TaskDataset::take_survey(const std::string& text, const std::string& key) {
  STRAND_ASSIGN(const Json json, parse_json(text, key));
  try {
    survey_.longest = json.at("longest").get<uint64_t>();
    survey_.cut_rows = json.at("cut_rows").get<std::array<uint64_t, kRowSets>>();
    survey_.cut_tokens = json.at("cut_tokens").get<std::array<uint64_t, kRowSets>>();
    survey_.mean = json.at("mean").get<std::vector<double>>();
    survey_.deviation = json.at("deviation").get<std::vector<double>>();
    return task_.sort_by_length ? take_lengths(key + "/lengths") : Status();
  } catch (const Json::exception&) {
    return corrupt(concat(key, ": what is known of a task is damaged; build the store again"));
  }
}

Status TaskDataset::take_lengths(const std::string& key) {
  STRAND_ASSIGN(const std::string bytes, home_.store->get(key));
  const uint64_t rows = split_.of(RowSet::kTraining).count;
  if (bytes.size() != 2 * rows) return corrupt(concat(key, ": the lengths of rows are damaged; build the store again"));
  for (size_t i = 0; i < bytes.size(); i += 2) {
    const auto low = static_cast<unsigned char>(bytes[i]), high = static_cast<unsigned char>(bytes[i + 1]);
    survey_.lengths.push_back(static_cast<uint16_t>(high << 8 | low));
  }
  return {};
}

// Tokens of the example in a row, on the strands that it is read from.
Result<uint64_t> TaskDataset::tokens_of(const Example& example, bool both_strands) const {
  std::vector<int32_t> ids;
  STRAND_ASSIGN(size_t tokens, encoder_->encode(example.sequence, &ids));
  if (both_strands) {
    std::string turned = example.sequence;
    reverse_complement(&turned);
    STRAND_ASSIGN(const size_t other, encoder_->encode(turned, &ids));
    tokens = std::max(tokens, other);
  }
  return tokens + static_cast<uint64_t>(encoder_->style().frame_size());
}

Status TaskDataset::survey_set(RowSet set, const std::function<bool()>& go_on) {
  const SetRows& rows = split_.of(set);
  const auto at = static_cast<size_t>(set);
  const auto segment = static_cast<uint64_t>(encoder_->style().segment);
  const bool training = set == RowSet::kTraining;
  const bool numbers = training && task_.kind == TaskKind::kRegress && task_.standardize;
  std::vector<std::vector<double>> labels;
  std::vector<uint16_t> classes;
  std::vector<double> values;
  int64_t first_long = 0;
  for (uint64_t i = 0; i < rows.count; ++i) {
    const LabelReader& reader = readers_[rows.table];
    STRAND_ASSIGN(const Example example, read_example(home_.store.get(), *tables_[rows.table], rows.row(i)));
    if (summary_.targets) STRAND_TRY(reader.read_letters(example, &classes));
    STRAND_TRY(reader.read(example, &values));
    if (numbers && !values.empty()) labels.push_back(values);
    STRAND_ASSIGN(const uint64_t tokens, tokens_of(example, training && task_.reverse_complement));
    survey_.longest = std::max(survey_.longest, tokens);
    if (training && task_.sort_by_length) survey_.lengths.push_back(static_cast<uint16_t>(std::min(tokens, segment)));
    if (tokens > segment) {
      if (survey_.cut_rows[at]++ == 0) first_long = example.line;
      survey_.cut_tokens[at] += tokens - segment;
    }
    if (!go_on()) return Error(ErrorCode::kStopped, "stopped while the dataset was being built");
  }
  if (survey_.cut_rows[at] > 0 && task_.too_long == TooLong::kRefuse) {
    return bad_input(concat(tables_[rows.table]->path, ": line ", first_long,
                            ": a row of more than data.segment = ", segment, " tokens, the first of ",
                            survey_.cut_rows[at], "; the longest so far needs ", survey_.longest,
                            ": lengthen data.segment (at most model.max_sequence), or set "
                            "task.too_long = \"cut\""));
  }
  for (size_t label = 0; label < (labels.empty() ? 0 : labels[0].size()); ++label) {
    const Status scaled = moments(labels, label, &survey_.mean.emplace_back(), &survey_.deviation.emplace_back());
    if (!scaled.ok()) {
      return scaled.error().with_context(
          concat(tables_[rows.table]->path, ": label \"", summary_.output_names[label], "\""));
    }
  }
  return {};
}

}  // namespace strand
