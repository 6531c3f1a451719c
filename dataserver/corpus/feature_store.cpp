#include "dataserver/corpus/feature_store.h"

#include <algorithm>
#include <optional>

#include "dataserver/corpus/genome_file.h"
#include "dataserver/formats/annotation_file.h"
#include "shared/base/text.h"
#include "shared/formats/json.h"

namespace strand {

namespace {

std::string annotation_key(const std::string& corpus, const std::string& id) {
  return concat("annotation/", corpus, "/", id);
}

std::string feature_prefix(const AnnotationInfo& info) {
  return concat("features/", info.corpus, "/", info.id, "/");
}

std::string info_to_json(const AnnotationInfo& info) {
  return dump_json({{"corpus", info.corpus},
                    {"id", info.id},
                    {"path", info.path},
                    {"features", info.features},
                    {"longest", info.longest},
                    {"kinds", info.kinds}});
}

Result<AnnotationInfo> info_from_json(std::string_view text, const std::string& origin) {
  STRAND_ASSIGN(const Json json, parse_json(text, origin));
  try {
    AnnotationInfo info;
    info.corpus = json.at("corpus").get<std::string>();
    info.id = json.at("id").get<std::string>();
    info.path = json.at("path").get<std::string>();
    info.features = json.at("features").get<uint64_t>();
    info.longest = json.at("longest").get<int64_t>();
    info.kinds = json.at("kinds").get<std::map<std::string, uint64_t>>();
    return info;
  } catch (const Json::exception&) {
    return corrupt(concat(origin, ": the description of features is damaged; build the store again"));
  }
}

}  // namespace

FeatureCollector::FeatureCollector(Store* store, std::string corpus, std::string id, std::string path) : store_(store) {
  info_.corpus = std::move(corpus);
  info_.id = std::move(id);
  info_.path = std::move(path);
}

Status FeatureCollector::feature(Feature feature) {
  feature.record += first_record_;
  std::string key = big_endian_key(feature_prefix(info_), feature.record);
  key = big_endian_key(big_endian_key(key, static_cast<uint64_t>(feature.begin)), info_.features);
  ++info_.features;
  ++info_.kinds[feature.kind];
  info_.longest = std::max(info_.longest, feature.end - feature.begin);
  values_.emplace_back(std::move(key), feature_to_json(feature));
  return {};
}

Status FeatureCollector::finish(StoreBatch* batch) {
  if (values_.empty()) return {};
  std::sort(values_.begin(), values_.end());
  STRAND_ASSIGN(const auto writer, store_->bulk_writer());
  for (const auto& [key, value] : values_) STRAND_TRY(writer->put(key, value));
  STRAND_TRY(writer->finish());
  batch->put(annotation_key(info_.corpus, info_.id), info_to_json(info_));
  return {};
}

Result<AnnotationInfo> build_annotation(Store* store, const CorpusInfo& genome, const std::string& path,
                                        const Progress& progress) {
  STRAND_ASSIGN(const FileIdentity identity, identify_file(path));
  const std::string id = identity.hash.hex();
  const auto found = store->get(annotation_key(genome.id, id));
  if (found.ok()) return info_from_json(*found, path);
  if (found.error().code() != ErrorCode::kNotFound) return found.error();

  STRAND_ASSIGN(const auto file, GenomeFile::open(path));
  std::string buffer(size_t{1} << 18, '\0');
  STRAND_ASSIGN(size_t count, file->read(buffer.data(), buffer.size()));
  std::vector<AnnotatedRecord> records;
  for (const RecordInfo& record : genome.records) records.push_back({record.name, record.bases});
  FeatureCollector features(store, genome.id, id, path);
  AnnotationParser parser(annotation_format(std::string_view(buffer).substr(0, count)), path, std::move(records),
                          &features);
  while (count > 0) {
    const Status fed = parser.feed(std::string_view(buffer).substr(0, count));
    if (!fed.ok()) return file->blame(fed.error());
    if (!progress(static_cast<double>(file->bytes_read()) / static_cast<double>(file->bytes_total()))) {
      return Error(ErrorCode::kStopped, concat("stopped while reading ", path));
    }
    STRAND_ASSIGN(count, file->read(buffer.data(), buffer.size()));
  }
  STRAND_TRY(parser.finish());
  StoreBatch batch;
  STRAND_TRY(features.finish(&batch));
  STRAND_TRY(store->write(batch));
  STRAND_ASSIGN(const std::string written, store->get(annotation_key(genome.id, id)));
  return info_from_json(written, path);
}

Result<std::vector<AnnotationInfo>> list_annotations(Store* store, const std::string& corpus) {
  std::vector<AnnotationInfo> annotations;
  std::optional<Error> failure;
  STRAND_TRY(store->scan(annotation_key(corpus, ""), [&](std::string_view key, std::string_view value) {
    auto info = info_from_json(value, std::string(key));
    if (!info.ok()) {
      failure = info.error();
      return false;
    }
    annotations.push_back(std::move(info).value());
    return true;
  }));
  if (failure) return *failure;
  return annotations;
}

Status scan_features(Store* store, const AnnotationInfo& annotation,
                     const std::function<Status(const Feature& feature)>& visit) {
  uint64_t seen = 0;
  Status status;
  const std::string prefix = feature_prefix(annotation);
  STRAND_TRY(store->scan(prefix, [&](std::string_view, std::string_view value) {
    const auto feature = feature_from_json(value, prefix);
    status = feature.ok() ? visit(*feature) : Status(feature.error());
    ++seen;
    return status.ok();
  }));
  STRAND_TRY(status);
  if (seen != annotation.features) {
    return corrupt(
        concat(annotation.path, ": the store holds ", seen, " of ", annotation.features, " features; build it again"));
  }
  return {};
}

std::string feature_to_json(const Feature& feature) {
  Json parts = Json::array(), qualifiers = Json::array();
  for (const FeaturePart& part : feature.parts) {
    parts.push_back(Json::array({part.begin, part.end, part.strand, part.partial_begin, part.partial_end}));
  }
  for (const auto& [name, value] : feature.qualifiers) qualifiers.push_back(Json::array({name, value}));
  return dump_json({{"record", feature.record},
                    {"kind", feature.kind},
                    {"parts", std::move(parts)},
                    {"ordered", feature.ordered},
                    {"qualifiers", std::move(qualifiers)},
                    {"line", feature.line}});
}

Result<Feature> feature_from_json(std::string_view text, const std::string& origin) {
  STRAND_ASSIGN(const Json json, parse_json(text, origin));
  const Error damaged = corrupt(concat(origin, ": a feature is damaged; build the store again"));
  try {
    Feature feature;
    feature.record = json.at("record").get<uint64_t>();
    feature.kind = json.at("kind").get<std::string>();
    for (const Json& part : json.at("parts")) {
      feature.parts.push_back({part.at(0).get<int64_t>(), part.at(1).get<int64_t>(), part.at(2).get<int8_t>(),
                               part.at(3).get<bool>(), part.at(4).get<bool>()});
    }
    feature.ordered = json.at("ordered").get<bool>();
    for (const Json& qualifier : json.at("qualifiers")) {
      feature.qualifiers.emplace_back(qualifier.at(0).get<std::string>(), qualifier.at(1).get<std::string>());
    }
    feature.line = json.at("line").get<int64_t>();
    if (feature.parts.empty()) return damaged;
    bound_feature(&feature);
    return feature;
  } catch (const Json::exception&) {
    return damaged;
  }
}

}  // namespace strand
