#include "worker/checkpoint/part_file.h"

#include "shared/base/hash.h"
#include "shared/base/text.h"
#include "shared/plan/model_digest.h"

namespace strand {
namespace {

// The header's blocks with the checksums of their numbers; returns the digests of the same arrays.
std::vector<Digest128> describe_blocks(const BlockTable& blocks, const PartContent& content, PartHeader* header) {
  std::vector<Digest128> digests;
  const float* data = content.data;
  for (const size_t number : content.blocks) {
    const TensorBlock& from = blocks[number];
    PartBlock block;
    block.tensor = static_cast<uint32_t>(from.tensor);
    block.block = static_cast<uint32_t>(from.block);
    block.elements = static_cast<uint32_t>(from.elements);
    for (uint64_t& checksum : block.checksum) {
      checksum = hash64(data, block.elements * sizeof(float));
      digests.push_back(hash128(data, block.elements * sizeof(float)));
      data += block.elements;
    }
    header->blocks.push_back(block);
  }
  return digests;
}

}  // namespace

std::string part_file_name(Generation generation, int replica, int stage) {
  return concat("g", generation.value, "-r", replica, "-s", stage);
}

Result<PartSaved> write_part(FileSystem& fs, const std::string& checkpoint_directory,
                             const std::vector<ParameterInfo>& table, const BlockTable& blocks,
                             const PartContent& content) {
  const PartRequest& request = content.request;
  PartHeader header;
  header.step = request.step;
  header.next_row = request.next_row;
  for (const ParameterInfo& tensor : table) header.tensor_names.push_back(tensor.name);
  std::vector<Digest128> digests = describe_blocks(blocks, content, &header);

  const std::string folder = concat("step-", request.step);
  PartSaved part;
  part.file = folder + "/" + request.name;
  part.next_row = request.next_row;
  part.best = request.best;
  part.ranges = content.ranges;
  if (content.blocks.size() == blocks.size()) {
    const ModelDigests whole = digests_of_state(table, digests, request.step, request.next_row);
    part.digest = whole.digest;
    part.state_digest = whole.state_digest;
  } else {
    part.block_digests = std::move(digests);
  }

  STRAND_TRY(fs.make_directories(checkpoint_directory + "/" + folder));
  STRAND_ASSIGN(auto file, fs.create_exclusive(checkpoint_directory + "/" + part.file));
  Hasher128 hasher;
  const auto append = [&](const void* data, size_t bytes) {
    hasher.update(data, bytes);
    part.bytes += bytes;
    return file->append(data, bytes);
  };
  const std::string encoded = encode_part_header(header);
  STRAND_TRY(append(encoded.data(), encoded.size()));
  const float* data = content.data;
  for (const PartBlock& block : header.blocks) {
    STRAND_TRY(append(data, 3 * block.elements * sizeof(float)));
    data += 3 * block.elements;
  }
  STRAND_TRY(file->sync());
  STRAND_TRY(file->close());
  STRAND_TRY(fs.sync_directory(checkpoint_directory + "/" + folder));
  STRAND_TRY(fs.sync_directory(checkpoint_directory));
  part.checksum = hasher.digest();
  return part;
}

}  // namespace strand
