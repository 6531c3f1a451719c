#include "dataserver/examples/packed_rows.h"

#include <algorithm>

#include "dataserver/corpus/alphabet.h"
#include "shared/base/check.h"

namespace strand {

int32_t separator_of(const Tokenizer& tokenizer) {
  const SpecialTokens specials = tokenizer.specials();
  for (const int32_t id : {specials.sep, specials.eos, specials.bos, specials.cls}) {
    if (id >= 0) return id;
  }
  return -1;
}

PackedRows::PackedRows(CorpusReader* reader, const Tokenizer* tokenizer, std::vector<BaseRun> runs, TokenPlaces places,
                       const std::vector<uint64_t>& first_records, RowStyle style, int32_t separator)
    : reader_(reader),
      tokenizer_(tokenizer),
      runs_(std::move(runs)),
      places_(std::move(places)),
      style_(std::move(style)),
      separator_(separator) {
  STRAND_CHECK(style_.room() >= 1 && separator >= 0 && !first_records.empty(), "room ", style_.room(), " separator ",
               separator);
  first_.push_back(0);
  for (size_t run = 0; run < runs_.size(); ++run) {
    first_.push_back(first_.back() + static_cast<uint64_t>(places_.tokens(run)) + 1);
  }
  for (const uint64_t record : first_records) {
    const auto first = std::lower_bound(runs_.begin(), runs_.end(), record,
                                        [](const BaseRun& run, uint64_t r) { return run.record < r; });
    first_run_.push_back(static_cast<size_t>(first - runs_.begin()));
  }
  first_run_.push_back(runs_.size());
  const auto room = static_cast<uint64_t>(style_.room());
  for (size_t part = 0; part + 1 < first_run_.size(); ++part) {
    rows_.push_back((first_[first_run_[part + 1]] - first_[first_run_[part]] + room - 1) / room);
  }
}

std::vector<PackedRows::Piece> PackedRows::pieces_of(uint64_t index) const {
  size_t part = 0;
  while (part < rows_.size() && index >= rows_[part]) index -= rows_[part++];
  STRAND_CHECK(part < rows_.size(), "a packed row that is not there, ", index, " beyond the last");
  const auto room = static_cast<uint64_t>(style_.room());
  const uint64_t begin = first_[first_run_[part]] + index * room;
  const uint64_t end = std::min(begin + room, first_[first_run_[part + 1]]);
  std::vector<Piece> pieces;
  const auto after = std::upper_bound(first_.begin(), first_.end(), begin);
  for (auto run = static_cast<size_t>(after - first_.begin()) - 1; run < runs_.size() && first_[run] < end; ++run) {
    const uint64_t from = std::max(begin, first_[run]), to = std::min(end, first_[run + 1]);
    pieces.push_back({run, static_cast<int64_t>(from - first_[run]), static_cast<int64_t>(to - first_[run])});
  }
  return pieces;
}

// Appends the piece's tokens to scratch->ids.
Status PackedRows::add_piece(const Piece& piece, bool other_strand, Scratch* scratch) const {
  const int64_t tokens = std::min(piece.end, places_.tokens(piece.run));
  const bool ends = piece.end > tokens;
  if (other_strand && ends) scratch->ids.push_back(separator_);
  if (piece.begin < tokens) {
    const BaseRun& run = runs_[piece.run];
    const TokenPlaces::Place from = places_.at_or_before(piece.run, piece.begin);
    const TokenPlaces::Place to = places_.at_or_after(piece.run, tokens);
    STRAND_TRY(reader_->read({run.record, run.begin + from.base, run.begin + to.base}, &scratch->bases));
    scratch->piece.clear();
    tokenizer_->encode(scratch->bases, &scratch->piece);
    STRAND_CHECK(static_cast<int64_t>(scratch->piece.size()) == to.token - from.token, "tokens ", from.token, " to ",
                 to.token, " of run ", piece.run, " are ", scratch->piece.size());
    const auto begin = scratch->piece.begin() + (piece.begin - from.token);
    const auto end = scratch->piece.begin() + (tokens - from.token);
    if (!other_strand) {
      scratch->ids.insert(scratch->ids.end(), begin, end);
    } else {
      size_t skipped = 0, length = 0;
      for (auto id = scratch->piece.begin(); id != end; ++id) {
        (id < begin ? skipped : length) += static_cast<size_t>(tokenizer_->characters(*id));
      }
      std::string turned = scratch->bases.substr(skipped, length);
      reverse_complement(&turned);
      tokenizer_->encode(turned, &scratch->ids);
    }
  }
  if (!other_strand && ends) scratch->ids.push_back(separator_);
  return {};
}

Result<uint16_t> PackedRows::row(uint64_t index, bool other_strand, Scratch* scratch, uint16_t* tokens) const {
  std::vector<Piece> pieces = pieces_of(index);
  if (other_strand) std::reverse(pieces.begin(), pieces.end());
  scratch->ids.clear();
  for (const Piece& piece : pieces) STRAND_TRY(add_piece(piece, other_strand, scratch));
  const size_t length = std::min(scratch->ids.size(), static_cast<size_t>(style_.room()));
  scratch->cut_tokens += scratch->ids.size() - length;
  return put_row<int32_t>(style_, std::span(scratch->ids).first(length), tokens);
}

}  // namespace strand
