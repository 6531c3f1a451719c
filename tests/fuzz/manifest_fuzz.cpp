// Any bytes as a checkpoint's manifest and as the head of a part file: as they are, and with the frame's checksum put
// right.
#include <string>
#include <string_view>

#include "shared/base/check.h"
#include "shared/wire/manifest.h"
#include "tests/fuzz/fuzz_main.h"
#include "tests/support/sealed_frame.h"

namespace {

void check_manifest(std::string_view bytes) {
  const auto manifest = strand::decode_manifest(bytes);
  if (!manifest.ok()) return;
  const auto again = strand::decode_manifest(strand::encode_manifest(*manifest));
  STRAND_CHECK(again.ok() && *again == *manifest);
}

void check_part(std::string bytes) {
  bytes.resize((bytes.size() + 63) / 64 * 64, '\0');
  size_t used = 0, used_again = 0;
  const auto header = strand::decode_part_header(bytes, &used);
  if (!header.ok()) return;
  STRAND_CHECK(used <= bytes.size() && used % 64 == 0);
  const auto again = strand::decode_part_header(strand::encode_part_header(*header), &used_again);
  STRAND_CHECK(again.ok() && *again == *header);
}

}  // namespace

int fuzz_one(const uint8_t* data, size_t size) {
  const std::string raw(reinterpret_cast<const char*>(data), size);
  check_manifest(raw);
  check_part(raw);
  const std::string payload = raw.substr(size > 24 ? 24 : 0);  // an envelope of the corpus, replaced by a right one
  check_manifest(strand::sealed_frame(strand::kManifestVersion, strand::kManifestFrame, payload));
  check_part(strand::sealed_frame(strand::kManifestVersion, strand::kPartFrame, payload));
  return 0;
}
