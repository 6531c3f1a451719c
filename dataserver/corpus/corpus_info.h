// What the store knows about one genome data set, in the record that is written last and makes it visible.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "dataserver/corpus/genome_file.h"
#include "shared/base/hash.h"
#include "shared/base/result.h"

namespace strand {

// The layout of keys and values. A store made by a newer version is refused.
constexpr int64_t kStoreVersion = 1;

// Bases [begin, end) of a record, 0-based, half-open.
struct BaseRun {
  uint64_t record = 0;
  int64_t begin = 0;
  int64_t end = 0;
  int64_t length() const { return end - begin; }
  bool operator==(const BaseRun&) const = default;
};

struct RecordInfo {
  std::string name;
  uint64_t file = 0;  // index into the data set's files
  int64_t bases = 0;
  int64_t lower_case = 0;
  std::vector<BaseRun> other;  // maximal runs of letters that are not A C G T, in order
};

// A source within a data set joined from several (joined_corpus.h).
struct CorpusPart {
  std::string name;
  std::string id;  // of its own data set in the store
  uint64_t first_record = 0, first_file = 0;
};

struct CorpusInfo {
  std::string id;  // 32 digits, of the files as stored and their order: names this data set in the store
  std::vector<std::string> files;
  std::vector<FileIdentity> identities;
  std::vector<RecordInfo> records;
  Digest128 content;  // names, lengths and upper-case letters of all records, in order
  int64_t bases = 0;
  int64_t counts[5] = {};         // A, C, G, T, other
  std::vector<CorpusPart> parts;  // none but in a joined one, which is never stored
};

std::string corpus_id(const std::vector<FileIdentity>& identities);
std::string corpus_info_to_json(const CorpusInfo& info);
// kCorrupt for text that corpus_info_to_json cannot have written.
Result<CorpusInfo> corpus_info_from_json(std::string_view text, const std::string& origin);

}  // namespace strand
