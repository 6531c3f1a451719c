// Any bytes as a tokenizer.json: refused with an error, or a tokenizer that encodes, decodes and comes back from its
// own file as the same one, with the same frame.
#include <string>
#include <string_view>
#include <vector>

#include "dataserver/tokenizer/tokenizer.h"
#include "shared/base/check.h"
#include "tests/fuzz/fuzz_main.h"

int fuzz_one(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto tokenizer = strand::parse_tokenizer_json(text, "fuzz.json");
  if (!tokenizer.ok()) {
    STRAND_CHECK(tokenizer.error().code() == strand::ErrorCode::kBadInput, tokenizer.error().message());
    return 0;
  }
  const strand::Tokenizer& parsed = *tokenizer.value();
  std::vector<int32_t> ids;
  parsed.encode("ACGTNACGTTTTTTTGACACACAC[MASK]acgt", &ids);
  parsed.encode(text, &ids);
  ids.insert(ids.end(), parsed.frame().prefix.begin(), parsed.frame().prefix.end());
  ids.insert(ids.end(), parsed.frame().suffix.begin(), parsed.frame().suffix.end());
  for (const int32_t id : ids) {
    STRAND_CHECK(id >= 0 && id < parsed.vocabulary());
    STRAND_CHECK(parsed.characters(id) >= 0);
  }
  parsed.decode(ids);
  STRAND_CHECK(parsed.files().size() >= 3);
  const auto again = strand::parse_tokenizer_json(parsed.to_json(), "again.json");
  STRAND_CHECK(again.ok(), again.error().message());
  STRAND_CHECK(again.value()->fingerprint() == parsed.fingerprint());
  STRAND_CHECK(again.value()->frame() == parsed.frame());
  STRAND_CHECK(again.value()->specials() == parsed.specials());
  return 0;
}
