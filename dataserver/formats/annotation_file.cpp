#include "dataserver/formats/annotation_file.h"

#include <algorithm>
#include <charconv>

#include "dataserver/formats/lines.h"
#include "shared/base/text.h"

namespace strand {

namespace {

std::vector<std::string_view> columns_of(std::string_view text, std::string_view separators, bool runs) {
  std::vector<std::string_view> columns;
  while (true) {
    const size_t end = text.find_first_of(separators);
    if (!runs || end != 0) columns.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return columns;
    text.remove_prefix(end + 1);
  }
}

bool to_number(std::string_view text, int64_t* value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value);
  return error == std::errc() && end == text.data() + text.size() && *value >= 0;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

// %3B and the like as the letters that they stand for.
std::string unescaped(std::string_view text) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool escape =
        text[i] == '%' && i + 2 < text.size() && hex_digit(text[i + 1]) >= 0 && hex_digit(text[i + 2]) >= 0;
    plain += escape ? static_cast<char>(16 * hex_digit(text[i + 1]) + hex_digit(text[i + 2])) : text[i];
    if (escape) i += 2;
  }
  return plain;
}

}  // namespace

AnnotationFormat annotation_format(std::string_view first) {
  for (const std::string_view text : columns_of(first, "\n", false)) {
    if (text.starts_with("##gff")) return AnnotationFormat::kGff3;
    if (text.empty() || text.front() == '#') continue;
    const auto columns = columns_of(text, "\t", false);
    int64_t number = 0;
    if (columns.size() == 9 && to_number(columns[3], &number) && to_number(columns[4], &number)) {
      return AnnotationFormat::kGff3;
    }
    if (columns.size() > 1 && to_number(columns[1], &number)) return AnnotationFormat::kBed;
  }
  return AnnotationFormat::kBed;
}

AnnotationParser::AnnotationParser(AnnotationFormat format, std::string file, std::vector<AnnotatedRecord> records,
                                   FeatureSink* sink)
    : format_(format), file_(std::move(file)), records_(std::move(records)), sink_(sink) {
  for (const AnnotatedRecord& record : records_) numbers_.emplace(record.name, numbers_.size());
}

Error AnnotationParser::at(const std::string& message) const {
  return bad_input(concat(file_, ": line ", line_, ": ", message));
}

Status AnnotationParser::feed(std::string_view bytes) {
  const auto too_long = [&] {
    return at(concat("longer than ", human_bytes(kLongestLine), "; expected a line for each feature"));
  };
  return feed_lines(bytes, kLongestLine, &pending_, too_long, [&](std::string_view text) -> Status {
    STRAND_TRY(line(text));
    ++line_;
    return {};
  });
}

Status AnnotationParser::finish() {
  if (!pending_.empty()) STRAND_TRY(line(pending_));
  pending_.clear();
  if (features_ == 0) return bad_input(concat(file_, ": no features; expected GFF3 or BED with at least one"));
  return {};
}

Status AnnotationParser::line(std::string_view text) {
  if (text.ends_with('\r')) text.remove_suffix(1);
  if (sequence_ || trim(text).empty()) return {};
  if (format_ == AnnotationFormat::kBed) return bed_line(text);
  if (text.starts_with("##FASTA") || text.starts_with('>')) {
    sequence_ = true;
    return {};
  }
  if (text.starts_with("##sequence-region")) return gff_region(text);
  return text.starts_with('#') ? Status() : gff_line(text);
}

Result<uint64_t> AnnotationParser::record(std::string_view name) const {
  const auto found = numbers_.find(std::string(name));
  if (found != numbers_.end()) return found->second;
  constexpr size_t kMostNames = 1000;  // to look for a near one among
  std::vector<std::string> names;
  for (size_t i = 0; i < std::min(records_.size(), kMostNames); ++i) names.push_back(records_[i].name);
  const std::string near = nearest_name(name, names);
  return at(concat("record '", name, "' is not in the genome; expected one like '", near.empty() ? names[0] : near,
                   "': give the annotation of this assembly, or rename its records"));
}

Result<int64_t> AnnotationParser::number(std::string_view text, const char* column) const {
  int64_t value = 0;
  if (to_number(text, &value)) return value;
  return at(concat(column, " is '", text.substr(0, 20), "'; expected a whole number"));
}

Result<int8_t> AnnotationParser::strand_of(std::string_view text) const {
  if (text == "+") return int8_t{1};
  if (text == "-") return int8_t{-1};
  if (text == "." || text == "?") return int8_t{0};
  return at(concat("strand '", text.substr(0, 20), "'; expected + - . or ?"));
}

// Begin and end are set, and of the first part.
Status AnnotationParser::check_range(const Feature& feature) const {
  const AnnotatedRecord& record = records_[feature.record];
  const bool gff = format_ == AnnotationFormat::kGff3;
  if (feature.begin < 0) return at("base 0; expected bases from 1 (GFF3), so write the file again");
  if (feature.end < feature.begin || (gff && feature.end == feature.begin)) {
    return at(concat("the end ", feature.end, " is before the beginning ", feature.begin + gff,
                     "; expected the smaller base first"));
  }
  if (feature.end > record.bases) {
    return at(concat("base ", feature.end, " of record '", record.name, "', which has ", record.bases,
                     " in the genome; give the annotation of this assembly"));
  }
  return {};
}

Status AnnotationParser::emit(Feature feature) {
  ++features_;
  feature.line = line_;
  bound_feature(&feature);
  return sink_->feature(std::move(feature));
}

