#include "dataserver/formats/flat_file.h"

#include <algorithm>
#include <charconv>

#include "dataserver/corpus/alphabet.h"
#include "dataserver/formats/lines.h"
#include "shared/base/text.h"

namespace strand {

namespace {

// A whole number above 0, or 0.
int64_t to_number(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && value > 0 ? value : 0;
}

}  // namespace

std::unique_ptr<FlatFileParser> FlatFileParser::make(FlatFormat format, std::string file, FastaSink* sink,
                                                     FeatureSink* features) {
  if (format == FlatFormat::kEmbl) return make_embl_parser(std::move(file), sink, features);
  return make_genbank_parser(std::move(file), sink, features);
}

Error FlatFileParser::at(const std::string& message) const {
  return bad_input(concat(file_, ": line ", line_, ": ", message));
}

Status FlatFileParser::feed(std::string_view bytes) {
  const auto too_long = [&] {
    return at(concat("longer than ", human_bytes(kLongestLine),
                     "; expected lines of text: this is no flat file, or its lines end in lone carriage returns"));
  };
  return feed_lines(bytes, kLongestLine, &pending_, too_long, [&](std::string_view text) -> Status {
    STRAND_TRY(whole_line(text));
    ++line_;
    return {};
  });
}

Status FlatFileParser::whole_line(std::string_view text) {
  for (const char c : text) {
    if ((static_cast<uint8_t>(c) < 0x20 && c != '\t' && c != '\r') || c == 0x7f) {
      return at("a control character; expected a text file: fetch it again, or decompress it");
    }
  }
  const size_t last = text.find_last_not_of(" \t\r");
  if (last == std::string_view::npos) return {};
  return line(text.substr(0, last + 1));
}

Status FlatFileParser::finish() {
  if (!pending_.empty()) STRAND_TRY(whole_line(pending_));
  pending_.clear();
  if (section_ != Section::kOutside) {
    return at(concat("the file ends inside the record '", record_.name, "', which began at line ", record_.line,
                     "; expected a line '//' after its sequence: fetch the file again"));
  }
  if (records_ == 0) return bad_input(concat(file_, ": no records; expected at least one with its sequence"));
  return {};
}

Status FlatFileParser::begin_record(std::string_view name, std::string_view bases) {
  record_ = {std::string(name), "", line_, to_number(bases), 0};
  section_ = Section::kHeader;
  if (record_.bases == 0) {
    return at(concat("the record's length is '", bases,
                     "'; expected its number of bases, apart from the name by a "
                     "blank: write it there"));
  }
  return {};
}

Status FlatFileParser::begin_features() {
  section_ = Section::kFeatures;
  table_.begin(file_, records_, {record_.name, record_.accession, record_.bases}, features_);
  return {};
}

Status FlatFileParser::feature_line(size_t indent, std::string_view text) {
  const size_t blanks = std::min(text.find_first_not_of(" \t"), text.size());
  return table_.line(indent + blanks, text.substr(blanks), line_);
}

Status FlatFileParser::begin_sequence() {
  if (section_ == Section::kFeatures) STRAND_TRY(table_.end());
  section_ = Section::kSequence;
  return sink_->begin_record(record_.name, record_.line);
}

Error FlatFileParser::unexpected(char letter) const {
  const bool shown = letter > 0x20 && letter < 0x7f;
  const std::string mend = letter == '/'             ? "end a record with '//'"
                           : to_upper(letter) == 'U' ? "this is RNA; write t for u"
                                                     : "write n for an unknown base";
  return at(concat("found ", shown ? concat("'", letter, "'") : "a byte that is no letter",
                   " in the sequence; expected IUPAC codes of DNA in groups, or '//': ", mend));
}

Status FlatFileParser::letters(std::string_view text) {
  upper_.clear();
  for (const char c : text) {
    if (c == ' ' || c == '\t') continue;
    if (letter_kind(c) == LetterKind::kOther) return unexpected(c);
    upper_ += to_upper(c);
  }
  if (upper_.empty()) return {};
  record_.found += static_cast<int64_t>(upper_.size());
  if (record_.found > record_.bases) {
    return at(concat("more bases than the ", record_.bases, " that line ", record_.line, " says; correct the length ",
                     "there, or fetch the file again"));
  }
  return sink_->bases(upper_);
}

Status FlatFileParser::check_number(std::string_view number, bool last) const {
  const int64_t expected = record_.found + (last ? 0 : 1);
  if (to_number(number) == expected) return {};
  return at(concat("the line's ", last ? "last" : "first", " base is said to be ", number.substr(0, 20), "; expected ",
                   expected, ": bases are missing or were added, so fetch the file again"));
}

Status FlatFileParser::end_record() {
  if (section_ != Section::kSequence || record_.found == 0) {
    return at(concat("the record '", record_.name, "' of line ", record_.line, " has no sequence; expected ",
                     record_.bases, " bases in front of '//': fetch the full record, with its parts"));
  }
  if (record_.found != record_.bases) {
    return at(concat("the record '", record_.name, "' has ", record_.found, " bases; expected ", record_.bases,
                     ", as line ", record_.line, " says: correct the length there, or fetch the file again"));
  }
  section_ = Section::kOutside;
  ++records_;
  return sink_->end_record();
}

}  // namespace strand
