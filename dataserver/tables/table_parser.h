// Tables of sequences and labels as a stream of bytes: the same rows however the bytes are cut into pieces.
//
//   CSV, TSV     RFC 4180: a line of column names, then rows with as many fields. A field with a separator, a line feed
//   or
//                a double quote stands in double quotes, the quote doubled. Lines end with LF or CR LF.
//   JSON lines   an object a line, its keys the columns. Numbers and arrays are read as they would be written; true is
//                1, false 0, null empty.
//   FASTA        the label in the header: ">name label=X" (X in quotes or brackets may hold blanks) or ">name|X".
//   Columns
//                name, sequence and label.
// All are UTF-8, without or with a byte order mark. Blank lines do not count.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "shared/base/result.h"

namespace strand {

enum class TableFormat { kCsv, kTsv, kJsonLines, kFasta };

struct TableRow {
  int64_t line = 0;                 // its first, from 1
  std::vector<std::string> fields;  // of the wanted columns, in their order
};

// Receives a table's rows in order. An error stops the parse and is returned by it.
class TableSink {
 public:
  virtual ~TableSink() = default;
  virtual Status row(TableRow row) = 0;
};

class TableParser {
 public:
  // `columns` are the wanted ones; others are passed over. `file` names the table in errors; sink outlives the parser.
  static std::unique_ptr<TableParser> make(TableFormat format, std::string file, std::vector<std::string> columns,
                                           TableSink* sink);
  virtual ~TableParser() = default;

  // kBadInput, "FILE: line L, column C: ..." with what was expected and the mend: bytes that are no UTF-8 text, a row
  // or line beyond kLongestRow, a wanted column that is not there or twice, a wrong number of fields, broken quoting, a
  // line that is no JSON object, text before the first FASTA header, a header without a label, a table without rows.
  Status feed(std::string_view bytes);
  Status finish();

  static constexpr size_t kLongestRow = size_t{16} << 20;  // bytes

 protected:
  TableParser(std::string file, std::vector<std::string> columns, TableSink* sink)
      : file_(std::move(file)), columns_(std::move(columns)), sink_(sink) {}

  // A line without its end; line_ is its number. Text, at most kLongestRow bytes.
  virtual Status line(std::string_view text) = 0;
  virtual Status end() = 0;

  Status emit(TableRow row);
  // Where in `have` each wanted column stands; `place` is where they are listed.
  Result<std::vector<size_t>> find_columns(const std::vector<std::string>& have, int64_t at_line) const;
  // column 0: of the whole line.
  Error at(int64_t line, size_t column, const std::string& message) const;

  std::string file_;
  std::vector<std::string> columns_;
  int64_t line_ = 1;

 private:
  Status whole_line(std::string_view text);

  TableSink* sink_;
  std::string pending_;  // of the line that has not ended
  uint64_t rows_ = 0;
};

}  // namespace strand
