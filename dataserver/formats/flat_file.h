// GenBank and EMBL flat files as a stream of bytes: the same events however the bytes are cut into pieces.
//   GenBank   NCBI-GenBank Flat File Release Notes, section 3.4 (LOCUS, VERSION, FEATURES, ORIGIN)
//   EMBL      EMBL-Bank user manual, section 3.4 (ID, SV, FT, SQ), the ID line of before and after 2006
// A record is called by its VERSION (EMBL: accession.SV), else by its LOCUS or ID: as the FASTA files of the same
// archives call it. Letters are handed on in upper case, since lower case is these formats' habit and masks nothing.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "dataserver/corpus/fasta_parser.h"
#include "dataserver/formats/feature_table.h"
#include "dataserver/formats/features.h"
#include "shared/base/result.h"

namespace strand {

enum class FlatFormat { kGenBank, kEmbl };

// Refuses with "FILE: line L: ..." and the mend: a file that ends inside a record, a length that is missing or not that
// of the sequence, base numbers in a sequence that do not go on, a record without a sequence (CONTIG only) or of
// amino acids, a letter that is no IUPAC code of DNA, bytes that are no text, features as feature_table.h says.
class FlatFileParser {
 public:
  // `features` may be null: they are checked all the same.
  static std::unique_ptr<FlatFileParser> make(FlatFormat format, std::string file, FastaSink* sink,
                                              FeatureSink* features);
  virtual ~FlatFileParser() = default;

  Status feed(std::string_view bytes);
  Status finish();

  static constexpr size_t kLongestLine = size_t{1} << 20;  // bytes

 protected:
  FlatFileParser(std::string file, FastaSink* sink, FeatureSink* features)
      : file_(std::move(file)), sink_(sink), features_(features) {}

  enum class Section { kOutside, kHeader, kFeatures, kSequence };
  struct Record {
    std::string name, accession;
    int64_t line = 0;   // of its first
    int64_t bases = 0;  // as said in its first line
    int64_t found = 0;
  };

  // A line of text without its end, not blank; line_ is its number.
  virtual Status line(std::string_view text) = 0;

  Error at(const std::string& message) const;
  // `bases` as written in the first line.
  Status begin_record(std::string_view name, std::string_view bases);
  Status begin_features();
  // A line of the table whose text, but for the first `indent` characters, is `text`.
  Status feature_line(size_t indent, std::string_view text);
  Status end_features() { return table_.end(); }
  Status begin_sequence();
  // Letters and blanks.
  Status letters(std::string_view text);
  // The first base of a line is `number` (`last`: the last one).
  Status check_number(std::string_view number, bool last) const;
  Status end_record();

  Section section_ = Section::kOutside;
  Record record_;
  uint64_t records_ = 0;  // ended

 private:
  Status whole_line(std::string_view text);
  Error unexpected(char letter) const;

  std::string file_;
  FastaSink* sink_;
  FeatureSink* features_;
  FeatureTable table_;
  int64_t line_ = 1;
  std::string pending_;  // of the line that has not ended
  std::string upper_;
};

// For make().
std::unique_ptr<FlatFileParser> make_genbank_parser(std::string file, FastaSink* sink, FeatureSink* features);
std::unique_ptr<FlatFileParser> make_embl_parser(std::string file, FastaSink* sink, FeatureSink* features);

}  // namespace strand
