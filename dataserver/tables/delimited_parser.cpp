// CSV and TSV. A record ends with the line in which its double quotes are even in number; then it is taken apart.
#include <algorithm>

#include "dataserver/tables/table_formats.h"
#include "shared/base/text.h"

namespace strand {

namespace {

struct Separator {
  char letter;
  const char* name;
  const char* ending;  // of files that have it; null: none that is read
};
constexpr Separator kSeparators[] = {{'\t', "tab", ".tsv"}, {',', "comma", ".csv"}, {';', "semicolon", nullptr}};

class DelimitedParser final : public TableParser {
 public:
  DelimitedParser(char separator, std::string file, std::vector<std::string> columns, TableSink* sink)
      : TableParser(std::move(file), std::move(columns), sink), separator_(separator) {}

 protected:
  Status line(std::string_view text) override {
    if (!open_ && text.empty()) return {};
    if (!open_) {
      record_line_ = line_;
    } else {
      record_ += '\n';
    }
    if (record_.size() + text.size() > kLongestRow) return never_closed();
    record_ += text;
    if (std::count(text.begin(), text.end(), '"') % 2 != 0) open_ = !open_;
    if (open_) return {};
    STRAND_TRY(take_record());
    record_.clear();
    return {};
  }

  Status end() override {
    if (open_) return never_closed();
    if (!named_) return bad_input(concat(file_, ": empty; expected a line of column names, then rows"));
    return {};
  }

 private:
  Error in_record(size_t offset, const std::string& message) const {
    const std::string_view before = std::string_view(record_).substr(0, offset);
    const size_t last = before.rfind('\n');
    return at(record_line_ + std::count(before.begin(), before.end(), '\n'),
              last == std::string_view::npos ? offset + 1 : offset - last, message);
  }

  // What is wrong with the quotes is often a stray one, which take_apart names; else the last field never ends.
  Error never_closed() {
    const auto fields = take_apart();
    return fields.ok() ? at(record_line_, 0, "a quoted field has no end") : fields.error();
  }

  // `at` is on a field's opening quote; afterwards behind its closing one.
  Result<std::string> quoted_field(size_t* at) const {
    const size_t opening = *at;
    std::string field;
    for (++*at; *at < record_.size(); ++*at) {
      if (record_[*at] != '"') {
        field += record_[*at];
      } else if (*at + 1 < record_.size() && record_[*at + 1] == '"') {
        field += record_[++*at];
      } else {
        ++*at;
        if (*at == record_.size() || record_[*at] == separator_) return field;
        return in_record(*at,
                         "text after a closing quote; expected the next field: double a quote that is part of a "
                         "field");
      }
    }
    return in_record(opening, "a quoted field has no end; expected a closing quote");
  }

  Result<std::vector<std::string>> take_apart() const {
    std::vector<std::string> fields;
    size_t at = 0;
    while (true) {
      if (at < record_.size() && record_[at] == '"') {
        STRAND_ASSIGN(std::string field, quoted_field(&at));
        fields.push_back(std::move(field));
      } else {
        const size_t end = std::min(record_.find(separator_, at), record_.size());
        const std::string_view field = std::string_view(record_).substr(at, end - at);
        if (const size_t quote = field.find('"'); quote != std::string_view::npos) {
          return in_record(at + quote,
                           "a quote inside an unquoted field; put the whole field in quotes and double those within");
        }
        fields.emplace_back(field);
        at = end;
      }
      if (at == record_.size()) return fields;
      ++at;  // the separator
    }
  }

  // What separates the fields of record_, if it is not what the file's name says.
  const Separator* other_separator() const {
    for (const Separator& one : kSeparators) {
      if (one.letter != separator_ && record_.find(one.letter) != std::string::npos) return &one;
    }
    return nullptr;
  }

  // Of a line of column names that is one field.
  Status check_separator() const {
    const Separator* const found = other_separator();
    if (found == nullptr) return {};
    const std::string_view wanted = separator_ == ',' ? "commas" : "tabs";
    const auto count = std::count(record_.begin(), record_.end(), found->letter);
    return at(record_line_, 0,
              concat("expected column names between ", wanted, ", found ", count, " ", found->name,
                     count == 1 ? "" : "s", ": this table is separated by ", found->name, "s; ",
                     found->ending == nullptr ? concat("save it with ", wanted) : concat("call it ", found->ending)));
  }

  std::string mend_of_row(size_t fields) const {
    const Separator* const found = fields == 1 ? other_separator() : nullptr;
    const std::string_view between = separator_ == ',' ? "one comma between two fields" : "one tab between two fields";
    if (found != nullptr) return concat(": ", between, ", not a ", found->name);
    return separator_ == ',' ? ": quote a field that holds a comma" : concat(": ", between);
  }

  Status take_record() {
    STRAND_ASSIGN(std::vector<std::string> fields, take_apart());
    if (!named_) {
      if (fields.size() == 1 && std::find(columns_.begin(), columns_.end(), fields[0]) == columns_.end()) {
        STRAND_TRY(check_separator());
      }
      STRAND_ASSIGN(places_, find_columns(fields, record_line_));
      names_ = std::move(fields);
      named_ = true;
      return {};
    }
    if (fields.size() != names_.size()) {
      return at(record_line_, 0,
                concat("expected ", names_.size(), " fields (", join(names_, ", "), "), found ", fields.size(),
                       mend_of_row(fields.size())));
    }
    TableRow row;
    row.line = record_line_;
    for (const size_t place : places_) row.fields.push_back(fields[place]);
    return emit(std::move(row));
  }

  char separator_;
  std::string record_;
  int64_t record_line_ = 1;
  bool open_ = false;  // within quotes at the end of record_
  bool named_ = false;
  std::vector<std::string> names_;
  std::vector<size_t> places_;
};

}  // namespace

std::unique_ptr<TableParser> make_delimited_parser(char separator, std::string file, std::vector<std::string> columns,
                                                   TableSink* sink) {
  return std::make_unique<DelimitedParser>(separator, std::move(file), std::move(columns), sink);
}

}  // namespace strand
