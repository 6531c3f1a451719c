#include "dataserver/corpus/corpus_info.h"

#include "shared/base/text.h"
#include "shared/formats/json.h"

namespace strand {

namespace {

Json digest_to_json(const Digest128& digest) {
  return Json::array({digest.high, digest.low});
}
Digest128 digest_from_json(const Json& json) {
  return {json.at(0).get<uint64_t>(), json.at(1).get<uint64_t>()};
}

Json record_to_json(const RecordInfo& record) {
  Json other = Json::array();
  for (const BaseRun& run : record.other) other.push_back(Json::array({run.begin, run.end}));
  return {{"name", record.name},
          {"file", record.file},
          {"bases", record.bases},
          {"lower_case", record.lower_case},
          {"other", std::move(other)}};
}

RecordInfo record_from_json(const Json& json, uint64_t index) {
  RecordInfo record;
  record.name = json.at("name").get<std::string>();
  record.file = json.at("file").get<uint64_t>();
  record.bases = json.at("bases").get<int64_t>();
  record.lower_case = json.at("lower_case").get<int64_t>();
  for (const Json& run : json.at("other")) {
    record.other.push_back({index, run.at(0).get<int64_t>(), run.at(1).get<int64_t>()});
  }
  return record;
}

bool sound(const CorpusInfo& info) {
  int64_t bases = 0;
  for (const RecordInfo& record : info.records) {
    int64_t end = 0;
    for (const BaseRun& run : record.other) {
      if (run.begin < end || run.end <= run.begin) return false;
      end = run.end;
    }
    if (record.bases <= 0 || end > record.bases || record.file >= info.files.size()) return false;
    bases += record.bases;
  }
  return bases == info.bases && info.files.size() == info.identities.size() && !info.records.empty();
}

}  // namespace

std::string corpus_id(const std::vector<FileIdentity>& identities) {
  Hasher128 hasher;
  for (const FileIdentity& identity : identities) {
    hasher.update_u64(identity.bytes);
    hasher.update_u64(identity.hash.high);
    hasher.update_u64(identity.hash.low);
  }
  return hasher.digest().hex();
}

std::string corpus_info_to_json(const CorpusInfo& info) {
  Json json;
  json["id"] = info.id;
  json["content"] = digest_to_json(info.content);
  json["bases"] = info.bases;
  json["counts"] = Json(std::vector<int64_t>(info.counts, info.counts + 5));
  json["files"] = Json::array();
  for (size_t i = 0; i < info.files.size(); ++i) {
    json["files"].push_back({{"path", info.files[i]},
                             {"bytes", info.identities[i].bytes},
                             {"hash", digest_to_json(info.identities[i].hash)}});
  }
  json["records"] = Json::array();
  for (const RecordInfo& record : info.records) json["records"].push_back(record_to_json(record));
  return dump_json(json);
}

Result<CorpusInfo> corpus_info_from_json(std::string_view text, const std::string& origin) {
  STRAND_ASSIGN(const Json json, parse_json(text, origin));
  const Error damaged = corrupt(concat(origin, ": the description of a genome is damaged; build the store again"));
  try {
    CorpusInfo info;
    info.id = json.at("id").get<std::string>();
    info.content = digest_from_json(json.at("content"));
    info.bases = json.at("bases").get<int64_t>();
    for (size_t i = 0; i < 5; ++i) info.counts[i] = json.at("counts").at(i).get<int64_t>();
    for (const Json& file : json.at("files")) {
      info.files.push_back(file.at("path").get<std::string>());
      info.identities.push_back({file.at("bytes").get<uint64_t>(), digest_from_json(file.at("hash"))});
    }
    for (const Json& record : json.at("records")) {
      info.records.push_back(record_from_json(record, info.records.size()));
    }
    if (!sound(info)) return damaged;
    return info;
  } catch (const Json::exception&) {
    return damaged;
  }
}

}  // namespace strand
