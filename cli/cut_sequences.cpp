#include "cli/cut_sequences.h"

#include "shared/base/text.h"

namespace strand {

void CutSequences::add(const std::string& name, size_t kept, size_t tokens) {
  if (count_++ == 0) first_ = concat(name, " keeps ", kept, " of ", tokens, " tokens");
  left_out_ += static_cast<int64_t>(tokens - kept);
}

std::string CutSequences::note(const std::string& place) const {
  if (count_ == 0) return "";
  return concat(sequences_were(count_, "cut at " + place), ", ", with_thousands(left_out_), " tokens left out (",
                first_, count_ > 1 ? ", and so on)" : ")");
}

std::string sequences_were(int64_t count, const std::string& what) {
  return concat(count, count == 1 ? " sequence was " : " sequences were ", what);
}

}  // namespace strand
