// Features in the key-value store, beside the genome that they are of:
//   "annotation/CORPUS/ID"                            AnnotationInfo, written last: without it nothing is visible
//   "features/CORPUS/ID/" record begin number         feature_to_json (the numbers 8 bytes, big-endian)
// so that a scan goes along each record. CORPUS is the genome's id. ID is the same for features that stood in the
// genome's own files.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dataserver/corpus/corpus_info.h"
#include "dataserver/formats/features.h"
#include "shared/base/result.h"
#include "shared/store/store.h"

namespace strand {

struct AnnotationInfo {
  std::string corpus;
  std::string id;
  std::string path;  // of its file, as it was read
  uint64_t features = 0;
  int64_t longest = 0;                    // in bases: a scan for what overlaps base b may begin at b - longest
  std::map<std::string, uint64_t> kinds;  // how many of each
};

// Keeps features until they can be written in order.
class FeatureCollector final : public FeatureSink {
 public:
  FeatureCollector(Store* store, std::string corpus, std::string id, std::string path);

  // The next file's first record is the data set's `first_record`.
  void begin_file(uint64_t first_record) { first_record_ = first_record; }
  Status feature(Feature feature) override;
  // Writes the features, and puts their description into `batch`; nothing without features.
  Status finish(StoreBatch* batch);

 private:
  Store* store_;
  AnnotationInfo info_;
  uint64_t first_record_ = 0;
  std::vector<std::pair<std::string, std::string>> values_;  // by key
};

// The annotation of a genome in this GFF3 or BED file (annotation_file.h), plain or compressed: found in the store when
// the same bytes were read before, else read. kBadInput names file and line.
Result<AnnotationInfo> build_annotation(Store* store, const CorpusInfo& genome, const std::string& path,
                                        const Progress& progress);

// All complete annotations of a genome, by id.
Result<std::vector<AnnotationInfo>> list_annotations(Store* store, const std::string& corpus);

// Every feature, by record and then by where it begins, until an error.
Status scan_features(Store* store, const AnnotationInfo& annotation,
                     const std::function<Status(const Feature& feature)>& visit);

// Text that is no UTF-8 is kept as U+FFFD.
std::string feature_to_json(const Feature& feature);
// kCorrupt for text that feature_to_json cannot have written.
Result<Feature> feature_from_json(std::string_view text, const std::string& origin);

}  // namespace strand
