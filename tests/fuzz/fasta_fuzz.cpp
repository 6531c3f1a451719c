// Any bytes as FASTA: refused, or read to the same records however they are cut; and any bytes as a stored chunk:
// refused, or a chunk that unpacks to its own number of letters and is stored as the same bytes again.
#include <string>
#include <utility>
#include <vector>

#include "dataserver/corpus/chunk.h"
#include "dataserver/corpus/fasta_parser.h"
#include "shared/base/check.h"
#include "tests/fuzz/fuzz_main.h"

namespace strand {
namespace {

class Collect final : public FastaSink {
 public:
  Status begin_record(const std::string& name, int64_t) override {
    STRAND_CHECK(!name.empty());
    records.emplace_back(name, "");
    return {};
  }
  Status bases(std::string_view letters) override {
    STRAND_CHECK(!letters.empty());
    records.back().second += letters;
    return {};
  }
  Status end_record() override {
    STRAND_CHECK(!records.back().second.empty());
    return {};
  }
  std::vector<std::pair<std::string, std::string>> records;
};

// The records, or the error's message.
std::pair<Collect, std::string> parse(std::string_view text, size_t piece) {
  std::pair<Collect, std::string> result;
  FastaParser parser("f", &result.first);
  for (size_t at = 0; at < text.size(); at += piece) {
    const Status fed = parser.feed(text.substr(at, piece));
    if (!fed.ok()) {
      result.second = fed.error().message();
      return result;
    }
  }
  const Status ended = parser.finish();
  if (!ended.ok()) result.second = ended.error().message();
  return result;
}

void check_chunk(std::string_view bytes) {
  const auto chunk = decode_chunk(bytes);
  if (!chunk.ok()) return;
  STRAND_CHECK(unpack_chunk(*chunk).size() == chunk->bases);
  STRAND_CHECK(decode_chunk(encode_chunk(*chunk)).ok());
}

}  // namespace
}  // namespace strand

int fuzz_one(const uint8_t* data, size_t size) {
  using namespace strand;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto whole = parse(text, size + 1);
  for (const size_t piece : {1, 7}) {
    const auto cut = parse(text, piece);
    STRAND_CHECK(cut.second == whole.second, cut.second, " / ", whole.second);
    if (whole.second.empty()) STRAND_CHECK(cut.first.records == whole.first.records);
  }
  if (whole.second.empty()) {
    for (const auto& [name, letters] : whole.first.records) {
      if (letters.size() > static_cast<size_t>(kChunkBases)) continue;
      const auto chunk = decode_chunk(encode_chunk(pack_chunk(letters)));
      STRAND_CHECK(chunk.ok() && unpack_chunk(*chunk) == letters);
    }
  }
  check_chunk(text);
  return 0;
}
