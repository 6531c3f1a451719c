#include "dataserver/corpus/record_names.h"

#include <vector>

#include "shared/base/text.h"

namespace strand {

RecordNames::RecordNames(const CorpusInfo& info) : info_(info) {
  for (uint64_t i = 0; i < info.records.size(); ++i) {
    const std::string& name = info.records[i].name;
    full_[name] = i;
    if (!info.parts.empty()) bare_.emplace(name.substr(name.find('/') + 1), i);
  }
}

Result<uint64_t> RecordNames::find(const std::string& name) const {
  if (const auto found = full_.find(name); found != full_.end()) return found->second;
  const auto [begin, end] = bare_.equal_range(name);
  if (begin != end && std::next(begin) == end) return begin->second;
  if (begin != end) {
    return bad_input(concat("several sources have a record '", name, "'; name one, as in '",
                            info_.records[begin->second].name, "'"));
  }
  std::vector<std::string> known;
  for (const auto& [record, index] : full_) known.push_back(record);
  for (const auto& [record, index] : bare_) known.push_back(record);
  const std::string near = nearest_name(name, known);
  return bad_input(concat(
      "no record is named '", name, "'; ",
      near.empty() ? concat("the first record is '", known.front(), "'") : concat("did you mean '", near, "'?")));
}

}  // namespace strand
