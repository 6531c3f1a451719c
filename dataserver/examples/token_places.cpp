#include "dataserver/examples/token_places.h"

#include <algorithm>

#include "shared/base/check.h"
#include "shared/base/text.h"

namespace strand {

namespace {

constexpr size_t kWord = sizeof(uint64_t);

void put(uint64_t value, std::string* bytes) {
  for (size_t i = 0; i < kWord; ++i) *bytes += static_cast<char>(value >> (8 * i));
}

uint64_t take(std::string_view bytes, size_t word) {
  uint64_t value = 0;
  for (size_t i = 0; i < kWord; ++i) {
    value |= static_cast<uint64_t>(static_cast<unsigned char>(bytes[word * kWord + i])) << (8 * i);
  }
  return value;
}

}  // namespace

TokenPlaces TokenPlaces::of_kmers(const std::vector<BaseRun>& runs, int64_t k) {
  STRAND_CHECK(k >= 1, "k = ", k);
  TokenPlaces places;
  places.k_ = k;
  for (const BaseRun& run : runs) {
    places.tokens_.push_back(run.length() / k + run.length() % k);
    places.bases_.push_back(run.length());
  }
  return places;
}

Result<TokenPlaces> TokenPlaces::measure(CorpusReader* reader, const Tokenizer& tokenizer,
                                         const std::vector<BaseRun>& runs, const std::function<bool(double)>& go_on) {
  TokenPlaces places;
  std::string text;
  std::vector<int32_t> ids, piece;
  for (size_t r = 0; r < runs.size(); ++r) {
    STRAND_TRY(reader->read(runs[r], &text));
    ids.clear();
    tokenizer.encode(text, &ids);
    places.tokens_.push_back(static_cast<int64_t>(ids.size()));
    places.bases_.push_back(runs[r].length());
    places.first_mark_.push_back(places.marks_.size());
    for (size_t begin = 0, base = 0; begin < ids.size();) {
      const size_t end = std::min(begin + kEvery, ids.size());
      size_t length = 0;
      for (size_t i = begin; i < end; ++i) length += static_cast<size_t>(tokenizer.characters(ids[i]));
      piece.clear();
      tokenizer.encode(std::string_view(text).substr(base, length), &piece);
      if (!std::equal(piece.begin(), piece.end(), ids.begin() + static_cast<ptrdiff_t>(begin),
                      ids.begin() + static_cast<ptrdiff_t>(end)) ||
          (end == ids.size() && base + length != text.size())) {
        return bad_input(concat("data.packing: record '", reader->info().records[runs[r].record].name, "', base ",
                                runs[r].begin + static_cast<int64_t>(base),
                                ": a piece is encoded otherwise than within its run by this tokenizer; leave packing "
                                "out, or use another tokenizer"));
      }
      base += length;
      begin = end;
      if (begin < ids.size()) places.marks_.push_back(base);
    }
    if (!go_on(static_cast<double>(r + 1) / static_cast<double>(runs.size()))) {
      return Error(ErrorCode::kStopped, "stopped while the tokens of the training data were counted");
    }
  }
  return places;
}

std::string TokenPlaces::serialize() const {
  std::string bytes;
  for (const int64_t tokens : tokens_) put(static_cast<uint64_t>(tokens), &bytes);
  for (const int64_t bases : bases_) put(static_cast<uint64_t>(bases), &bytes);
  for (const uint64_t mark : marks_) put(mark, &bytes);
  return bytes;
}

Result<TokenPlaces> TokenPlaces::parse(std::string_view bytes, size_t runs) {
  const auto damaged = [] { return corrupt("the places of tokens are damaged; build the store again"); };
  const size_t words = bytes.size() / kWord;
  if (bytes.size() % kWord != 0 || words < 2 * runs) return damaged();
  TokenPlaces places;
  for (size_t i = 0; i < runs; ++i) places.tokens_.push_back(static_cast<int64_t>(take(bytes, i)));
  for (size_t i = 0; i < runs; ++i) places.bases_.push_back(static_cast<int64_t>(take(bytes, runs + i)));
  for (size_t i = 2 * runs; i < words; ++i) places.marks_.push_back(take(bytes, i));
  size_t marks = 0;
  for (size_t i = 0; i < runs; ++i) {
    if (places.tokens_[i] < 0 || places.bases_[i] < places.tokens_[i]) return damaged();
    places.first_mark_.push_back(marks);
    marks += static_cast<size_t>(std::max<int64_t>(0, places.tokens_[i] - 1) / kEvery);
  }
  if (marks != places.marks_.size()) return damaged();
  return places;
}

TokenPlaces::Place TokenPlaces::at_or_before(size_t run, int64_t token) const {
  if (token == tokens_[run]) return {token, bases_[run]};
  if (k_ > 0) {
    const int64_t whole = bases_[run] / k_;
    return {token, token <= whole ? token * k_ : whole * k_ + token - whole};
  }
  const int64_t mark = token / kEvery;
  if (mark == 0) return {};
  return {mark * kEvery, static_cast<int64_t>(marks_[first_mark_[run] + static_cast<size_t>(mark) - 1])};
}

TokenPlaces::Place TokenPlaces::at_or_after(size_t run, int64_t token) const {
  if (k_ > 0) return at_or_before(run, token);
  const int64_t mark = (token + kEvery - 1) / kEvery * kEvery;
  return at_or_before(run, std::min(mark, tokens_[run]));
}

}  // namespace strand
