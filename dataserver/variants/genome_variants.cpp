#include "dataserver/variants/genome_variants.h"

#include <algorithm>
#include <map>
#include <set>

#include "dataserver/corpus/alphabet.h"
#include "dataserver/corpus/fasta_parser.h"
#include "dataserver/corpus/genome_file.h"
#include "dataserver/formats/sequence_reader.h"
#include "shared/base/text.h"

namespace strand {
namespace {

std::string upper(std::string letters) {
  std::ranges::transform(letters, letters.begin(), to_upper);
  return letters;
}

class Records final : public FastaSink {
 public:
  Records(const std::string& genome, const std::string& file, std::span<const Variant> variants,
          const std::function<Status(const RecordVariants&)>& visit)
      : genome_(genome), file_(file), variants_(variants), visit_(visit) {
    for (size_t v = 0; v < variants.size(); ++v) waiting_[variants[v].chromosome].push_back(v);
  }

  Status begin_record(const std::string& name, int64_t line) override {
    if (!names_.insert(name).second) {
      return bad_input(concat(genome_, ": line ", line, ": a second record \"", name, "\"; rename one"));
    }
    const auto found = waiting_.find(name);
    wanted_ = found != waiting_.end();
    record_ = {name, {}, wanted_ ? std::move(found->second) : std::vector<size_t>()};
    if (wanted_) waiting_.erase(found);
    return {};
  }
  Status bases(std::string_view letters) override {
    if (wanted_) record_.letters += letters;
    return {};
  }
  Status end_record() override {
    if (!wanted_) return {};
    for (const size_t v : record_.variants) STRAND_TRY(check(variants_[v]));
    return visit_(record_);
  }
  // After the last record.
  Status check_all_found() const {
    if (waiting_.empty()) return {};
    const Variant& variant = variants_[waiting_.begin()->second.front()];
    const std::vector<std::string> names(names_.begin(), names_.end());
    const std::string nearest = nearest_name(variant.chromosome, names);
    return bad_input(concat(file_, ": line ", variant.line, ": CHROM is \"", variant.chromosome, "\"; ", genome_,
                            " has no such record (its first is \"", names.front(), "\"",
                            nearest.empty() ? "" : concat("; did you mean \"", nearest, "\"?"),
                            "): name the genome the variants were called on, or rename the chromosomes"));
  }

 private:
  Status check(const Variant& variant) const {
    const auto begin = static_cast<size_t>(variant.position - 1);
    const size_t length = record_.letters.size();
    const std::string place = concat(file_, ": line ", variant.line, ": ", variant.chromosome, ":", variant.position);
    if (begin + variant.reference.size() > length) {
      return bad_input(concat(place, ": the reference ends behind the record, which has ", length, " bases in ",
                              genome_, "; name the genome the variants were called on"));
    }
    const std::string found = upper(record_.letters.substr(begin, variant.reference.size()));
    if (found == upper(variant.reference)) return {};
    return bad_input(concat(place, ": expected REF ", variant.reference, ", found ", found, " in ", genome_,
                            "; name the genome (and its version) the variants were called on"));
  }

  const std::string& genome_;
  const std::string& file_;
  std::span<const Variant> variants_;
  const std::function<Status(const RecordVariants&)>& visit_;
  std::map<std::string, std::vector<size_t>> waiting_;  // chromosomes whose record has not come
  std::set<std::string> names_;
  RecordVariants record_;
  bool wanted_ = false;
};

}  // namespace

Status visit_variants(const std::string& genome_path, const std::string& variants_path,
                      std::span<const Variant> variants, const std::function<Status(const RecordVariants&)>& visit,
                      const Progress& progress) {
  Records records(genome_path, variants_path, variants, visit);
  STRAND_TRY(read_sequences_into(genome_path, &records, nullptr, progress));
  return records.check_all_found();
}

AlleleWindow allele_window(const std::string& letters, const Variant& variant, const std::string& alternative,
                           int64_t context) {
  const auto length = static_cast<int64_t>(letters.size());
  const int64_t at = variant.position - 1, behind = at + static_cast<int64_t>(variant.reference.size());
  const int64_t begin = std::clamp<int64_t>(at - context / 2, 0, std::max<int64_t>(0, length - context));
  const int64_t end = std::max(std::min(begin + context, length), behind);
  const auto piece = [&](int64_t from, int64_t to) {
    return letters.substr(static_cast<size_t>(from), static_cast<size_t>(to - from));
  };
  AlleleWindow window{piece(begin, end), concat(piece(begin, at), alternative, piece(behind, end)),
                      static_cast<size_t>(at - begin)};
  for (std::string* text : {&window.reference, &window.alternative}) {
    for (char& letter : *text) letter = letter_kind(letter) == LetterKind::kBase ? to_upper(letter) : 'N';
  }
  return window;
}

}  // namespace strand
