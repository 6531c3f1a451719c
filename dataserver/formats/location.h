// Locations of GenBank and EMBL features (the INSDC feature table, section 3.4).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "dataserver/formats/features.h"
#include "shared/base/result.h"

namespace strand {

struct Location {
  std::vector<FeaturePart> parts;  // in the order in which they are read
  bool ordered = false;
};

// What a location may speak of.
struct LocationScope {
  std::string_view record;     // the record's name, "ACCESSION.VERSION" or "ACCESSION"
  std::string_view accession;  // another name of it; may be empty
  int64_t bases = 0;           // of the record
};

// 5, 5..9, <5..>9, 7^8, (5.7)..9, complement(...), join(...), order(...), in any nesting; NAME:5..9 where NAME is the
// record's own. kBadInput, beginning with "column C of the location" and ending with the mend: what is none of these, a
// base outside the record, an end before its beginning, a part on another record, more than kDeepest levels.
Result<Location> parse_location(std::string_view text, const LocationScope& scope);

constexpr int kDeepestLocation = 32;

}  // namespace strand
