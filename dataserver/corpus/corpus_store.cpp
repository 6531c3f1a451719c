#include "dataserver/corpus/corpus_store.h"

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <thread>

#include "dataserver/corpus/content.h"
#include "dataserver/corpus/feature_store.h"
#include "dataserver/corpus/file_ahead.h"
#include "dataserver/corpus/known_files.h"
#include "shared/base/text.h"

namespace strand {

namespace {

constexpr const char* kVersionKey = "version";
constexpr const char* kCorpusPrefix = "corpus/";

// What has been read of files that nobody has taken yet, of each.
constexpr uint64_t kAheadBytes = uint64_t{32} << 20;
constexpr size_t kMostFilesAhead = 16;

// Takes the files' records in order into the store. Keys rise because records and chunks are numbered in that order.
class Builder {
 public:
  Builder(Store::BulkWriter* writer, FeatureCollector* features, CorpusInfo* info)
      : writer_(writer), features_(features), info_(info) {}

  void begin_file(uint64_t file) {
    file_ = file;
    features_->begin_file(info_->records.size());
  }

  Status take(RecordBegins record) {
    const std::string place =
        record.line > 0 ? concat(info_->files[file_], ": line ", record.line) : info_->files[file_];
    const auto [first, fresh] = names_.emplace(record.name, place);
    if (!fresh) {
      return bad_input(concat(place, ": record name '", record.name, "' comes twice; it was first used at ",
                              first->second, ": names within a data set must differ, so rename or remove one"));
    }
    content_.begin_record(record.name);
    info_->records.emplace_back();
    info_->records.back().name = std::move(record.name);
    info_->records.back().file = file_;
    chunk_ = 0;
    return {};
  }

  Status take(const Chunk& chunk) {
    const uint64_t index = info_->records.size() - 1;
    RecordInfo& record = info_->records.back();
    for (const LetterRun& run : chunk.other) {
      const int64_t begin = record.bases + run.begin;
      if (!record.other.empty() && record.other.back().end == begin) {
        record.other.back().end += run.length;
      } else {
        record.other.push_back({index, begin, begin + run.length});
      }
    }
    for (const LetterRun& run : chunk.mask) record.lower_case += run.length;
    content_.bases(unpack_upper(chunk));
    STRAND_TRY(writer_->put(chunk_key(info_->id, index, chunk_), encode_chunk(chunk)));
    record.bases += chunk.bases;
    ++chunk_;
    return {};
  }

  Status take(RecordEnds) {
    content_.end_record(info_->records.back().bases);
    return {};
  }

  Status take(Feature feature) { return features_->feature(std::move(feature)); }

  void finish() {
    info_->content = content_.digest();
    content_.counts(info_->counts);
    for (const RecordInfo& record : info_->records) info_->bases += record.bases;
  }

