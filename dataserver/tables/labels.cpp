#include "dataserver/tables/labels.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "shared/base/text.h"

namespace strand {

namespace {

constexpr size_t kNamesShown = 10;

bool is_missing(const std::string& text) {
  for (const char* word : {"", "NA", "N/A", "nan", "NaN", "null", "None"}) {
    if (text == word) return true;
  }
  return false;
}

std::string some_of(const std::vector<std::string>& names) {
  if (names.size() <= kNamesShown) return join(names, ", ");
  return concat(join({names.begin(), names.begin() + kNamesShown}, ", "), ", ... (", names.size(), " classes)");
}

bool is_separator(char c) {
  return c == ',' || c == ';' || c == ' ' || c == '\t' || c == '\n';
}

}  // namespace

TableColumns table_columns(const TaskSpec& task) {
  TableColumns columns;
  columns.sequence = task.sequence;
  columns.labels = task.labels;
  if (columns.labels.empty() && !task.label.empty()) columns.labels = {task.label};
  return columns;
}

bool split_list(std::string_view text, std::vector<std::string>* items) {
  items->clear();
  text = trim(text);
  const bool opened = text.starts_with('[');
  if (opened != text.ends_with(']')) return false;
  if (opened) text = text.substr(1, text.size() - 2);
  for (size_t at = 0; at < text.size();) {
    if (is_separator(text[at])) {
      ++at;
      continue;
    }
    const char quote = text[at];
    const bool quoted = quote == '\'' || quote == '"';
    size_t end = at + 1;
    while (end < text.size() && (quoted ? text[end] != quote : !is_separator(text[end]))) ++end;
    if (quoted && end == text.size()) return false;
    items->emplace_back(quoted ? text.substr(at + 1, end - at - 1) : text.substr(at, end - at));
    at = quoted ? end + 1 : end;
  }
  return true;
}

LabelReader::LabelReader(const TaskSpec& task, std::string file)
    : kind_(task.kind), file_(std::move(file)), columns_(table_columns(task)) {
  if (kind_ == TaskKind::kClassify || kind_ == TaskKind::kClassifyTokens) names_ = task_output_names(task);
  for (size_t i = 0; i < names_.size(); ++i) codes_[names_[i]] = static_cast<uint16_t>(i);
  if (columns_.labels.empty() || kind_ == TaskKind::kClassifyTokens) return;
  per_row_ = kind_ == TaskKind::kClassify ? 1 : task_outputs(task);
}

Error LabelReader::at(const Example& example, size_t column, const std::string& message) const {
  return bad_input(concat(file_, ": line ", example.line, ", column \"", columns_.labels[column], "\": ", message));
}

Status LabelReader::class_of(const Example& example, size_t column, const std::string& text, double* value) const {
  const auto found = codes_.find(text);
  if (found == codes_.end()) {
    return at(example, column,
              concat("expected one of ", some_of(names_), "; found \"", text,
                     "\": mend the row, or declare the class in task.classes"));
  }
  *value = found->second;
  return {};
}

Status LabelReader::number_of(const Example& example, size_t column, const std::string& text, double* value) const {
  *value = std::numeric_limits<double>::quiet_NaN();
  if (is_missing(text)) return {};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value);
  const bool number = error == std::errc() && end == text.data() + text.size() && std::isfinite(*value);
  const bool binary = kind_ == TaskKind::kMultiLabel;
  if (number && (!binary || *value == 0 || *value == 1)) return {};
  return at(example, column,
            concat("expected ", binary ? "0 or 1" : "a finite number", ", or nothing where it is not ",
                   "known; found \"", text, "\""));
}

Status LabelReader::read(const Example& example, std::vector<double>* values) const {
  values->assign(static_cast<size_t>(per_row_), 0);
  if (per_row_ == 0) return {};
  if (kind_ == TaskKind::kClassify) return class_of(example, 0, example.labels[0], &values->front());
  if (columns_.labels.size() == 1 && kind_ == TaskKind::kMultiLabel) {
    std::vector<std::string> items;
    if (!split_list(example.labels[0], &items) || items.size() != values->size()) {
      return at(example, 0,
                concat("expected a list of ", per_row_, " labels like [0, 1], found \"", example.labels[0],
                       "\": mend the row, or task.classes"));
    }
    for (size_t i = 0; i < items.size(); ++i) STRAND_TRY(number_of(example, 0, items[i], &(*values)[i]));
    return {};
  }
  for (size_t i = 0; i < values->size(); ++i) STRAND_TRY(number_of(example, i, example.labels[i], &(*values)[i]));
  return {};
}

Status LabelReader::read_letters(const Example& example, std::vector<uint16_t>* classes) const {
  const std::string& text = example.labels[0];
  const size_t letters = example.sequence.size();
  std::vector<std::string> items;
  if (text.size() == letters && std::none_of(text.begin(), text.end(), is_separator)) {
    for (const char letter : text) items.emplace_back(1, letter);
  } else if (!split_list(text, &items)) {
    return at(example, 0, "a bracket or quote without its partner; expected a list like [0, 1, 1]");
  }
  if (items.size() != letters) {
    return at(example, 0, concat("expected ", letters, " classes, one for each base, found ", items.size()));
  }
  classes->clear();
  for (const std::string& item : items) {
    double value = 0;
    STRAND_TRY(class_of(example, 0, item, &value));
    classes->push_back(static_cast<uint16_t>(value));
  }
  return {};
}

}  // namespace strand
