// Rows of VCF text and of tables as variants; the same however the bytes are cut into pieces.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "dataserver/tables/table_parser.h"
#include "dataserver/variants/variant_file.h"
#include "shared/base/result.h"

namespace strand {

// VCF 4.x. Of a line only the columns up to ALT are kept, so that memory does not grow with the number of samples.
class VcfParser {
 public:
  // `path` names the text in errors.
  explicit VcfParser(std::string path) : path_(std::move(path)) {}

  // kBadInput, "PATH: line L: ...", as read_variants says; also columns up to ALT beyond TableParser::kLongestRow.
  Status feed(std::string_view bytes);
  Status finish();
  std::vector<Variant>& variants() { return variants_; }

 private:
  Status keep(std::string_view piece);
  Status end_line();

  std::string path_, pending_;
  int tabs_ = 0;        // in pending_
  int64_t number_ = 0;  // of the last whole line
  bool header_seen_ = false;
  std::vector<Variant> variants_;
};

// A table's columns that make a variant, and the sink that takes them.
extern const std::vector<std::string> kVariantColumns;

class VariantRows final : public TableSink {
 public:
  explicit VariantRows(std::string path) : path_(std::move(path)) {}
  Status row(TableRow row) override;
  std::vector<Variant>& variants() { return variants_; }

 private:
  std::string path_;
  std::vector<Variant> variants_;
};

}  // namespace strand
