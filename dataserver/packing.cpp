#include "dataserver/packing.h"

#include "shared/base/text.h"

namespace strand {

namespace {

Result<TokenPlaces> token_places(const DataHome& home, const TokenizerSpec& spec, const Tokenizer& tokenizer,
                                 CorpusReader* reader, const Split& split, const std::string& split_text,
                                 const Progress& go_on) {
  if (spec.kind == TokenizerKind::kNucleotide) return TokenPlaces::of_kmers(split.training, 1);
  if (spec.kind == TokenizerKind::kKmer) return TokenPlaces::of_kmers(split.training, spec.k);
  const std::string of = concat(reader->info().content.hex(), " ", split_text, " ", tokenizer.fingerprint().hex(), " ",
                                TokenPlaces::kEvery);
  const std::string key = concat("derived/packing/", hash128(of).hex());
  const auto kept = home.store->get(key);
  if (kept.ok()) return TokenPlaces::parse(*kept, split.training.size());
  if (kept.error().code() != ErrorCode::kNotFound) return kept.error();
  STRAND_ASSIGN(TokenPlaces places, TokenPlaces::measure(reader, tokenizer, split.training, go_on));
  if (home.read_only) return places;
  StoreBatch batch;
  batch.put(key, places.serialize());
  STRAND_TRY(home.store->write(batch));
  return places;
}

}  // namespace

Result<std::unique_ptr<PackedRows>> open_packed_rows(const DataHome& home, const TokenizerSpec& spec,
                                                     const Tokenizer& tokenizer, CorpusReader* reader,
                                                     const Split& split, const std::string& split_text,
                                                     const RowStyle& style, const Progress& go_on) {
  if (spec.overlapping) {
    return bad_input(
        "data.packing: overlapping k-mers share letters, so rows cannot be cut between them; set "
        "tokenizer.overlapping = false, or leave packing out");
  }
  const int32_t separator = separator_of(tokenizer);
  if (separator < 0) {
    return bad_input(
        "data.packing: the tokenizer has no sep, eos, bos or cls token to put between documents; use "
        "another tokenizer, or leave packing out");
  }
  STRAND_ASSIGN(TokenPlaces places, token_places(home, spec, tokenizer, reader, split, split_text, go_on));
  std::vector<uint64_t> first_records;
  for (const CorpusPart& part : reader->info().parts) first_records.push_back(part.first_record);
  if (first_records.empty()) first_records.push_back(0);
  return std::make_unique<PackedRows>(reader, &tokenizer, split.training, std::move(places), first_records, style,
                                      separator);
}

}  // namespace strand
