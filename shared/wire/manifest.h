// The manifest of a checkpoint: written last, by the coordinator alone. A checkpoint exists exactly when it does.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "shared/base/hash.h"
#include "shared/base/ids.h"
#include "shared/base/result.h"
#include "shared/wire/messages.h"

namespace strand {

constexpr uint32_t kManifestVersion = 1;

struct ManifestPart {
  std::string file;  // relative to checkpoints/
  uint64_t bytes = 0;
  Digest128 checksum;
  bool operator==(const ManifestPart&) const = default;
};

struct Manifest {
  JobId job;
  Generation generation;
  Step step = 0;
  uint64_t next_row = 0;
  std::string job_toml;  // effective job
  std::string numerics;  // numerics fingerprint of the workers
  std::vector<FingerprintField> dataset;
  Digest128 digest, state_digest;
  std::vector<ManifestPart> parts;
  BestEvaluation best;  // a finetuning run: as of this step; the checkpoint it names is kept as long as this one
  bool operator==(const Manifest&) const = default;
};

// Framed and checksummed like a message: any flipped byte or cut is kCorrupt.
std::string encode_manifest(const Manifest& manifest);
Result<Manifest> decode_manifest(std::string_view bytes);

// Header of a part file; the data follows, aligned to 64 bytes: for each block of kBlockElements of each tensor in
// order, weights, first moment, second moment as fp32 (docs/checkpoint_format.md).
struct PartBlock {
  uint32_t tensor = 0;  // index in the parameter table
  uint32_t block = 0;
  uint32_t elements = 0;
  uint64_t checksum[3] = {0, 0, 0};  // XXH3-64 of weights, first moment, second moment
  bool operator==(const PartBlock&) const = default;
};
struct PartHeader {
  Step step = 0;
  uint64_t next_row = 0;
  std::vector<std::string> tensor_names;
  std::vector<PartBlock> blocks;
  bool operator==(const PartHeader&) const = default;
};
std::string encode_part_header(const PartHeader& header);  // framed, checksummed, padded to 64 bytes
// How many bytes of a part decode_part_header needs, as the file's first kFrameHeaderBytes say, which nothing has
// verified yet; at most kMaxFrameBytes with padding. 0: too few bytes to say.
size_t part_header_bytes(std::string_view beginning);
// bytes_used: where the data begins.
Result<PartHeader> decode_part_header(std::string_view bytes, size_t* bytes_used);

}  // namespace strand
