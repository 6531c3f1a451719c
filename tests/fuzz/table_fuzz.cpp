// Any bytes as a table of every format: refused with a place, or read to the same rows however they are cut. And any
// bytes as a stored example: refused, or an example that is stored as the same bytes again.
#include <string>
#include <utility>
#include <vector>

#include "dataserver/tables/labels.h"
#include "dataserver/tables/table_parser.h"
#include "shared/base/check.h"
#include "tests/fuzz/fuzz_main.h"

namespace strand {
namespace {

const std::vector<std::string> kColumns = {"sequence", "label"};

class Collect final : public TableSink {
 public:
  Status row(TableRow row) override {
    STRAND_CHECK(row.line >= 1 && row.fields.size() == kColumns.size());
    rows.emplace_back(row.line, std::move(row.fields));
    return {};
  }
  std::vector<std::pair<int64_t, std::vector<std::string>>> rows;
};

// The rows, or the error's message.
std::pair<Collect, std::string> parse(TableFormat format, std::string_view text, size_t piece) {
  std::pair<Collect, std::string> result;
  const auto parser = TableParser::make(format, "f", kColumns, &result.first);
  for (size_t at = 0; at < text.size(); at += piece) {
    const Status fed = parser->feed(text.substr(at, piece));
    if (!fed.ok()) {
      result.second = fed.error().message();
      return result;
    }
  }
  const Status ended = parser->finish();
  if (!ended.ok()) result.second = ended.error().message();
  return result;
}

void check_format(TableFormat format, std::string_view text) {
  const auto whole = parse(format, text, text.size() + 1);
  STRAND_CHECK(whole.second.empty() || whole.second.starts_with("f: "), whole.second);
  for (const size_t piece : {1, 7}) {
    const auto cut = parse(format, text, piece);
    STRAND_CHECK(cut.second == whole.second, cut.second, " / ", whole.second);
    STRAND_CHECK(cut.first.rows == whole.first.rows);
  }
  for (const auto& [line, fields] : whole.first.rows) {
    std::vector<std::string> items;
    if (!split_list(fields[1], &items)) continue;
    for (const std::string& item : items) STRAND_CHECK(item.size() <= fields[1].size());
  }
}

}  // namespace
}  // namespace strand

int fuzz_one(const uint8_t* data, size_t size) {
  using namespace strand;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const TableFormat format :
       {TableFormat::kCsv, TableFormat::kTsv, TableFormat::kJsonLines, TableFormat::kFasta}) {
    check_format(format, text);
  }
  const auto example = decode_example(text);
  if (example.ok()) STRAND_CHECK(encode_example(*example) == text);
  return 0;
}
