// Any bytes as GFF3 and as BED: refused with the file's name, or read to the same features, each within its record,
// however they are cut.
#include <string>
#include <utility>
#include <vector>

#include "dataserver/formats/annotation_file.h"
#include "shared/base/check.h"
#include "tests/fuzz/fuzz_main.h"

namespace strand {
namespace {

class Collect final : public FeatureSink {
 public:
  Status feature(Feature feature) override {
    STRAND_CHECK(!feature.parts.empty() && feature.record < 2);
    STRAND_CHECK(0 <= feature.begin && feature.begin <= feature.end && feature.end <= 100);
    features.push_back(std::move(feature));
    return {};
  }
  std::vector<Feature> features;
};

std::pair<std::vector<Feature>, std::string> parse(AnnotationFormat format, std::string_view text, size_t piece) {
  Collect sink;
  AnnotationParser parser(format, "f", {{"chr1", 100}, {"chr2", 50}}, &sink);
  Status status;
  for (size_t at = 0; at < text.size() && status.ok(); at += piece) status = parser.feed(text.substr(at, piece));
  if (status.ok()) status = parser.finish();
  return {std::move(sink.features), status.ok() ? "" : status.error().message()};
}

}  // namespace
}  // namespace strand

int fuzz_one(const uint8_t* data, size_t size) {
  using namespace strand;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)annotation_format(text);
  for (const AnnotationFormat format : {AnnotationFormat::kGff3, AnnotationFormat::kBed}) {
    const auto whole = parse(format, text, size + 1);
    STRAND_CHECK(whole.second.empty() || whole.second.starts_with("f: "), whole.second);
    for (const size_t piece : {1, 7}) STRAND_CHECK(parse(format, text, piece) == whole);
  }
  return 0;
}
