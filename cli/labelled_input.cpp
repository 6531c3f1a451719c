#include "cli/labelled_input.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <optional>

#include "dataserver/examples/task_rows.h"
#include "dataserver/sequences/sequence_file.h"
#include "dataserver/tables/labels.h"
#include "dataserver/tables/table_file.h"
#include "shared/base/text.h"
#include "shared/wire/messages.h"

namespace strand {
namespace {

constexpr size_t kRowsAtATime = 2048;

RowStyle style_of(const JobSpec& spec, const Tokenizer& tokenizer) {
  RowStyle style;
  style.segment = spec.data.segment;
  if (spec.task.special_tokens) style.frame = tokenizer.frame();
  return style;
}

class RowSink final : public TableSink {
 public:
  explicit RowSink(std::function<Status(TableRow)> take) : take_(std::move(take)) {}
  Status row(TableRow row) override { return take_(std::move(row)); }

 private:
  std::function<Status(TableRow)> take_;
};

bool go_on(double) {
  return true;
}

// The file has these columns: its first row can be read.
bool has_columns(const std::string& path, const std::vector<std::string>& columns) {
  bool found = false;
  RowSink sink([&](TableRow) -> Status {
    found = true;
    return Error(ErrorCode::kStopped, "one is enough");
  });
  const Status status = read_table(path, columns, &sink, go_on);
  return found || status.ok();
}

}  // namespace

struct LabelledInput::Impl {
  Impl(std::string path, const JobSpec& spec, const Tokenizer& tokenizer)
      : path_(std::move(path)),
        task_(spec.task),
        tokenizer_(&tokenizer),
        encoder_(&tokenizer, {spec.task.prefix, spec.task.suffix}, style_of(spec, tokenizer)) {}

  bool labelled() const { return reader_.has_value(); }
  Status read(const std::function<Status(const LabelledRows&)>& visit);
  Status add(std::string name, Example example, LabelledRows* rows);
  Status add_labels(const TokenRow& row, const Example& example, LabelledRows* rows) const;

  std::string path_, name_column_;
  TaskSpec task_;
  const Tokenizer* tokenizer_;
  TaskEncoder encoder_;
  std::vector<std::string> label_columns_;
  std::optional<LabelReader> reader_;
  CutSequences cut_;
};

LabelledInput::LabelledInput(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
LabelledInput::~LabelledInput() = default;
LabelledInput::LabelledInput(LabelledInput&&) noexcept = default;
const std::vector<std::string>& LabelledInput::label_columns() const {
  return impl_->label_columns_;
}
const CutSequences& LabelledInput::cut() const {
  return impl_->cut_;
}
Status LabelledInput::read(const std::function<Status(const LabelledRows&)>& visit) {
  return impl_->read(visit);
}

Result<LabelledInput> LabelledInput::open(const std::string& path, const std::string& name_column, const JobSpec& spec,
                                          const Tokenizer& tokenizer) {
  auto input = std::make_unique<Impl>(path, spec, tokenizer);
  if (input->encoder_.style().room() < 1) {
    return bad_input("the tokenizer's special tokens fill data.segment; name the run's own tokenizer (--tokenizer)");
  }
  input->name_column_ = name_column;
  const auto format = table_format(path);
  // A FASTA file's names are those of its headers.
  if (name_column.empty() && format.ok() && *format == TableFormat::kFasta) input->name_column_ = "name";
  const TableColumns columns = table_columns(spec.task);
  std::vector<std::string> all = columns.labels;
  all.push_back(columns.sequence);
  if (!columns.labels.empty() && format.ok() && has_columns(path, all)) {
    input->label_columns_ = columns.labels;
    input->reader_.emplace(spec.task, path);
  }
  return LabelledInput(std::move(input));
}

Status LabelledInput::Impl::read(const std::function<Status(const LabelledRows&)>& visit) {
  LabelledRows rows;
  cut_ = {};
  const auto take = [&](std::string name, Example example) -> Status {
    STRAND_TRY(add(std::move(name), std::move(example), &rows));
    if (rows.rows.size() < kRowsAtATime) return {};
    STRAND_TRY(visit(rows));
    rows = LabelledRows();
    return {};
  };
  if (!labelled()) {
    STRAND_TRY(read_sequences(
        {path_, task_.sequence, name_column_},
        [&](NamedSequence sequence) {
          return take(std::move(sequence.name), {sequence.line, std::move(sequence.bases), {}});
        },
        go_on));
  } else {
    std::vector<std::string> columns = {task_.sequence};
    columns.insert(columns.end(), label_columns_.begin(), label_columns_.end());
    if (!name_column_.empty()) columns.push_back(name_column_);
    int64_t number = 0;
    RowSink sink([&](TableRow row) -> Status {
      ++number;
      Example example{row.line, std::string(trim(row.fields[0])), {}};
      for (size_t l = 0; l < label_columns_.size(); ++l) example.labels.emplace_back(trim(row.fields[1 + l]));
      Status bases = normalise_bases(&example.sequence);
      if (example.sequence.empty()) bases = bad_input("an empty sequence; expected bases");
      if (!bases.ok()) return bases.error().with_context(concat(path_, ": line ", row.line));
      return take(name_column_.empty() ? std::to_string(number) : row.fields.back(), std::move(example));
    });
    STRAND_TRY(read_table(path_, columns, &sink, go_on));
  }
  return rows.rows.empty() ? Status() : visit(rows);
}

Status LabelledInput::Impl::add(std::string name, Example example, LabelledRows* rows) {
  std::vector<int32_t> ids;
  STRAND_ASSIGN(const size_t uncut, encoder_.encode(example.sequence, &ids));
  if (uncut > ids.size()) {
    if (task_.too_long == TooLong::kRefuse) {
      return bad_input(concat(path_, ": line ", example.line, ": ", name, ": ", uncut,
                              " tokens, but a row of the task ", "has room for ", encoder_.style().room(),
                              " and it refuses longer ones (task.too_long)"));
    }
    cut_.add(name, ids.size(), uncut);
  }
  const SequenceFrame& frame = encoder_.style().frame;
  TokenRow row;
  row.ids = frame.prefix;
  row.begin = static_cast<int64_t>(row.ids.size());
  row.ids.insert(row.ids.end(), ids.begin(), ids.end());
  row.end = static_cast<int64_t>(row.ids.size());
  row.ids.insert(row.ids.end(), frame.suffix.begin(), frame.suffix.end());
  if (labelled()) STRAND_TRY(add_labels(row, example, rows));
  rows->names.push_back(std::move(name));
  rows->labels.push_back(std::move(example.labels));
  rows->rows.push_back(std::move(row));
  return {};
}

Status LabelledInput::Impl::add_labels(const TokenRow& row, const Example& example, LabelledRows* rows) const {
  std::vector<double>& values = rows->values.emplace_back();
  if (task_.kind != TaskKind::kClassifyTokens) return reader_->read(example, &values);
  std::vector<uint16_t> of_letters;
  STRAND_TRY(reader_->read_letters(example, &of_letters));
  const std::vector<int32_t> ids(row.ids.begin() + row.begin, row.ids.begin() + row.end);
  std::vector<uint16_t> of_tokens(ids.size());
  STRAND_TRY(classes_of_tokens(*tokenizer_, ids, example.sequence, of_letters, of_tokens.data()));
  for (const uint16_t c : of_tokens) values.push_back(c == kNoTarget ? NAN : static_cast<double>(c));
  return {};
}

}  // namespace strand
