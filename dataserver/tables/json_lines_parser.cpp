#include "dataserver/tables/table_formats.h"
#include "shared/base/text.h"
#include "shared/formats/json.h"

namespace strand {

namespace {

class JsonLinesParser final : public TableParser {
 public:
  JsonLinesParser(std::string file, std::vector<std::string> columns, TableSink* sink)
      : TableParser(std::move(file), std::move(columns), sink) {}

 protected:
  Status line(std::string_view text) override {
    if (trim(text).empty()) return {};
    const auto parsed = parse_json(text, file_);
    // Again, so that the parser counts the lines before this one: its place is then the file's.
    if (!parsed.ok()) return parse_json(std::string(static_cast<size_t>(line_ - 1), '\n') += text, file_).error();
    if (!parsed->is_object()) {
      return at(line_, 0,
                concat("expected an object like {\"", join(columns_, "\": ..., \""), "\": ...}, found ",
                       parsed->type_name()));
    }
    std::vector<std::string> names;
    for (const auto& [name, value] : parsed->items()) names.push_back(name);
    STRAND_TRY(find_columns(names, line_));
    TableRow row;
    row.line = line_;
    for (const std::string& name : columns_) {
      STRAND_ASSIGN(std::string field, text_of(name, parsed->at(name)));
      row.fields.push_back(std::move(field));
    }
    return emit(std::move(row));
  }

  Status end() override { return {}; }

 private:
  Result<std::string> text_of(const std::string& name, const Json& value) const {
    if (value.is_string()) return value.get<std::string>();
    if (value.is_null()) return std::string();
    if (value.is_boolean()) return std::string(value.get<bool>() ? "1" : "0");
    if (value.is_object()) {
      return at(line_, 0, concat("key \"", name, "\": expected text, a number or an array, found an object"));
    }
    return dump_json(value);
  }
};

}  // namespace

std::unique_ptr<TableParser> make_json_lines_parser(std::string file, std::vector<std::string> columns,
                                                    TableSink* sink) {
  return std::make_unique<JsonLinesParser>(std::move(file), std::move(columns), sink);
}

}  // namespace strand
