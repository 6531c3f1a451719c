// Any bytes as a message: as they are, and as the payload of a frame whose checksum is right, so that the fuzzer gets
// past it.
#include <string>
#include <string_view>

#include "shared/base/check.h"
#include "shared/wire/messages.h"
#include "tests/fuzz/fuzz_main.h"
#include "tests/support/sealed_frame.h"

namespace {

// What is accepted must survive being sent on. (Bytes are compared, not values: NaN differs from itself.)
void check(const strand::Result<strand::WireMessage>& message) {
  if (!message.ok()) return;
  const std::string bytes = strand::encode_message(*message);
  const auto again = strand::decode_message(bytes.data(), bytes.size());
  STRAND_CHECK(again.ok(), again.error().message());
  STRAND_CHECK(strand::encode_message(*again) == bytes);
}

}  // namespace

int fuzz_one(const uint8_t* data, size_t size) {
  const std::string_view raw(reinterpret_cast<const char*>(data), size);
  check(strand::decode_message(data, size));
  // As a whole payload, and as a frame of the corpus whose envelope is replaced by a right one.
  for (size_t skip : {size_t{0}, size_t{24}}) {
    if (size < skip) continue;
    const std::string frame = strand::sealed_frame(strand::kWireVersion, strand::kMessageFrame, raw.substr(skip));
    check(strand::decode_message(frame.data(), frame.size()));
  }
  return 0;
}
