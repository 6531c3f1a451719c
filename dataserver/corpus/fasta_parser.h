// FASTA as a stream of bytes, without a file behind it: the same events however the bytes are cut into pieces.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "shared/base/result.h"

namespace strand {

// Receives a file's records in order. An error stops the parse and is returned by it.
class FastaSink {
 public:
  virtual ~FastaSink() = default;
  // `name` is the header up to the first blank, not empty. `line` is 1-based.
  virtual Status begin_record(const std::string& name, int64_t line) = 0;
  // The next letters of the record: IUPAC DNA codes in the file's case, never empty, cut at arbitrary places.
  virtual Status bases(std::string_view letters) = 0;
  virtual Status end_record() = 0;
};

// Refuses with "FILE: line L, column C: ..." and the mend: text before the first header, a record without a name or
// without bases, a letter that is no IUPAC DNA code (U, '-' and '*' too), a blank inside a sequence, bytes that are no
// text, a file without records. Blank lines, CR LF, blanks at a line's end and a missing last newline are fine.
class FastaParser {
 public:
  FastaParser(std::string file, FastaSink* sink) : file_(std::move(file)), sink_(sink) {}

  Status feed(std::string_view bytes);
  Status finish();

  static constexpr size_t kLongestHeader = 64 * 1024;

 private:
  Status header_piece(std::string_view piece);
  Status sequence_piece(std::string_view piece);
  Status end_line();
  Status begin_record();
  Status close_record();
  Error at(int64_t column, const std::string& message) const;
  Error unexpected(char letter, int64_t column) const;

  std::string file_;
  FastaSink* sink_;
  int64_t line_ = 1;
  int64_t column_ = 0;  // bytes of the line read so far
  bool in_header_ = false;
  bool blank_seen_ = false;  // in this sequence line
  std::string header_;
  bool record_open_ = false;
  int64_t record_line_ = 0;
  int64_t record_bases_ = 0;
};

}  // namespace strand
