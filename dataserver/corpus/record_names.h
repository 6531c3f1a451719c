// Records by the names that people give them.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "dataserver/corpus/corpus_info.h"
#include "shared/base/result.h"

namespace strand {

// A record of a data set joined from sources is "source/record", or "record" where only one source has it.
class RecordNames {
 public:
  // `info` must outlive this.
  explicit RecordNames(const CorpusInfo& info);
  // kBadInput, without a place: no record of this name, with the nearest one; or a name that several sources have.
  Result<uint64_t> find(const std::string& name) const;

 private:
  const CorpusInfo& info_;
  std::map<std::string, uint64_t> full_;
  std::multimap<std::string, uint64_t> bare_;  // of a joined data set
};

}  // namespace strand