// "##sequence-region ctg123 1 1497228"
Status AnnotationParser::gff_region(std::string_view text) {
  const auto words = columns_of(text, " \t", true);
  if (words.size() < 4) return at("expected '##sequence-region NAME BEGIN END'");
  STRAND_ASSIGN(const uint64_t found, record(unescaped(words[1])));
  STRAND_ASSIGN(const int64_t begin, number(words[2], "the region's beginning"));
  STRAND_ASSIGN(const int64_t end, number(words[3], "the region's end"));
  const int64_t bases = records_[found].bases;
  if (end > bases || (begin == 1 && end != bases)) {
    return at(concat("record '", words[1], "' has bases ", begin, " to ", end, " here and ", bases,
                     " in the genome; give the annotation of this assembly"));
  }
  return {};
}

Status AnnotationParser::gff_line(std::string_view text) {
  const auto columns = columns_of(text, "\t", false);
  if (columns.size() != 9) return at(concat(columns.size(), " columns apart by tabs; expected the 9 of GFF3"));
  Feature feature;
  STRAND_ASSIGN(feature.record, record(unescaped(columns[0])));
  feature.kind = unescaped(columns[2]);
  if (feature.kind.empty()) return at("no type in the third column; expected one like gene or CDS");
  STRAND_ASSIGN(feature.begin, number(columns[3], "start"));
  STRAND_ASSIGN(feature.end, number(columns[4], "end"));
  --feature.begin;
  STRAND_TRY(check_range(feature));
  STRAND_ASSIGN(const int8_t strand, strand_of(columns[6]));
  feature.parts.push_back({feature.begin, feature.end, strand});
  const std::pair<const char*, size_t> others[] = {{"source", 1}, {"score", 5}, {"phase", 7}};
  for (const auto& [name, column] : others) {
    if (columns[column] != ".") feature.qualifiers.emplace_back(name, unescaped(columns[column]));
  }
  if (columns[8] != ".") STRAND_TRY(gff_attributes(columns[8], &feature));
  return emit(std::move(feature));
}

Status AnnotationParser::gff_attributes(std::string_view text, Feature* feature) const {
  for (const std::string_view attribute : columns_of(text, ";", false)) {
    const std::string_view pair = trim(attribute);
    if (pair.empty()) continue;
    const size_t equals = pair.find('=');
    if (equals == std::string_view::npos || equals == 0) {
      return at(concat("attribute '", pair.substr(0, 40), "'; expected key=value as in GFF3: convert GTF and GFF2 ",
                       "(gffread does)"));
    }
    feature->qualifiers.emplace_back(unescaped(pair.substr(0, equals)), unescaped(pair.substr(equals + 1)));
  }
  return {};
}

Status AnnotationParser::bed_line(std::string_view text) {
  const bool tabs = text.find('\t') != std::string_view::npos;
  const auto columns = columns_of(trim(text), tabs ? "\t" : " ", !tabs);
  if (text.starts_with('#') || columns[0] == "track" || columns[0].starts_with("track ") || columns[0] == "browser" ||
      columns[0].starts_with("browser ")) {
    return {};
  }
  if (columns.size() < 3 || columns.size() > 12) {
    return at(concat(columns.size(), " columns; expected the 3 to 12 of BED, or the 9 of GFF3 apart by tabs"));
  }
  Feature feature;
  STRAND_ASSIGN(feature.record, record(columns[0]));
  feature.kind = "region";
  STRAND_ASSIGN(feature.begin, number(columns[1], "chromStart"));
  STRAND_ASSIGN(feature.end, number(columns[2], "chromEnd"));
  STRAND_TRY(check_range(feature));
  int8_t strand = 0;
  if (columns.size() > 5) {
    STRAND_ASSIGN(strand, strand_of(columns[5]));
  }
  if (columns.size() > 3 && columns[3] != ".") feature.qualifiers.emplace_back("name", columns[3]);
  if (columns.size() > 4 && columns[4] != ".") feature.qualifiers.emplace_back("score", columns[4]);
  feature.parts.push_back({feature.begin, feature.end, strand});
  if (columns.size() == 12) STRAND_TRY(bed_blocks(columns, &feature));
  return emit(std::move(feature));
}

Status AnnotationParser::bed_blocks(const std::vector<std::string_view>& columns, Feature* feature) const {
  STRAND_ASSIGN(const int64_t count, number(columns[9], "blockCount"));
  auto sizes = columns_of(columns[10], ",", true), starts = columns_of(columns[11], ",", true);
  for (auto* list : {&sizes, &starts}) std::erase_if(*list, [](std::string_view item) { return item.empty(); });
  if (count < 1 || sizes.size() != static_cast<size_t>(count) || starts.size() != sizes.size()) {
    return at(concat(count, " blocks with ", sizes.size(), " sizes and ", starts.size(), " starts; expected as many"));
  }
  const int8_t strand = feature->parts.front().strand;
  feature->parts.clear();
  for (size_t i = 0; i < sizes.size(); ++i) {
    STRAND_ASSIGN(const int64_t size, number(sizes[i], "a block's size"));
    STRAND_ASSIGN(const int64_t start, number(starts[i], "a block's start"));
    const int64_t bases = feature->end - feature->begin;
    if (start > bases || size > bases - start) {
      return at(concat("block ", i + 1, " begins at ", start, " and has ", size, " bases; expected it within the ",
                       bases, " of its feature"));
    }
    const int64_t begin = feature->begin + start;
    feature->parts.push_back({begin, begin + size, strand});
  }
  if (strand < 0) std::reverse(feature->parts.begin(), feature->parts.end());
  return {};
}

}  // namespace strand
