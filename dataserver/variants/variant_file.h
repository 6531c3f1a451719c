// Variants: rows of VCF 4.x (github.com/samtools/hts-specs), or of a table with their first columns.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "shared/base/result.h"

namespace strand {

struct Variant {
  int64_t line = 0;  // of the file
  std::string chromosome;
  int64_t position = 0;  // of the reference's first letter, from 1
  std::string reference;
  std::vector<std::string> alternatives;  // as written; "." when there is none
};

// The rows in order. .vcf (plain, gzip or bgzip), or .csv .tsv .jsonl .ndjson with columns CHROM, POS, REF and ALT.
// kBadInput names file and line: fewer columns than CHROM POS ID REF ALT, a header without its #CHROM line, a position
// below 1, a reference that is no bases, BCF.
Result<std::vector<Variant>> read_variants(const std::string& path);

// A C G T N and the other IUPAC codes only: not <DEL>, *, a breakend or ".".
bool is_bases(const std::string& allele);

}  // namespace strand
