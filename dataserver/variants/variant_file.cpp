#include "dataserver/variants/variant_file.h"

#include <algorithm>
#include <charconv>

#include "dataserver/corpus/alphabet.h"
#include "dataserver/corpus/genome_file.h"
#include "dataserver/tables/table_file.h"
#include "shared/base/text.h"

namespace strand {
namespace {

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

class TableVariants final : public TableSink {
 public:
  explicit TableVariants(const std::string& path) : path_(path) {}
  Status row(TableRow row) override {
    for (std::string& field : row.fields) field = std::string(trim(field));
    STRAND_ASSIGN(Variant variant,
                  make_variant(path_, row.line, row.fields[0], row.fields[1], row.fields[2], row.fields[3]));
    variants.push_back(std::move(variant));
    return {};
  }
  std::vector<Variant> variants;

 private:
  const std::string& path_;
};

class VcfLines {
 public:
  explicit VcfLines(const std::string& path) : path_(path) {}

  Status line(std::string_view text) {
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
    if (fields.size() < 5) {
      return at(path_, number_,
                concat(fields.size(), " columns; expected CHROM POS ID REF ALT and more, separated by tabs"));
    }
    STRAND_ASSIGN(Variant variant, make_variant(path_, number_, fields[0], fields[1], fields[3], fields[4]));
    variants.push_back(std::move(variant));
    return {};
  }
  std::vector<Variant> variants;

 private:
  const std::string& path_;
  int64_t number_ = 0;
  bool header_seen_ = false;
};

Result<std::vector<Variant>> read_vcf(const std::string& path) {
  STRAND_ASSIGN(const auto file, GenomeFile::open(path));
  VcfLines lines(path);
  std::string pending;
  std::vector<char> buffer(size_t{1} << 18);
  while (true) {
    STRAND_ASSIGN(const size_t count, file->read(buffer.data(), buffer.size()));
    if (count == 0) break;
    std::string_view bytes(buffer.data(), count);
    for (size_t end = bytes.find('\n'); end != std::string_view::npos; end = bytes.find('\n')) {
      pending += bytes.substr(0, end);
      STRAND_TRY(lines.line(pending));
      pending.clear();
      bytes.remove_prefix(end + 1);
    }
    pending += bytes;
  }
  STRAND_TRY(lines.line(pending));
  return std::move(lines.variants);
}

}  // namespace

bool is_bases(const std::string& allele) {
  return !allele.empty() &&
         std::ranges::all_of(allele, [](char letter) { return letter_kind(letter) != LetterKind::kOther; });
}

Result<std::vector<Variant>> read_variants(const std::string& path) {
  std::vector<Variant> variants;
  if (path.ends_with(".vcf") || path.ends_with(".vcf.gz") || path.ends_with(".vcf.bgz")) {
    STRAND_ASSIGN(variants, read_vcf(path));
  } else {
    const auto format = table_format(path);
    if (!format.ok() || *format == TableFormat::kFasta) {
      return bad_input(concat(path, ": expected variants in a .vcf, .vcf.gz, .csv, .tsv or .jsonl file"));
    }
    TableVariants table(path);
    STRAND_TRY(read_table(path, {"CHROM", "POS", "REF", "ALT"}, &table, [](double) { return true; }));
    variants = std::move(table.variants);
  }
  if (variants.empty()) return bad_input(concat(path, ": no variants; expected at least one row"));
  return variants;
}

}  // namespace strand
