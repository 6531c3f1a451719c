#include "dataserver/tables/table_parser.h"

#include <algorithm>

#include "dataserver/formats/lines.h"
#include "dataserver/tables/table_formats.h"
#include "dataserver/tokenizer/utf8.h"
#include "shared/base/text.h"

namespace strand {

namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

// The first byte that belongs to no text, or npos.
size_t find_no_text(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const auto byte = static_cast<uint8_t>(text[i]);
    const size_t bytes = character_bytes(text, i);
    if ((byte < 0x20 && byte != '\t') || byte == 0x7f || (byte >= 0x80 && bytes == 1)) return i;
    i += bytes;
  }
  return std::string_view::npos;
}

std::string hexadecimal(char byte) {
  constexpr const char* kDigits = "0123456789abcdef";
  const auto value = static_cast<uint8_t>(byte);
  return concat("0x", kDigits[value >> 4], kDigits[value & 15]);
}

}  // namespace

std::unique_ptr<TableParser> TableParser::make(TableFormat format, std::string file, std::vector<std::string> columns,
                                               TableSink* sink) {
  switch (format) {
    case TableFormat::kJsonLines: return make_json_lines_parser(std::move(file), std::move(columns), sink);
    case TableFormat::kFasta: return make_labelled_fasta_parser(std::move(file), std::move(columns), sink);
    case TableFormat::kCsv: return make_delimited_parser(',', std::move(file), std::move(columns), sink);
    case TableFormat::kTsv: break;
  }
  return make_delimited_parser('\t', std::move(file), std::move(columns), sink);
}

Error TableParser::at(int64_t line, size_t column, const std::string& message) const {
  return bad_input(concat(file_, ": line ", line, column > 0 ? concat(", column ", column) : "", ": ", message));
}

Status TableParser::feed(std::string_view bytes) {
  const auto too_long = [&] {
    return at(line_, 0,
              concat("longer than ", human_bytes(kLongestRow),
                     "; expected a row of text: this is no table, or its lines end in lone carriage returns"));
  };
  return feed_lines(bytes, kLongestRow, &pending_, too_long, [&](std::string_view text) -> Status {
    STRAND_TRY(whole_line(text));
    ++line_;
    return {};
  });
}

Status TableParser::whole_line(std::string_view text) {
  if (line_ == 1 && text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  if (text.ends_with('\r')) text.remove_suffix(1);
  if (const size_t found = find_no_text(text); found != std::string_view::npos) {
    return at(line_, found + 1,
              concat("byte ", hexadecimal(text[found]),
                     " is no UTF-8 text; expected a text table: "
                     "save it as UTF-8, or decompress it"));
  }
  return line(text);
}

Status TableParser::finish() {
  if (!pending_.empty()) {
    STRAND_TRY(whole_line(pending_));
    pending_.clear();
    ++line_;
  }
  STRAND_TRY(end());
  if (rows_ == 0) return bad_input(concat(file_, ": no rows; expected at least one sequence"));
  return {};
}

Status TableParser::emit(TableRow row) {
  ++rows_;
  return sink_->row(std::move(row));
}

Result<std::vector<size_t>> TableParser::find_columns(const std::vector<std::string>& have, int64_t at_line) const {
  std::vector<size_t> places;
  for (const std::string& name : columns_) {
    const auto found = std::find(have.begin(), have.end(), name);
    if (found == have.end()) {
      const std::string nearest = nearest_name(name, have);
      return at(at_line, 0,
                concat("no column \"", name, "\"; the columns are ", join(have, ", "),
                       nearest.empty() ? ";" : concat("; did you mean \"", nearest, "\"?"),
                       " rename it in the file, or name the column that is meant"));
    }
    if (std::find(found + 1, have.end(), name) != have.end()) {
      return at(at_line, 0, concat("two columns are called \"", name, "\"; rename one"));
    }
    places.push_back(static_cast<size_t>(found - have.begin()));
  }
  return places;
}

}  // namespace strand
