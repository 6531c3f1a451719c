#include <algorithm>

#include "dataserver/tables/table_formats.h"
#include "shared/base/text.h"

namespace strand {

namespace {

constexpr std::string_view kBlanks = " \t";
constexpr std::string_view kLabelKey = "label=";

// The label of a header (without '>'), or nothing.
std::string_view label_of(std::string_view header) {
  for (size_t at = header.find(kLabelKey); at != std::string_view::npos; at = header.find(kLabelKey, at + 1)) {
    if (at > 0 && header[at - 1] != '|' && kBlanks.find(header[at - 1]) == std::string_view::npos) continue;
    const std::string_view value = header.substr(at + kLabelKey.size());
    if (value.starts_with('[')) return value.substr(0, std::min(value.find(']'), value.size() - 1) + 1);
    if (value.starts_with('"')) return value.substr(1, value.find('"', 1) - 1);
    return value.substr(0, value.find_first_of(kBlanks));
  }
  const std::string_view name = header.substr(0, header.find_first_of(kBlanks));
  const size_t bar = name.rfind('|');
  return bar == std::string_view::npos ? std::string_view() : name.substr(bar + 1);
}

class LabelledFastaParser final : public TableParser {
 public:
  LabelledFastaParser(std::string file, std::vector<std::string> columns, TableSink* sink)
      : TableParser(std::move(file), std::move(columns), sink) {}

 protected:
  Status line(std::string_view text) override {
    if (text.starts_with('>')) {
      STRAND_TRY(close_record());
      return open_record(text.substr(1));
    }
    text = trim(text);
    if (text.empty()) return {};
    if (!open_) {
      return at(line_, 1, "text before the first header; expected a line like '>name label=1', then its sequence");
    }
    if (sequence_.size() + text.size() > kLongestRow) {
      return at(header_line_, 0, concat("a sequence longer than ", human_bytes(kLongestRow), "; expected an example"));
    }
    sequence_ += text;
    return {};
  }

  Status end() override { return close_record(); }

 private:
  Status open_record(std::string_view header) {
    STRAND_ASSIGN(places_, find_columns({"name", "sequence", "label"}, line_));
    label_ = label_of(header);
    const bool wanted = std::find(places_.begin(), places_.end(), size_t{2}) != places_.end();
    if (wanted && label_.empty()) {
      return at(line_, 0, "a header without a label; expected '>name label=1' or '>name|1'");
    }
    name_ = header.substr(0, header.find_first_of(kBlanks));
    if (!label_.empty() && name_.ends_with("|" + label_)) name_.resize(name_.size() - label_.size() - 1);
    header_line_ = line_;
    open_ = true;
    return {};
  }

  Status close_record() {
    if (!open_) return {};
    const std::string* const columns[] = {&name_, &sequence_, &label_};
    TableRow row;
    row.line = header_line_;
    for (const size_t place : places_) row.fields.push_back(*columns[place]);
    sequence_.clear();
    open_ = false;
    return emit(std::move(row));
  }

  std::string name_, sequence_, label_;
  std::vector<size_t> places_;
  int64_t header_line_ = 0;
  bool open_ = false;
};

}  // namespace

std::unique_ptr<TableParser> make_labelled_fasta_parser(std::string file, std::vector<std::string> columns,
                                                        TableSink* sink) {
  return std::make_unique<LabelledFastaParser>(std::move(file), std::move(columns), sink);
}

}  // namespace strand
