// Any bytes as variants, VCF and every table: refused with a place, or read to the same variants however they are cut;
// and the windows around them hold the alleles between the same flanks.
#include <string>
#include <tuple>
#include <vector>

#include "dataserver/corpus/alphabet.h"
#include "dataserver/variants/genome_variants.h"
#include "dataserver/variants/variant_parser.h"
#include "shared/base/check.h"
#include "tests/fuzz/fuzz_main.h"

namespace strand {
namespace {

struct Read {
  std::vector<Variant> variants;
  std::string error;
};

template <typename Parser>
std::string feed_all(Parser& parser, std::string_view text, size_t piece) {
  for (size_t at = 0; at < text.size(); at += piece) {
    if (const Status fed = parser.feed(text.substr(at, piece)); !fed.ok()) return fed.error().message();
  }
  const Status ended = parser.finish();
  return ended.ok() ? "" : ended.error().message();
}

Read read_vcf(std::string_view text, size_t piece) {
  VcfParser parser("f");
  std::string error = feed_all(parser, text, piece);
  return {std::move(parser.variants()), std::move(error)};
}

Read read_rows(TableFormat format, std::string_view text, size_t piece) {
  VariantRows rows("f");
  const auto parser = TableParser::make(format, "f", kVariantColumns, &rows);
  std::string error = feed_all(*parser, text, piece);
  return {std::move(rows.variants()), std::move(error)};
}

std::string normalised(std::string letters) {
  for (char& letter : letters) letter = letter_kind(letter) == LetterKind::kBase ? to_upper(letter) : 'N';
  return letters;
}

void check_window(const std::string& letters, const Variant& variant, const std::string& allele, int64_t context) {
  const AlleleWindow window = allele_window(letters, variant, allele, context);
  const size_t reference = variant.reference.size(), at = window.offset;
  STRAND_CHECK(window.reference.size() >= at + reference && window.alternative.size() >= at + allele.size());
  STRAND_CHECK(window.alternative.substr(at, allele.size()) == normalised(allele));
  STRAND_CHECK(window.reference.substr(at, reference) ==
               normalised(letters.substr(static_cast<size_t>(variant.position - 1), reference)));
  STRAND_CHECK(window.reference.substr(0, at) == window.alternative.substr(0, at));
  STRAND_CHECK(window.reference.substr(at + reference) == window.alternative.substr(at + allele.size()));
}

void check_variant(const Variant& variant) {
  static const std::string letters = "ACGTNacgtnRYACCAGGTTACGATTACAGGATCCA";
  STRAND_CHECK(variant.line >= 1 && variant.position >= 1 && !variant.chromosome.empty());
  STRAND_CHECK(is_bases(variant.reference) && !variant.alternatives.empty());
  const bool inside = variant.reference.size() <= letters.size() &&
                      static_cast<size_t>(variant.position - 1) <= letters.size() - variant.reference.size();
  for (const std::string& allele : variant.alternatives) {
    STRAND_CHECK(!allele.empty());
    if (!inside || !is_bases(allele)) continue;
    for (const int64_t context : {1, 8, 1000}) check_window(letters, variant, allele, context);
  }
}

auto fields(const Variant& v) {
  return std::tie(v.line, v.chromosome, v.position, v.reference, v.alternatives);
}

template <typename ReadPieces>
void check_reader(std::string_view text, const ReadPieces& read) {
  const Read whole = read(text, text.size() + 1);
  STRAND_CHECK(whole.error.empty() || whole.error.starts_with("f: "), whole.error);
  for (const size_t piece : {1, 7}) {
    const Read cut = read(text, piece);
    STRAND_CHECK(cut.error == whole.error, cut.error, " / ", whole.error);
    STRAND_CHECK(cut.variants.size() == whole.variants.size());
    for (size_t v = 0; v < cut.variants.size(); ++v) {
      STRAND_CHECK(fields(cut.variants[v]) == fields(whole.variants[v]));
    }
  }
  for (const Variant& variant : whole.variants) check_variant(variant);
}

}  // namespace
}  // namespace strand

int fuzz_one(const uint8_t* data, size_t size) {
  using namespace strand;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check_reader(text, read_vcf);
  for (const TableFormat format : {TableFormat::kCsv, TableFormat::kTsv, TableFormat::kJsonLines}) {
    check_reader(text, [format](std::string_view part, size_t piece) { return read_rows(format, part, piece); });
  }
  return 0;
}
