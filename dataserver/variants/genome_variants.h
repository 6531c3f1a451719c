// Variants against the genome they were called on: its letters around them, and whether it is that genome at all.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "dataserver/variants/variant_file.h"
#include "shared/base/result.h"

namespace strand {

// A record of the genome with the variants on it.
struct RecordVariants {
  std::string name;
  std::string letters;           // as the file has them
  std::vector<size_t> variants;  // numbers, rising
};

// Reads a FASTA file and visits every record that has variants; one record is in memory at a time. kBadInput, naming
// `variants_path` with line, expected and found: a reference that is not the genome's, a position behind the record's
// end, a chromosome that no record is named after; and a record that is there twice.
Status visit_variants(const std::string& genome_path, const std::string& variants_path,
                      std::span<const Variant> variants, const std::function<Status(const RecordVariants&)>& visit,
                      const std::function<bool(double)>& progress);

// `context` letters around the variant, both alleles with the same flanks: centred, moved inside the record near its
// ends, longer only where the reference is. Letters are A C G T in upper case and N.
struct AlleleWindow {
  std::string reference, alternative;
  size_t offset = 0;  // of the alleles in both
};
AlleleWindow allele_window(const std::string& letters, const Variant& variant, const std::string& alternative,
                           int64_t context);

}  // namespace strand
