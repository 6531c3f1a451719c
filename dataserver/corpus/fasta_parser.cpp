#include "dataserver/corpus/fasta_parser.h"

#include "dataserver/corpus/alphabet.h"
#include "shared/base/text.h"

namespace strand {

namespace {

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r';
}

// 'X' for a printable letter, "byte 0x1f" for anything else.
std::string shown(char letter) {
  if (letter >= 0x20 && letter < 0x7f) return concat("'", letter, "'");
  constexpr const char* kDigits = "0123456789abcdef";
  const auto byte = static_cast<uint8_t>(letter);
  return concat("byte 0x", kDigits[byte >> 4], kDigits[byte & 15]);
}

}  // namespace

Error FastaParser::at(int64_t column, const std::string& message) const {
  return bad_input(concat(file_, ": line ", line_, column > 0 ? concat(", column ", column) : "", ": ", message));
}

Error FastaParser::unexpected(char letter, int64_t column) const {
  const bool text = (letter >= 0x20 && letter < 0x7f) || is_blank(letter);
  if (!text && static_cast<uint8_t>(letter) < 0x80) {
    return at(column, concat("found ", shown(letter), ", which is no text: this looks like a binary file; ",
                             "give a FASTA file (plain, gzip or bgzip)"));
  }
  if (!record_open_) {
    return at(column, concat("found ", shown(letter), " before the first header; a FASTA file begins with a line like ",
                             "'>name': remove the text in front of it, or give a FASTA file"));
  }
  const std::string expected = "; expected an IUPAC code of DNA (A C G T N R Y S W K M B D H V)";
  if (is_blank(letter)) return at(column, concat("found a blank inside a sequence", expected, ": remove it"));
  if (to_upper(letter) == 'U') {
    return at(column, concat("found ", shown(letter), expected, ": this is RNA; write T for U"));
  }
  if (letter == '-' || letter == '*' || letter == '.') {
    return at(column, concat("found ", shown(letter), expected,
                             ": gaps and stops belong to alignments and proteins; give the ungapped DNA"));
  }
  return at(column, concat("found ", shown(letter), expected, ": write N for an unknown base"));
}

Status FastaParser::feed(std::string_view bytes) {
  size_t at = 0;
  while (at < bytes.size()) {
    if (column_ == 0 && bytes[at] == '>') in_header_ = true;
    size_t end = bytes.find('\n', at);
    const bool whole = end != std::string_view::npos;
    if (!whole) end = bytes.size();
    const std::string_view piece = bytes.substr(at, end - at);
    STRAND_TRY(in_header_ ? header_piece(piece) : sequence_piece(piece));
    column_ += static_cast<int64_t>(piece.size());
    at = end;
    if (whole) {
      STRAND_TRY(end_line());
      ++at;
    }
  }
  return {};
}

Status FastaParser::header_piece(std::string_view piece) {
  if (header_.size() + piece.size() > kLongestHeader) {
    return at(0, concat("a header longer than ", kLongestHeader,
                        " bytes; expected '>name description' and a line feed (is this file's line end a lone carriage "
                        "return, or is it no FASTA?)"));
  }
  for (size_t i = 0; i < piece.size(); ++i) {
    const auto byte = static_cast<uint8_t>(piece[i]);
    if (byte < 0x20 && !is_blank(piece[i])) return unexpected(piece[i], column_ + static_cast<int64_t>(i) + 1);
  }
  header_.append(piece);
  return {};
}

Status FastaParser::sequence_piece(std::string_view piece) {
  size_t i = 0;
  while (i < piece.size()) {
    const size_t start = i;
    while (i < piece.size() && letter_kind(piece[i]) != LetterKind::kOther) ++i;
    if (i > start) {
      const int64_t column = column_ + static_cast<int64_t>(start) + 1;
      if (!record_open_) return unexpected(piece[start], column);
      if (blank_seen_) return unexpected(' ', column - 1);
      record_bases_ += static_cast<int64_t>(i - start);
      STRAND_TRY(sink_->bases(piece.substr(start, i - start)));
    }
    if (i < piece.size()) {
      if (!is_blank(piece[i])) return unexpected(piece[i], column_ + static_cast<int64_t>(i) + 1);
      blank_seen_ = true;
      ++i;
    }
  }
  return {};
}

Status FastaParser::end_line() {
  if (in_header_) {
    STRAND_TRY(close_record());
    STRAND_TRY(begin_record());
  }
  in_header_ = false;
  blank_seen_ = false;
  header_.clear();
  ++line_;
  column_ = 0;
  return {};
}

Status FastaParser::begin_record() {
  const std::string name = header_.substr(1, header_.find_first_of(" \t\r") - 1);
  if (name.empty()) {
    return at(1, "a header without a name; expected '>name', with the name right after '>': name the record");
  }
  record_open_ = true;
  record_line_ = line_;
  record_bases_ = 0;
  return sink_->begin_record(name, line_);
}

Status FastaParser::close_record() {
  if (!record_open_) return {};
  if (record_bases_ == 0) {
    return bad_input(concat(file_, ": line ", record_line_,
                            ": a record without bases; expected at least one line of sequence after its header: remove "
                            "the header or add the sequence"));
  }
  record_open_ = false;
  return sink_->end_record();
}

Status FastaParser::finish() {
  if (in_header_) STRAND_TRY(end_line());
  if (!record_open_) {
    return bad_input(concat(file_, ": no records; expected at least one '>name' line followed by bases"));
  }
  return close_record();
}

}  // namespace strand
