#include "shared/wire/frame.h"

#include <capnp/serialize.h>

#include <bit>
#include <cstring>
#include <vector>

#include "shared/base/hash.h"
#include "shared/base/text.h"

namespace strand {
namespace {

static_assert(std::endian::native == std::endian::little, "frames are little-endian in memory");

struct Envelope {
  char magic[4] = {'S', 'T', 'R', 'D'};
  uint16_t version = 0;
  uint16_t kind = 0;
  uint64_t payload_bytes = 0;
  uint64_t checksum = 0;
};
static_assert(sizeof(Envelope) == kFrameHeaderBytes);

uint64_t checksum_of(const Envelope& envelope, const char* payload, size_t bytes) {
  return hash64(payload, bytes) ^ hash64(&envelope, offsetof(Envelope, checksum));
}

const char* kind_name(uint16_t kind) {
  switch (static_cast<FrameKind>(kind)) {
    case FrameKind::kMessage: return "message";
    case FrameKind::kManifest: return "checkpoint manifest";
    case FrameKind::kPartHeader: return "checkpoint part";
    case FrameKind::kShardMessage: return "message between workers";
  }
  return "unknown";
}

// Everything but the payload's meaning. The order matters: only bytes whose checksum holds can be of "another version".
Result<Envelope> check_envelope(const char* data, size_t bytes, FrameKind kind, uint32_t version) {
  Envelope envelope;
  if (bytes < sizeof(Envelope)) {
    return corrupt(concat("a frame of ", bytes, " bytes is shorter than its header of ", sizeof(Envelope), " bytes"));
  }
  std::memcpy(&envelope, data, sizeof(Envelope));
  if (std::memcmp(envelope.magic, Envelope().magic, 4) != 0) {
    return corrupt("not a Strand frame: the first four bytes are not \"STRD\"");
  }
  if (envelope.payload_bytes > kMaxFrameBytes - sizeof(Envelope)) {
    return corrupt(concat("frame too long: ", envelope.payload_bytes, " payload bytes, the limit is ",
                          kMaxFrameBytes - sizeof(Envelope)));
  }
  if (envelope.payload_bytes > bytes - sizeof(Envelope)) {
    return corrupt(concat("frame cut short: ", envelope.payload_bytes, " payload bytes announced, ",
                          bytes - sizeof(Envelope), " present"));
  }
  if (checksum_of(envelope, data + sizeof(Envelope), envelope.payload_bytes) != envelope.checksum) {
    return corrupt(concat("frame damaged: the checksum of ", envelope.payload_bytes, " payload bytes does not match"));
  }
  if (envelope.kind != static_cast<uint16_t>(kind)) {
    return corrupt(concat("a frame of kind ", kind_name(envelope.kind), " (", envelope.kind, ") where a ",
                          kind_name(static_cast<uint16_t>(kind)), " was expected"));
  }
  if (envelope.version != version) {
    return bad_input(concat(kind_name(envelope.kind), " of format version ", envelope.version,
                            ", this program reads version ", version,
                            ": use the same Strand version for writing and reading"));
  }
  return envelope;
}

Status read_payload(const char* payload, size_t bytes, const std::function<void(capnp::MessageReader&)>& read) {
  size_t word_count = bytes / sizeof(capnp::word);
  if (bytes % sizeof(capnp::word) != 0) return corrupt("payload malformed: not a whole number of 8-byte words");
  std::vector<uint64_t> aligned;
  if (reinterpret_cast<uintptr_t>(payload) % alignof(capnp::word) != 0) {
    aligned.resize(word_count);
    std::memcpy(aligned.data(), payload, bytes);
    payload = reinterpret_cast<const char*>(aligned.data());
  }
  capnp::ReaderOptions options;
  options.traversalLimitInWords = 4 * word_count + 64;  // every field is read at most twice: no amplification
  const auto* begin = reinterpret_cast<const capnp::word*>(payload);
  try {
    capnp::FlatArrayMessageReader reader(kj::arrayPtr(begin, word_count), options);
    if (reader.getEnd() != begin + word_count) return corrupt("payload malformed: bytes follow the message");
    read(reader);
  } catch (const kj::Exception& exception) {
    return corrupt(concat("payload malformed: ", exception.getDescription().cStr()));
  }
  return {};
}

}  // namespace

std::string seal_frame(FrameKind kind, uint32_t version, capnp::MessageBuilder& message) {
  auto words = capnp::messageToFlatArray(message);
  auto payload = words.asBytes();
  Envelope envelope;
  envelope.version = static_cast<uint16_t>(version);
  envelope.kind = static_cast<uint16_t>(kind);
  envelope.payload_bytes = payload.size();
  const char* bytes = reinterpret_cast<const char*>(payload.begin());
  envelope.checksum = checksum_of(envelope, bytes, payload.size());
  std::string frame;
  frame.reserve(sizeof(Envelope) + payload.size());
  frame.append(reinterpret_cast<const char*>(&envelope), sizeof(Envelope));
  frame.append(bytes, payload.size());
  return frame;
}

Status open_frame(const void* data, size_t bytes, FrameKind kind, uint32_t version, size_t* frame_bytes,
                  const std::function<void(capnp::MessageReader&)>& read) {
  const char* begin = static_cast<const char*>(data);
  STRAND_ASSIGN(Envelope envelope, check_envelope(begin, bytes, kind, version));
  size_t used = sizeof(Envelope) + envelope.payload_bytes;
  if (frame_bytes != nullptr) {
    *frame_bytes = used;
  } else if (used != bytes) {
    return corrupt(concat("frame too long: ", bytes - used, " bytes follow its end"));
  }
  return read_payload(begin + sizeof(Envelope), envelope.payload_bytes, read);
}

}  // namespace strand
