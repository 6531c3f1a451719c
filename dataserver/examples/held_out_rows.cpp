#include "dataserver/examples/held_out_rows.h"

#include <algorithm>
#include <cstring>
#include <memory>

#include "dataserver/sampler/sampler.h"
#include "shared/base/check.h"
#include "shared/base/text.h"

namespace strand {

namespace {

// In the store: under key + "tokens" and the piece's number, 2 bytes a token, little-endian; under key + "index",
// written last, three numbers for each run.
constexpr size_t kPieceTokens = 8192;

std::string piece_key(const KeptTokens& kept, uint64_t piece) {
  return big_endian_key(kept.key + "tokens", piece);
}
std::string index_key(const KeptTokens& kept) {
  return kept.key + "index";
}

}  // namespace

// Takes tokens in order, into the store piece by piece or into memory.
class HeldOutRows::Collector {
 public:
  Collector(HeldOutRows* rows, std::unique_ptr<Store::BulkWriter> writer) : rows_(rows), writer_(std::move(writer)) {}

  Status add(const std::vector<int32_t>& ids) {
    for (const int32_t id : ids) rows_->tokens_.push_back(static_cast<uint16_t>(id));
    return writer_ != nullptr ? flush(kPieceTokens) : Status();
  }
  Status finish() {
    if (writer_ == nullptr) return {};
    STRAND_TRY(flush(1));
    STRAND_TRY(writer_->finish());
    rows_->tokens_ = {};
    return rows_->remember();
  }

 private:
  // Writes whole pieces, and the rest when it has at least `least` tokens.
  Status flush(size_t least) {
    std::vector<uint16_t>& tokens = rows_->tokens_;
    size_t done = 0;
    while (tokens.size() - done >= least) {
      const size_t count = std::min(kPieceTokens, tokens.size() - done);
      const auto* bytes = reinterpret_cast<const char*>(tokens.data() + done);
      STRAND_TRY(writer_->put(piece_key(rows_->kept_, piece_++), {bytes, count * sizeof(uint16_t)}));
      done += count;
    }
    tokens.erase(tokens.begin(), tokens.begin() + static_cast<ptrdiff_t>(done));
    return {};
  }

  HeldOutRows* rows_;
  std::unique_ptr<Store::BulkWriter> writer_;
  uint64_t piece_ = 0;
};

Result<HeldOutRows> HeldOutRows::make(CorpusReader* reader, const Tokenizer& tokenizer,
                                      const std::vector<BaseRun>& runs, const RowStyle& style, const KeptTokens& kept) {
  HeldOutRows rows;
  rows.style_ = style;
  rows.kept_ = kept;
  STRAND_CHECK(style.room() > static_cast<int64_t>(rows.overlap()), "room for ", style.room(), " tokens");
  STRAND_ASSIGN(rows.in_store_, rows.load());
  if (rows.in_store_ && rows.streams_.size() != runs.size()) {
    return corrupt(concat("the store's held-out tokens are of ", rows.streams_.size(), " runs, expected ", runs.size(),
                          "; build the store again"));
  }
  if (!rows.in_store_) STRAND_TRY(rows.tokenise(reader, tokenizer, runs));
  rows.lay_out();
  return rows;
}

Status HeldOutRows::tokenise(CorpusReader* reader, const Tokenizer& tokenizer, const std::vector<BaseRun>& runs) {
  std::unique_ptr<Store::BulkWriter> writer;
  if (kept_.store != nullptr && kept_.may_write && !runs.empty()) {
    STRAND_ASSIGN(writer, kept_.store->bulk_writer());
    in_store_ = true;
  }
  Collector collector(this, std::move(writer));
  std::string bases;
  std::vector<int32_t> ids;
  for (const BaseRun& run : runs) {
    STRAND_TRY(reader->read(run, &bases));
    ids.clear();
    tokenizer.encode(bases, &ids);
    Stream& stream = streams_.emplace_back();
    stream.tokens = ids.size();
    for (const int32_t id : ids) stream.bases += static_cast<uint64_t>(tokenizer.characters(id));
    if (!ids.empty()) stream.first_bases = static_cast<uint64_t>(tokenizer.characters(ids[0]));
    STRAND_TRY(collector.add(ids));
  }
  return collector.finish();
}

Result<bool> HeldOutRows::load() {
  if (kept_.store == nullptr) return false;
  const auto index = kept_.store->get(index_key(kept_));
  if (!index.ok()) {
    if (index.error().code() == ErrorCode::kNotFound) return false;
    return index.error();
  }
  if (index->size() % 24 != 0) return corrupt("the store's index of held-out tokens is damaged; build the store again");
  for (size_t at = 0; at < index->size(); at += 24) {
    const auto number = [&](size_t i) { return parse_big_endian(std::string_view(*index).substr(at + 8 * i, 8)); };
    streams_.push_back({number(0), number(1), number(2)});
  }
  return true;
}

Status HeldOutRows::remember() const {
  std::string index;
  for (const Stream& stream : streams_) {
    for (const uint64_t number : {stream.tokens, stream.bases, stream.first_bases}) index += big_endian_key("", number);
  }
  StoreBatch batch;
  batch.put(index_key(kept_), std::move(index));
  return kept_.store->write(batch);
}

void HeldOutRows::lay_out() {
  const uint64_t per_row = static_cast<uint64_t>(style_.room()) - overlap();
  uint64_t begin = 0;
  for (const Stream& stream : streams_) {
    if (stream.tokens > overlap()) {
      target_bases_ += static_cast<int64_t>(stream.bases - (overlap() == 1 ? stream.first_bases : 0));
      const uint64_t targets = stream.tokens - overlap();
      begin_.push_back(begin);
      length_.push_back(stream.tokens);
      first_row_.push_back(first_row_.back() + (targets + per_row - 1) / per_row);
    }
    begin += stream.tokens;
  }
}

Status HeldOutRows::read(uint64_t begin, size_t count, std::vector<uint16_t>* out) const {
  if (!in_store_) {
    const auto from = tokens_.begin() + static_cast<ptrdiff_t>(begin);
    out->assign(from, from + static_cast<ptrdiff_t>(count));
    return {};
  }
  out->resize(count);
  for (size_t done = 0; done < count;) {
    const uint64_t piece = (begin + done) / kPieceTokens;
    const size_t offset = (begin + done) % kPieceTokens, take = std::min(count - done, kPieceTokens - offset);
    const auto bytes = kept_.store->get(piece_key(kept_, piece));
    if (!bytes.ok() || bytes->size() < (offset + take) * sizeof(uint16_t)) {
      return corrupt(concat("piece ", piece, " of the held-out tokens: ",
                            bytes.ok() ? "it is too short" : bytes.error().message(), "; build the store again"));
    }
    std::memcpy(out->data() + done, bytes->data() + offset * sizeof(uint16_t), take * sizeof(uint16_t));
    done += take;
  }
  return {};
}

Result<uint16_t> HeldOutRows::row(uint64_t index, uint16_t* tokens) const {
  const uint64_t at = held_out_row(size(), index);
  const auto after = std::upper_bound(first_row_.begin(), first_row_.end(), at);
  const auto stream = static_cast<size_t>(after - first_row_.begin()) - 1;
  const auto room = static_cast<size_t>(style_.room());
  const uint64_t begin = (at - first_row_[stream]) * (room - overlap());
  std::vector<uint16_t> ids;
  STRAND_TRY(read(begin_[stream] + begin, std::min<uint64_t>(length_[stream] - begin, room), &ids));
  return put_row<uint16_t>(style_, ids, tokens);
}

}  // namespace strand
