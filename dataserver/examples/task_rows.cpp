#include "dataserver/examples/task_rows.h"

#include <algorithm>

#include "shared/base/text.h"
#include "shared/wire/messages.h"

namespace strand {

namespace {

bool is_base(char letter) {
  return letter == 'A' || letter == 'C' || letter == 'G' || letter == 'T';
}

// The class most of [begin, end) have; of equally common ones the first.
uint16_t commonest(const uint16_t* begin, const uint16_t* end) {
  uint16_t best = *begin;
  ptrdiff_t most = 0;
  for (const uint16_t* at = begin; at != end; ++at) {
    const ptrdiff_t count = std::count(begin, end, *at);
    if (count > most) best = *at;
    most = std::max(most, count);
  }
  return best;
}

}  // namespace

Result<size_t> TaskEncoder::encode(std::string_view sequence, std::vector<int32_t>* ids) const {
  const auto room = static_cast<size_t>(style_.room());
  ids->clear();
  tokenizer_->encode(text_.empty() ? sequence : with_text(sequence), ids);
  const size_t uncut = ids->size();
  if (uncut <= room) return uncut;
  if (text_.empty()) {
    ids->resize(room);
    return uncut;
  }
  std::vector<int32_t> tried;
  const auto fits = [&](size_t bases) {
    tried.clear();
    tokenizer_->encode(with_text(sequence.substr(0, bases)), &tried);
    return tried.size() <= room;
  };
  if (!fits(1)) {
    return bad_input(concat("task.prefix and task.suffix with one base take ", tried.size(), " tokens of ", room,
                            " in a row: shorten them or lengthen data.segment"));
  }
  *ids = tried;
  size_t kept = 1, too_many = sequence.size();
  while (kept + 1 < too_many) {
    const size_t middle = kept + (too_many - kept) / 2;
    if (fits(middle)) {
      kept = middle;
      *ids = tried;
    } else {
      too_many = middle;
    }
  }
  return uncut;
}

Status classes_of_tokens(const Tokenizer& tokenizer, const std::vector<int32_t>& ids, std::string_view letters,
                         const std::vector<uint16_t>& classes, uint16_t* targets) {
  const int32_t unknown = tokenizer.specials().unknown;
  size_t at = 0;
  for (size_t i = 0; i < ids.size(); ++i) {
    const auto spelled = static_cast<size_t>(tokenizer.characters(ids[i]));
    size_t end = std::min(at + spelled, letters.size());
    targets[i] = kNoTarget;
    if (ids[i] == unknown && spelled == 0) {
      // One letter that is no base or, when no other unknown token follows, all of a run of them.
      const bool last = i + 1 == ids.size() || ids[i + 1] != unknown;
      end = std::min(at + 1, letters.size());
      while (last && end < letters.size() && !is_base(letters[end])) ++end;
    } else if (end > at) {
      targets[i] = commonest(classes.data() + at, classes.data() + end);
    }
    if (end < at + std::max<size_t>(spelled, 1)) {
      return bad_input(concat("kind = \"classify-tokens\": ", ids.size(), " tokens spell more than the sequence's ",
                              letters.size(), " bases; use a tokenizer whose tokens are pieces of the sequence"));
    }
    at = end;
  }
  return {};
}

}  // namespace strand