 private:
  Store::BulkWriter* writer_;
  FeatureCollector* features_;
  CorpusInfo* info_;
  ContentHash content_;
  std::map<std::string, std::string> names_;  // and where they were first seen
  uint64_t file_ = 0;
  uint64_t chunk_ = 0;
};

// The files in order, while those behind are read already, each on a thread of its own.
Status read_files(const CorpusInfo& info, Builder* builder, const Progress& progress) {
  const size_t at_once = std::clamp<size_t>(std::thread::hardware_concurrency(), 1, kMostFilesAhead);
  uint64_t bytes_total = 0, bytes_done = 0;
  for (const FileIdentity& identity : info.identities) bytes_total += identity.bytes;
  std::deque<std::unique_ptr<FileAhead>> ahead;
  size_t begun = 0;
  for (uint64_t i = 0; i < info.files.size(); ++i) {
    for (; begun < info.files.size() && begun < i + at_once; ++begun) {
      ahead.push_back(std::make_unique<FileAhead>(info.files[begun], kAheadBytes));
    }
    builder->begin_file(i);
    FileAhead& file = *ahead.front();
    const uint64_t bytes = info.identities[i].bytes;
    while (true) {
      STRAND_ASSIGN(auto event, file.next());
      if (!event) break;
      STRAND_TRY(std::visit([&](auto& taken) { return builder->take(std::move(taken)); }, *event));
      const double done = static_cast<double>(bytes_done) + file.share() * static_cast<double>(bytes);
      if (!progress(done / static_cast<double>(std::max<uint64_t>(bytes_total, 1)))) {
        return Error(ErrorCode::kStopped, concat("stopped while reading ", info.files[i]));
      }
    }
    bytes_done += bytes;
    ahead.pop_front();
  }
  if (!progress(1)) return Error(ErrorCode::kStopped, "stopped when all files had been read");
  return {};
}

Result<std::optional<CorpusInfo>> load_corpus(Store* store, const std::string& id) {
  const std::string key = kCorpusPrefix + id;
  auto text = store->get(key);
  if (!text.ok()) {
    if (text.error().code() == ErrorCode::kNotFound) return std::optional<CorpusInfo>();
    return text.error();
  }
  STRAND_ASSIGN(CorpusInfo info, corpus_info_from_json(*text, key));
  return std::optional<CorpusInfo>(std::move(info));
}

// Files, identities and id filled in.
Result<CorpusInfo> identify(Store* store, const std::vector<std::string>& files, bool remember) {
  if (files.empty()) return bad_input("data.files is empty; give at least one file of sequences");
  CorpusInfo info;
  info.files = files;
  for (const std::string& file : files) {
    STRAND_ASSIGN(const FileIdentity identity, identify_known_file(store, file, remember));
    info.identities.push_back(identity);
  }
  info.id = corpus_id(info.identities);
  return info;
}

}  // namespace

std::string chunk_key(const std::string& corpus_id, uint64_t record, uint64_t chunk) {
  return big_endian_key(big_endian_key(concat("bases/", corpus_id, "/"), record), chunk);
}

Result<std::unique_ptr<Store>> open_data_store(const std::string& directory, bool read_only) {
  StoreOptions options;
  options.read_only = read_only;
  options.create_if_missing = !read_only;
  STRAND_ASSIGN(auto store, open_rocks_store(directory, options));
  const auto version = store->get(kVersionKey);
  if (version.ok()) {
    const std::string& found = *version;
    const bool number = !found.empty() && found.size() <= 9 && found.find_first_not_of("0123456789") == found.npos;
    if (!number) return corrupt(concat(directory, ": the store's version '", found, "' is no number; build it again"));
    if (std::stoll(found) > kStoreVersion) {
      return bad_input(concat(directory, ": this store was made by a newer Strand (store version ", found,
                              "), and this one reads up to version ", kStoreVersion,
                              ": use the newer program, or build the data into another directory"));
    }
    return store;
  }
  if (version.error().code() != ErrorCode::kNotFound) return version.error();
  if (read_only) return not_found(concat(directory, ": no data store; make one with 'strand data build'"));
  StoreBatch batch;
  batch.put(kVersionKey, concat(kStoreVersion));
  STRAND_TRY(store->write(batch));
  return store;
}

Result<CorpusInfo> find_corpus(Store* store, const std::vector<std::string>& files) {
  STRAND_ASSIGN(const CorpusInfo wanted, identify(store, files, false));
  STRAND_ASSIGN(auto found, load_corpus(store, wanted.id));
  if (!found) {
    return not_found(concat("the store does not hold ", join(files, ", "), "; build it with 'strand data build'"));
  }
  return *std::move(found);
}

Result<CorpusInfo> build_corpus(Store* store, const std::vector<std::string>& files, const Progress& progress) {
  STRAND_ASSIGN(CorpusInfo info, identify(store, files, true));
  STRAND_ASSIGN(auto found, load_corpus(store, info.id));
  if (found) return *std::move(found);

  STRAND_ASSIGN(const auto writer, store->bulk_writer());
  FeatureCollector features(store, info.id, info.id, files.front());
  Builder builder(writer.get(), &features, &info);
  STRAND_TRY(read_files(info, &builder, progress));
  builder.finish();
  STRAND_TRY(writer->finish());
  StoreBatch batch;
  STRAND_TRY(features.finish(&batch));
  batch.put(kCorpusPrefix + info.id, corpus_info_to_json(info));
  STRAND_TRY(store->write(batch));
  return info;
}

Result<std::vector<CorpusInfo>> list_corpora(Store* store) {
  std::vector<CorpusInfo> corpora;
  std::optional<Error> failure;
  STRAND_TRY(store->scan(kCorpusPrefix, [&](std::string_view key, std::string_view value) {
    auto info = corpus_info_from_json(value, std::string(key));
    if (!info.ok()) {
      failure = info.error();
      return false;
    }
    corpora.push_back(std::move(info).value());
    return true;
  }));
  if (failure) return *failure;
  return corpora;
}

Status verify_corpus(Store* store, const CorpusInfo& info, const Progress& progress) {
  ContentHash content;
  int64_t done = 0;
  for (uint64_t record = 0; record < info.records.size(); ++record) {
    content.begin_record(info.records[record].name);
    int64_t bases = 0;
    for (uint64_t chunk = 0; bases < info.records[record].bases; ++chunk) {
      STRAND_ASSIGN(const std::string value, store->get(chunk_key(info.id, record, chunk)));
      STRAND_ASSIGN(const Chunk decoded, decode_chunk(value));
      if (decoded.bases == 0) return corrupt(concat("record '", info.records[record].name, "': an empty chunk"));
      content.bases(unpack_upper(decoded));
      bases += decoded.bases;
      done += decoded.bases;
      if (!progress(static_cast<double>(done) / static_cast<double>(std::max<int64_t>(1, info.bases)))) {
        return Error(ErrorCode::kStopped, concat("stopped while reading genome ", info.id));
      }
    }
    if (bases != info.records[record].bases) {
      return corrupt(concat("record '", info.records[record].name, "': expected ", info.records[record].bases,
                            " bases, found ", bases, "; build the store again"));
    }
    content.end_record(bases);
  }
  if (content.digest() != info.content) {
    return corrupt(concat("content hash: expected ", info.content.hex(), ", found ", content.digest().hex(),
                          "; build the store again"));
  }
  return {};
}

}  // namespace strand
