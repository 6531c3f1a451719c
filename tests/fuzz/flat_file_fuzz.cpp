// Any bytes as GenBank and as EMBL: refused with the file's name, or read to the same records and features however they
// are cut, each feature within its record. And any bytes as a location.
#include <string>
#include <utility>
#include <vector>

#include "dataserver/formats/flat_file.h"
#include "dataserver/formats/location.h"
#include "shared/base/check.h"
#include "tests/fuzz/fuzz_main.h"

namespace strand {
namespace {

class Collect final : public FastaSink, public FeatureSink {
 public:
  Status begin_record(const std::string& name, int64_t line) override {
    STRAND_CHECK(!name.empty() && line > 0);
    records.emplace_back(name, "");
    return {};
  }
  Status bases(std::string_view letters) override {
    STRAND_CHECK(!letters.empty());
    records.back().second += letters;
    return {};
  }
  Status end_record() override {
    STRAND_CHECK(!records.back().second.empty());
    ended = records.size();
    return {};
  }
  Status feature(Feature feature) override {
    STRAND_CHECK(!feature.parts.empty() && feature.record >= ended);
    features.push_back(std::move(feature));
    return {};
  }
  std::vector<std::pair<std::string, std::string>> records;
  std::vector<Feature> features;
  uint64_t ended = 0;
};

std::pair<Collect, std::string> parse(FlatFormat format, std::string_view text, size_t piece) {
  std::pair<Collect, std::string> result;
  const auto parser = FlatFileParser::make(format, "f", &result.first, &result.first);
  for (size_t at = 0; at < text.size(); at += piece) {
    const Status fed = parser->feed(text.substr(at, piece));
    if (!fed.ok()) {
      result.second = fed.error().message();
      return result;
    }
  }
  const Status ended = parser->finish();
  if (!ended.ok()) result.second = ended.error().message();
  return result;
}

void check_format(FlatFormat format, std::string_view text) {
  const auto whole = parse(format, text, text.size() + 1);
  STRAND_CHECK(whole.second.empty() || whole.second.starts_with("f: "), whole.second);
  for (const size_t piece : {1, 7}) {
    const auto cut = parse(format, text, piece);
    STRAND_CHECK(cut.second == whole.second, cut.second, " / ", whole.second);
    STRAND_CHECK(cut.first.records == whole.first.records && cut.first.features == whole.first.features);
  }
  if (!whole.second.empty()) return;
  for (const Feature& feature : whole.first.features) {
    STRAND_CHECK(feature.record < whole.first.records.size());
    const auto bases = static_cast<int64_t>(whole.first.records[feature.record].second.size());
    STRAND_CHECK(0 <= feature.begin && feature.begin <= feature.end && feature.end <= bases);
  }
}

}  // namespace
}  // namespace strand

int fuzz_one(const uint8_t* data, size_t size) {
  using namespace strand;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check_format(FlatFormat::kGenBank, text);
  check_format(FlatFormat::kEmbl, text);
  const auto location = parse_location(text, {"X1.1", "X1", 100});
  if (location.ok()) {
    STRAND_CHECK(!location->parts.empty());
    for (const FeaturePart& part : location->parts) {
      STRAND_CHECK(0 <= part.begin && part.begin <= part.end && part.end <= 100);
    }
  }
  return 0;
}
