#include <algorithm>

#include "dataserver/formats/flat_file.h"
#include "shared/base/text.h"

namespace strand {

namespace {

class EmblParser final : public FlatFileParser {
 public:
  EmblParser(std::string file, FastaSink* sink, FeatureSink* features)
      : FlatFileParser(std::move(file), sink, features) {}

 protected:
  Status line(std::string_view text) override {
    if (text == "//") {
      return section_ == Section::kOutside ? at("an end, '//', without a record; remove the line") : end_record();
    }
    const std::string_view code = text.substr(0, 2);
    const bool coded = text.size() == 2 || (text.size() > 2 && text[2] == ' ');
    if (section_ == Section::kSequence && !(coded && code == "ID")) return sequence(text);
    if (!coded) return at(concat("found '", text.substr(0, 20), "'; expected a line code of two letters and blanks"));
    const std::string_view rest = trim(text.substr(2));
    if (code == "ID") return id(rest);
    if (section_ == Section::kOutside) {
      return at(concat("found '", text.substr(0, 20), "' outside a record; expected a line 'ID   ...': remove it"));
    }
    if (code == "FT") {
      if (section_ != Section::kFeatures) STRAND_TRY(begin_features());
      return rest.empty() ? Status() : feature_line(2, text.substr(2));
    }
    if (code == "SQ") return begin_sequence();
    const std::string_view word = rest.substr(0, rest.find_first_of("; \t"));
    if (code == "AC" && record_.accession.empty()) record_.accession = word;
    if (code == "SV" && !word.empty()) record_.name = word;
    return {};
  }

 private:
  // "X56734; SV 1; linear; mRNA; STD; PLN; 1859 BP.", before 2006 "TRBG361 standard; mRNA; PLN; 1859 BP."
  Status id(std::string_view text) {
    if (section_ != Section::kOutside) {
      return at(concat("a record begins inside the record '", record_.name, "' of line ", record_.line,
                       "; expected its end, '//': fetch the file again"));
    }
    const std::vector<std::string> fields = split(text, ';');
    const std::string_view last = trim(fields.back());
    if (last.ends_with("AA.") || last.ends_with("AA")) {
      return at("a record of amino acids (AA); expected bases (BP): give the nucleotide record");
    }
    if (fields.size() < 3 || !(last.ends_with(" BP.") || last.ends_with(" BP"))) {
      return at("an ID line without a length; expected 'ID   name; SV 1; linear; genomic DNA; STD; PRO; 1234 BP.'");
    }
    std::string name(trim(fields[0]));
    name.resize(std::min(name.find_first_of(" \t"), name.size()));
    if (name.empty()) return at("an ID line without a name; expected it in front of the first ';'");
    STRAND_TRY(begin_record(name, last.substr(0, last.find(' '))));
    const std::string_view version = trim(fields[1]);
    if (version.starts_with("SV ")) {
      record_.accession = name;
      record_.name = concat(name, ".", trim(version.substr(3)));
    }
    return {};
  }

  // "     gatcctccat atacaacggt        80"
  Status sequence(std::string_view text) {
    const size_t end = text.find_last_not_of("0123456789") + 1;
    STRAND_TRY(letters(text.substr(0, end)));
    return check_number(text.substr(end), true);
  }
};

}  // namespace

std::unique_ptr<FlatFileParser> make_embl_parser(std::string file, FastaSink* sink, FeatureSink* features) {
  return std::make_unique<EmblParser>(std::move(file), sink, features);
}

}  // namespace strand
