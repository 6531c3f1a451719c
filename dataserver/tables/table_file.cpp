#include "dataserver/tables/table_file.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <string_view>

#include "shared/base/text.h"

namespace strand {

namespace {

constexpr size_t kBuffer = size_t{1} << 18;

struct Extension {
  const char* ending;
  TableFormat format;
};
constexpr Extension kExtensions[] = {{".csv", TableFormat::kCsv},         {".tsv", TableFormat::kTsv},
                                     {".jsonl", TableFormat::kJsonLines}, {".ndjson", TableFormat::kJsonLines},
                                     {".fa", TableFormat::kFasta},        {".fasta", TableFormat::kFasta},
                                     {".fna", TableFormat::kFasta}};

class Distinct final : public TableSink {
 public:
  Distinct(const std::string& path, const std::string& column, size_t most)
      : path_(path), column_(column), most_(most) {}
  Status row(TableRow row) override {
    values.insert(std::string(trim(row.fields[0])));
    if (values.size() <= most_) return {};
    return bad_input(concat(path_, ": column \"", column_, "\" has more than ", most_,
                            " different values: it is no column of classes"));
  }
  std::set<std::string> values;

 private:
  const std::string& path_;
  const std::string& column_;
  size_t most_;
};

bool to_number(const std::string& text, double* value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

std::string_view without_compression(std::string_view path) {
  for (const std::string_view ending : {".gz", ".bgz", ".xz"}) {
    if (path.ends_with(ending)) return path.substr(0, path.size() - ending.size());
  }
  return path;
}

Result<TableFormat> table_format(const std::string& path) {
  const std::string_view name = without_compression(path);
  for (const Extension& extension : kExtensions) {
    if (name.ends_with(extension.ending)) return extension.format;
  }
  return bad_input(concat(path,
                          ": expected a table called .csv, .tsv, .jsonl, .ndjson, .fa, .fasta or .fna, or one of ",
                          "these with .gz or .xz: rename it, or convert it (other compressions are not read)"));
}

Status read_table(const std::string& path, const std::vector<std::string>& columns, TableSink* sink,
                  const Progress& progress) {
  STRAND_ASSIGN(const TableFormat format, table_format(path));
  STRAND_ASSIGN(const FileIdentity identity, identify_file(path));
  if (identity.bytes == 0) return bad_input(concat(path, ": an empty file; expected a table"));
  STRAND_ASSIGN(const auto file, GenomeFile::open(path));
  const auto parser = TableParser::make(format, path, columns, sink);
  std::string buffer(kBuffer, '\0');
  while (true) {
    STRAND_ASSIGN(const size_t count, file->read(buffer.data(), buffer.size()));
    if (count == 0) return parser->finish();
    const Status fed = parser->feed(std::string_view(buffer).substr(0, count));
    if (!fed.ok()) return file->blame(fed.error());
    if (!progress(static_cast<double>(file->bytes_read()) / static_cast<double>(file->bytes_total()))) {
      return Error(ErrorCode::kStopped, concat("stopped while reading ", path));
    }
  }
}

Result<std::vector<std::string>> distinct_values(const std::string& path, const std::string& column, size_t most,
                                                 const Progress& progress) {
  Distinct sink(path, column, most);
  STRAND_TRY(read_table(path, {column}, &sink, progress));
  std::vector<std::string> values(sink.values.begin(), sink.values.end());
  double unused = 0;
  if (std::all_of(values.begin(), values.end(), [&](const auto& v) { return to_number(v, &unused); })) {
    std::stable_sort(values.begin(), values.end(), [](const std::string& a, const std::string& b) {
      double left = 0, right = 0;
      return to_number(a, &left) && to_number(b, &right) && left < right;
    });
  }
  return values;
}

}  // namespace strand
