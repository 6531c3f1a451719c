#include "tests/support/sealed_frame.h"

#include <cstring>

#include "shared/base/hash.h"

namespace strand {

std::string sealed_frame(uint16_t version, uint16_t kind, std::string_view payload) {
  std::string frame(24, '\0');
  const uint64_t bytes = payload.size();
  std::memcpy(frame.data(), "STRD", 4);
  std::memcpy(frame.data() + 4, &version, 2);
  std::memcpy(frame.data() + 6, &kind, 2);
  std::memcpy(frame.data() + 8, &bytes, 8);
  const uint64_t checksum = hash64(payload) ^ hash64(frame.data(), 16);
  std::memcpy(frame.data() + 16, &checksum, 8);
  return frame.append(payload);
}

}  // namespace strand
