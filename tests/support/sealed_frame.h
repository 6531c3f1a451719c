// The envelope of docs/wire_protocol.md written by hand, with a right checksum around any payload: what a foreign
// program could send, and what lets tests and fuzzers get past the checksum.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace strand {

constexpr uint16_t kMessageFrame = 1, kManifestFrame = 2, kPartFrame = 3;
std::string sealed_frame(uint16_t version, uint16_t kind, std::string_view payload);

}  // namespace strand
