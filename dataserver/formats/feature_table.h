// The feature table of a GenBank or EMBL record, line by line (the INSDC feature table, sections 3 and 4).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "dataserver/formats/features.h"
#include "dataserver/formats/location.h"
#include "shared/base/result.h"

namespace strand {

class FeatureTable {
 public:
  // Features of record `record` of `file`, whose bases are `scope`'s.
  void begin(std::string file, uint64_t record, const LocationScope& scope, FeatureSink* sink);
  // A line: how many blanks it begins with, and its text without them. Fewer than kKeyIndent begin a feature.
  // kBadInput, "FILE: line L: feature KIND: ..." with the mend: what parse_location refuses, a feature without a
  // location, a quote that is not closed, a qualifier without a name.
  Status line(size_t indent, std::string_view text, int64_t number);
  // The last feature is whole.
  Status end();

 private:
  static constexpr size_t kKeyIndent = 10;

  Status add_qualifier(std::string_view text, int64_t number);
  void extend_qualifier(std::string_view text);
  bool quote_open() const;
  Error refuse(int64_t line, const std::string& message) const;

  std::string file_, record_name_, accession_;
  LocationScope scope_;
  FeatureSink* sink_ = nullptr;  // null: features are checked only
  uint64_t record_ = 0;
  bool open_ = false;
  Feature feature_;
  std::string location_;
  size_t quotes_ = 0;  // in the last qualifier's value
  bool quoted_ = false;
  int64_t qualifier_line_ = 0;
};

}  // namespace strand
