#include "dataserver/examples/window_rows.h"

#include <algorithm>

#include "dataserver/corpus/alphabet.h"
#include "shared/base/check.h"

namespace strand {

namespace {

// Chunks are pinned for a group of windows, as many as these bounds allow, so that what is pinned stays small whatever
// the batch: 256 chunks, and those of one window.
constexpr size_t kMostWindowsAtOnce = 128;
constexpr int64_t kMostBasesAtOnce = 128 * kChunkBases;
// Windows lie anywhere: their packed bases are asked of memory this many rows before they are read.
constexpr size_t kFetchAhead = 4;

void fetch_ahead(std::span<const ChunkPiece> pieces) {
  constexpr uint32_t kLine = 64, kMostLines = 16;
  for (const ChunkPiece& piece : pieces) {
    const char* first = piece.chunk->packed.data() + piece.begin / 4;
    const uint32_t bytes = std::min(piece.count / 4 + 1, kLine * kMostLines);
    for (uint32_t at = 0; at < bytes; at += kLine) __builtin_prefetch(first + at);
  }
}

}  // namespace

std::optional<BaseTokens> base_tokens(const Tokenizer& tokenizer) {
  // The fingerprint is of everything that decides how text is encoded.
  if (tokenizer.fingerprint() != make_nucleotide_tokenizer()->fingerprint()) return std::nullopt;
  std::vector<int32_t> ids;
  tokenizer.encode(std::string_view(kBaseLetters.data(), kBaseLetters.size()), &ids);
  STRAND_CHECK(ids.size() == 4, "four bases became ", ids.size(), " tokens");
  std::array<uint16_t, 4> table{};
  std::ranges::transform(ids, table.begin(), [](int32_t id) { return static_cast<uint16_t>(id); });
  return BaseTokens(table);
}

WindowRows::WindowRows(CorpusReader* reader, const Tokenizer* tokenizer, RowStyle style)
    : reader_(reader), tokenizer_(tokenizer), style_(std::move(style)), base_tokens_(base_tokens(*tokenizer)) {}

Status WindowRows::fill(std::span<const StrandedWindow> windows, Scratch* scratch, uint16_t* tokens,
                        uint16_t* lengths) const {
  for (size_t begin = 0; begin < windows.size();) {
    scratch->runs.clear();
    int64_t bases = 0;
    size_t end = begin;
    while (end < windows.size() && end - begin < kMostWindowsAtOnce && bases < kMostBasesAtOnce) {
      scratch->runs.push_back(windows[end].run);
      bases += windows[end++].run.length();
    }
    STRAND_TRY(reader_->pin(scratch->runs, &scratch->pins));
    for (size_t i = begin; i < end; ++i) {
      if (i + kFetchAhead < end) fetch_ahead(scratch->pins.pieces(i + kFetchAhead - begin));
      const auto pieces = scratch->pins.pieces(i - begin);
      uint16_t* row = tokens + i * static_cast<size_t>(style_.segment);
      lengths[i] =
          base_tokens_ ? put_bases(windows[i], pieces, scratch, row) : put_encoded(windows[i], pieces, scratch, row);
    }
    begin = end;
  }
  return {};
}

// A row's tokens are the window's first bases as read, whichever strand.
uint16_t WindowRows::put_bases(const StrandedWindow& window, std::span<const ChunkPiece> pieces, Scratch* scratch,
                               uint16_t* row) const {
  const auto bases = static_cast<size_t>(window.run.length());
  const size_t room = static_cast<size_t>(style_.room()), prefix = style_.frame.prefix.size();
  const size_t length = std::min(bases, room);
  scratch->cut_tokens += bases - length;
  uint16_t* at = row + prefix;
  size_t left = length;
  for (size_t i = 0; i < pieces.size() && left > 0; ++i) {
    ChunkPiece piece = window.reverse_complement ? pieces[pieces.size() - 1 - i] : pieces[i];
    const auto take = static_cast<uint32_t>(std::min<size_t>(left, piece.count));
    if (window.reverse_complement) {
      base_tokens_->put_reverse_complement(*piece.chunk, piece.begin + piece.count - take, take, at);
    } else {
      base_tokens_->put(*piece.chunk, piece.begin, take, at);
    }
    at += take;
    left -= take;
  }
  return finish_row(style_, length, row);
}

uint16_t WindowRows::put_encoded(const StrandedWindow& window, std::span<const ChunkPiece> pieces, Scratch* scratch,
                                 uint16_t* row) const {
  scratch->bases.resize(static_cast<size_t>(window.run.length()));
  char* at = scratch->bases.data();
  for (const ChunkPiece& piece : pieces) {
    unpack_bases(*piece.chunk, piece.begin, piece.count, at);
    at += piece.count;
  }
  if (window.reverse_complement) reverse_complement(&scratch->bases);
  scratch->ids.clear();
  tokenizer_->encode(scratch->bases, &scratch->ids);
  const size_t length = std::min(scratch->ids.size(), static_cast<size_t>(style_.room()));
  scratch->cut_tokens += scratch->ids.size() - length;
  return put_row<int32_t>(style_, std::span(scratch->ids).first(length), row);
}

}  // namespace strand
