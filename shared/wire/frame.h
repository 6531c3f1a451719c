// The envelope around every Cap'n Proto payload, on the wire and in files, 24 bytes, little-endian:
//   0 "STRD" · 4 version (u16) · 6 kind (u16) · 8 payload bytes (u64) · 16 checksum (u64) · 24 payload
// checksum = XXH3-64 of the payload xor XXH3-64 of bytes 0 to 15. The envelope never changes; `version` is the
// payload's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "shared/base/result.h"

namespace capnp {
class MessageBuilder;
class MessageReader;
}  // namespace capnp

namespace strand {

enum class FrameKind : uint16_t { kMessage = 1, kManifest = 2, kPartHeader = 3, kShardMessage = 4 };

constexpr size_t kFrameHeaderBytes = 24;
constexpr size_t kMaxFrameBytes = size_t{64} << 20;

std::string seal_frame(FrameKind kind, uint32_t version, capnp::MessageBuilder& payload);

// Checks the envelope, then gives the payload to `read`, which may throw kj exceptions (an unknown enum value); they
// come back as kCorrupt. Memory and time are bounded by a small multiple of `bytes`. kCorrupt for damaged, cut or too
// long bytes or another kind; kBadInput, naming both versions, for another version. `frame_bytes` receives the frame's
// length; null: bytes after the frame are kCorrupt.
Status open_frame(const void* data, size_t bytes, FrameKind kind, uint32_t version, size_t* frame_bytes,
                  const std::function<void(capnp::MessageReader&)>& read);

}  // namespace strand
