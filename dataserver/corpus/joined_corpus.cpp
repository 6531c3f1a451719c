#include "dataserver/corpus/joined_corpus.h"

#include <algorithm>
#include <functional>

#include "dataserver/corpus/corpus_store.h"
#include "shared/base/text.h"

namespace strand {

namespace {

const CorpusPart& part_of(const CorpusInfo& info, uint64_t record) {
  const auto after = std::upper_bound(info.parts.begin(), info.parts.end(), record,
                                      [](uint64_t r, const CorpusPart& part) { return r < part.first_record; });
  return *(after - 1);
}

using Open = std::function<Result<CorpusInfo>(const std::vector<std::string>& files, size_t source)>;

Result<CorpusInfo> joined_data(const DataSpec& data, const Open& open) {
  if (data.sources.empty()) return open(data.files, 0);
  std::vector<NamedCorpus> corpora;
  for (size_t i = 0; i < data.sources.size(); ++i) {
    auto info = open(data.sources[i].files, i);
    if (!info.ok()) return info.error().with_context(concat("source ", data.sources[i].name));
    corpora.push_back({data.sources[i].name, std::move(info).value()});
  }
  return join_corpora(corpora);
}

}  // namespace

CorpusInfo join_corpora(const std::vector<NamedCorpus>& corpora) {
  CorpusInfo joined;
  Hasher128 content, id;
  for (const auto& [name, info] : corpora) {
    joined.parts.push_back({name, info.id, joined.records.size(), joined.files.size()});
    for (RecordInfo record : info.records) {
      record.name = concat(name, "/", record.name);
      record.file += joined.files.size();
      for (BaseRun& run : record.other) run.record = joined.records.size();
      joined.records.push_back(std::move(record));
    }
    joined.files.insert(joined.files.end(), info.files.begin(), info.files.end());
    joined.identities.insert(joined.identities.end(), info.identities.begin(), info.identities.end());
    joined.bases += info.bases;
    for (size_t letter = 0; letter < std::size(info.counts); ++letter) joined.counts[letter] += info.counts[letter];
    content.update_text(name);
    content.update_u64(info.content.high);
    content.update_u64(info.content.low);
    id.update_text(name);
    id.update_text(info.id);
  }
  joined.content = content.digest();
  joined.id = id.digest().hex();
  return joined;
}

std::string stored_chunk_key(const CorpusInfo& info, uint64_t record, uint64_t chunk) {
  if (info.parts.empty()) return chunk_key(info.id, record, chunk);
  const CorpusPart& part = part_of(info, record);
  return chunk_key(part.id, record - part.first_record, chunk);
}

Result<CorpusInfo> build_data(Store* store, const DataSpec& data, const Progress& progress) {
  const auto parts = static_cast<double>(std::max<size_t>(1, data.sources.size()));
  return joined_data(data, [&](const std::vector<std::string>& files, size_t source) {
    return build_corpus(store, files,
                        [&](double done) { return progress((static_cast<double>(source) + done) / parts); });
  });
}

Result<CorpusInfo> find_data(Store* store, const DataSpec& data) {
  return joined_data(data, [&](const std::vector<std::string>& files, size_t) { return find_corpus(store, files); });
}

std::vector<std::string> stored_ids(const CorpusInfo& info) {
  if (info.parts.empty()) return {info.id};
  std::vector<std::string> ids;
  for (const CorpusPart& part : info.parts) ids.push_back(part.id);
  return ids;
}

}  // namespace strand
