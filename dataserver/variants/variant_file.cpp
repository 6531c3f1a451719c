#include "dataserver/variants/variant_file.h"

#include <algorithm>

#include "dataserver/corpus/alphabet.h"
#include "dataserver/corpus/genome_file.h"
#include "dataserver/tables/table_file.h"
#include "dataserver/variants/variant_parser.h"
#include "shared/base/text.h"

namespace strand {
namespace {

Result<std::vector<Variant>> read_vcf(const std::string& path) {
  STRAND_ASSIGN(const auto file, GenomeFile::open(path));
  VcfParser parser(path);
  std::vector<char> buffer(size_t{1} << 18);
  while (true) {
    STRAND_ASSIGN(const size_t count, file->read(buffer.data(), buffer.size()));
    if (count == 0) break;
    STRAND_TRY(parser.feed(std::string_view(buffer.data(), count)));
  }
  STRAND_TRY(parser.finish());
  return std::move(parser.variants());
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
    VariantRows table(path);
    STRAND_TRY(read_table(path, kVariantColumns, &table, [](double) { return true; }));
    variants = std::move(table.variants());
  }
  if (variants.empty()) return bad_input(concat(path, ": no variants; expected at least one row"));
  return variants;
}

}  // namespace strand
