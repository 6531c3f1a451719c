#include <algorithm>
#include <vector>

#include "dataserver/formats/flat_file.h"
#include "shared/base/text.h"

namespace strand {

namespace {

std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  while (true) {
    text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
    if (text.empty()) return words;
    const size_t end = std::min(text.find_first_of(" \t"), text.size());
    words.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
}

class GenBankParser final : public FlatFileParser {
 public:
  GenBankParser(std::string file, FastaSink* sink, FeatureSink* features)
      : FlatFileParser(std::move(file), sink, features) {}

 protected:
  Status line(std::string_view text) override {
    if (text == "//") return section_ == Section::kOutside ? between(text) : end_record();
    if (text.starts_with("LOCUS") && (text.size() == 5 || text[5] == ' ' || text[5] == '\t')) {
      if (section_ != Section::kOutside) {
        return at(concat("a record begins inside the record '", record_.name, "' of line ", record_.line,
                         "; expected its end, '//': fetch the file again"));
      }
      return locus(words_of(text));
    }
    switch (section_) {
      case Section::kOutside: return between(text);
      case Section::kSequence: return sequence(text);
      case Section::kHeader:
      case Section::kFeatures: break;
    }
    if (text.front() != ' ' && text.front() != '\t') return keyword(text);
    return section_ == Section::kFeatures ? feature_line(0, text) : Status();
  }

 private:
  // A release file begins with lines about itself.
  Status between(std::string_view text) const {
    if (records_ == 0) return {};
    return at(concat("found '", text.substr(0, 20), "' between two records; expected a line 'LOCUS ...': remove it"));
  }

  Status locus(const std::vector<std::string_view>& words) {
    for (size_t i = 1; i < words.size(); ++i) {
      if (words[i] == "aa") return at("a record of amino acids (aa); expected bases (bp): give the nucleotide record");
      if (words[i] == "bp") return begin_record(words[1], i >= 3 ? words[i - 1] : std::string_view());
    }
    return at("a LOCUS line without a length; expected 'LOCUS name 1234 bp DNA'");
  }

  Status keyword(std::string_view text) {
    const auto words = words_of(text);
    if (section_ == Section::kFeatures && words[0] != "ORIGIN") {
      STRAND_TRY(end_features());
      section_ = Section::kHeader;
    }
    if (words[0] == "ORIGIN") return begin_sequence();
    if (words[0] == "FEATURES") return begin_features();
    if (words.size() < 2) return {};
    if (words[0] == "VERSION") record_.name = words[1];
    if (words[0] == "ACCESSION") record_.accession = words[1];
    return {};
  }

  // "      61 gatcctccat atacaacggt"
  Status sequence(std::string_view text) {
    text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
    const size_t end = std::min(text.find_first_not_of("0123456789"), text.size());
    STRAND_TRY(check_number(text.substr(0, end), false));
    return letters(text.substr(end));
  }
};

}  // namespace

std::unique_ptr<FlatFileParser> make_genbank_parser(std::string file, FastaSink* sink, FeatureSink* features) {
  return std::make_unique<GenBankParser>(std::move(file), sink, features);
}

}  // namespace strand
