// Annotations of a genome in files of their own, as a stream of bytes.
//   GFF3   github.com/The-Sequence-Ontology/Specifications/blob/master/gff3.md: nine columns apart by tabs. Each line
//   is
//          a feature of one part; ID and Parent are among its qualifiers, beside source, score and phase. What follows
//          "##FASTA" is passed over.
//   BED    genome.ucsc.edu/FAQ/FAQformat.html#format1: 3 to 12 columns apart by tabs or blanks. The kind is "region";
//          name and score are qualifiers; the blocks of BED12 are parts.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "dataserver/formats/features.h"
#include "shared/base/result.h"

namespace strand {

enum class AnnotationFormat { kGff3, kBed };

// By the first line that tells: "##gff" or nine columns apart by tabs with numbers in the fourth and fifth, else BED.
AnnotationFormat annotation_format(std::string_view first);

struct AnnotatedRecord {
  std::string name;
  int64_t bases = 0;
};

// Refuses with "FILE: line L: ..." and the mend: a record that the genome lacks and a length or base beyond the
// genome's (another assembly: the first that differs is named), a wrong number of columns, a number that is none, an
// end before its beginning, a strand other than + - . and ?, attributes that are no key=value (GTF, GFF2), blocks that
// leave their feature, a file without features.
class AnnotationParser {
 public:
  AnnotationParser(AnnotationFormat format, std::string file, std::vector<AnnotatedRecord> records, FeatureSink* sink);

  Status feed(std::string_view bytes);
  Status finish();

  static constexpr size_t kLongestLine = size_t{1} << 20;  // bytes

 private:
  Status line(std::string_view text);
  Status gff_line(std::string_view text);
  Status gff_region(std::string_view text);
  Status gff_attributes(std::string_view text, Feature* feature) const;
  Status bed_line(std::string_view text);
  Status bed_blocks(const std::vector<std::string_view>& columns, Feature* feature) const;
  Status emit(Feature feature);
  // The record's number in the genome.
  Result<uint64_t> record(std::string_view name) const;
  Result<int64_t> number(std::string_view text, const char* column) const;
  Status check_range(const Feature& feature) const;
  Result<int8_t> strand_of(std::string_view text) const;
  Error at(const std::string& message) const;

  AnnotationFormat format_;
  std::string file_;
  std::vector<AnnotatedRecord> records_;
  std::unordered_map<std::string, uint64_t> numbers_;
  FeatureSink* sink_;
  int64_t line_ = 1;
  uint64_t features_ = 0;
  bool sequence_ = false;  // behind ##FASTA
  std::string pending_;
};

}  // namespace strand
