#include "dataserver/variants/variant_parser.h"

#include <algorithm>
#include <charconv>

#include "shared/base/text.h"

namespace strand {
namespace {

constexpr int kColumns = 5;  // CHROM POS ID REF ALT

Error at(const std::string& path, int64_t line, const std::string& message) {
  return bad_input(concat(path, ": line ", line, ": ", message));
}

Result<Variant> make_variant(const std::string& path, int64_t line, const std::string& chromosome,
                             std::string_view position, const std::string& reference, const std::string& alternatives) {
  Variant variant;
  variant.line = line;
  variant.chromosome = chromosome;
  variant.reference = reference;
  variant.alternatives = split(alternatives, ',');
  if (chromosome.empty()) return at(path, line, "CHROM is empty; expected the name of a record of the genome");
  const auto [end, error] = std::from_chars(position.data(), position.data() + position.size(), variant.position);
  if (error != std::errc() || end != position.data() + position.size() || variant.position < 1) {
    return at(path, line, concat("POS is \"", position, "\"; expected a number from 1 on"));
  }
  if (!is_bases(reference)) {
    return at(path, line, concat("REF is \"", reference, "\"; expected the genome's bases at POS"));
  }
  if (std::ranges::any_of(variant.alternatives, [](const std::string& allele) { return allele.empty(); })) {
    return at(path, line, concat("ALT is \"", alternatives, "\"; expected alleles separated by commas, or ."));
  }
  return variant;
}

}  // namespace

const std::vector<std::string> kVariantColumns = {"CHROM", "POS", "REF", "ALT"};

Status VariantRows::row(TableRow row) {
  for (std::string& field : row.fields) field = std::string(trim(field));
  STRAND_ASSIGN(Variant variant,
                make_variant(path_, row.line, row.fields[0], row.fields[1], row.fields[2], row.fields[3]));
  variants_.push_back(std::move(variant));
  return {};
}

Status VcfParser::feed(std::string_view bytes) {
  while (!bytes.empty()) {
    const size_t end = bytes.find('\n');
    STRAND_TRY(keep(bytes.substr(0, end)));
    if (end == std::string_view::npos) break;
    STRAND_TRY(end_line());
    bytes.remove_prefix(end + 1);
  }
  return {};
}

Status VcfParser::finish() {
  return pending_.empty() ? Status() : end_line();
}

Status VcfParser::keep(std::string_view piece) {
  while (!piece.empty() && tabs_ < kColumns) {
    const size_t tab = piece.find('\t');
    const size_t taken = tab == std::string_view::npos ? piece.size() : tab + 1;
    if (pending_.size() + taken > TableParser::kLongestRow) {
      return at(
          path_, number_ + 1,
          concat("longer than ", human_bytes(TableParser::kLongestRow), " before its sixth column; is it a VCF?"));
    }
    pending_ += piece.substr(0, taken);
    tabs_ += tab == std::string_view::npos ? 0 : 1;
    piece.remove_prefix(taken);
  }
  return {};
}

Status VcfParser::end_line() {
  const std::string line = std::move(pending_);
  std::string_view text = line;
  pending_.clear();
  tabs_ = 0;
  ++number_;
  if (text.ends_with('\r')) text.remove_suffix(1);
  if (number_ == 1 && text.starts_with("BCF")) {
    return bad_input(concat(path_, ": a BCF file; convert it: bcftools view -Oz -o variants.vcf.gz ", path_));
  }
  if (text.empty()) return {};
  if (text.starts_with('#')) {
    header_seen_ |= text.starts_with("#CHROM\tPOS\tID\tREF\tALT");
    return {};
  }
  if (!header_seen_) {
    return at(path_, number_, "a row before the line \"#CHROM POS ID REF ALT ...\", separated by tabs; is it a VCF?");
  }
  const std::vector<std::string> fields = split(text, '\t');
  if (fields.size() < kColumns) {
    return at(path_, number_,
              concat(fields.size(), " columns; expected CHROM POS ID REF ALT and more, separated by tabs"));
  }
  STRAND_ASSIGN(Variant variant, make_variant(path_, number_, fields[0], fields[1], fields[3], fields[4]));
  variants_.push_back(std::move(variant));
  return {};
}

}  // namespace strand
