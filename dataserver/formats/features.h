// Features of a genome: what a flat file's feature table, a GFF3 or a BED file says about stretches of its records.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "shared/base/result.h"

namespace strand {

// Bases [begin, end) of the feature's record, 0-based, half-open. begin == end: between two bases (GenBank's 7^8).
struct FeaturePart {
  int64_t begin = 0;
  int64_t end = 0;
  int8_t strand = 1;           // 1, -1; 0 when the source says none
  bool partial_begin = false;  // goes on before `begin` (GenBank's "<")
  bool partial_end = false;    // goes on after `end` (GenBank's ">")
  bool operator==(const FeaturePart&) const = default;
};

struct Feature {
  uint64_t record = 0;  // of the data set
  int64_t begin = 0;    // the smallest of the parts'
  int64_t end = 0;      // the largest of the parts'
  int8_t strand = 0;    // of all parts; 0 when they differ or have none
  std::string kind;     // "CDS", "gene", ...; of BED: "region"
  // In the order in which they are read: the first holds the first codon, on either strand.
  std::vector<FeaturePart> parts;
  bool ordered = false;  // GenBank's order(): the parts need not be joined
  // In the order of the file; a flag has an empty value.
  std::vector<std::pair<std::string, std::string>> qualifiers;
  int64_t line = 0;  // of its source
  bool operator==(const Feature&) const = default;
};

// Sets begin, end and strand from the parts, of which there is at least one.
void bound_feature(Feature* feature);

// Receives features in the order of the file. An error stops the parse and is returned by it.
class FeatureSink {
 public:
  virtual ~FeatureSink() = default;
  // `feature.record` counts the records of the file that is read, from 0.
  virtual Status feature(Feature feature) = 0;
};

}  // namespace strand
