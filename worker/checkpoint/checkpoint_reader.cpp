#include "worker/checkpoint/checkpoint_reader.h"

#include <cstring>
#include <map>
#include <vector>

#include "ops/reduce/reduce.h"
#include "shared/base/hash.h"
#include "shared/base/text.h"
#include "worker/params/digest.h"

namespace strand {
namespace {

int64_t blocks_of(int64_t elements) {
  return (elements + kBlockElements - 1) / kBlockElements;
}

Status check_names(const std::string& path, const PartHeader& header, const std::vector<ParameterInfo>& table) {
  if (header.tensor_names.size() != table.size()) {
    return bad_input(concat(path, ": holds ", header.tensor_names.size(), " tensors, the job's model has ",
                            table.size(), "; it is another model's checkpoint"));
  }
  for (size_t t = 0; t < table.size(); ++t) {
    if (header.tensor_names[t] == table[t].name) continue;
    return bad_input(concat(path, ": tensor ", t, " is ", header.tensor_names[t], ", the job's model has ",
                            table[t].name, "; it is another model's checkpoint"));
  }
  return {};
}

// Copies the blocks of one part into the shard and marks them in `seen` (one flag per block of the whole model).
Status load_part(const std::string& path, std::string_view bytes, const std::vector<int64_t>& first_block,
                 ParamShard& shard, std::vector<bool>* seen) {
  size_t at = 0;
  auto decoded = decode_part_header(bytes, &at);
  if (!decoded.ok()) return decoded.error().with_context(path);
  const PartHeader& header = *decoded;
  const auto& table = shard.table();
  STRAND_TRY(check_names(path, header, table));
  const std::span<float> arrays[3] = {shard.weights(), shard.first_moment(), shard.second_moment()};
  for (const PartBlock& block : header.blocks) {
    const auto describe = [&] { return concat(path, ": block ", block.block, " of tensor ", block.tensor); };
    if (block.tensor >= table.size()) return corrupt(describe() + " names no tensor");
    const ParameterInfo& tensor = table[block.tensor];
    const int64_t first = static_cast<int64_t>(block.block) * kBlockElements;
    if (first >= tensor.elements || block.elements != std::min(kBlockElements, tensor.elements - first)) {
      return corrupt(describe() + " does not lie within its tensor");
    }
    const size_t index = static_cast<size_t>(first_block[block.tensor] + block.block);
    if ((*seen)[index]) return corrupt(describe() + " stands twice");
    (*seen)[index] = true;
    const size_t size = block.elements * sizeof(float);
    if (bytes.size() - at < 3 * size) return corrupt(describe() + concat(": the file ends at byte ", bytes.size()));
    for (int a = 0; a < 3; ++a, at += size) {
      if (hash64(bytes.data() + at, size) != block.checksum[a]) {
        return corrupt(describe() + concat(" fails its checksum, bytes ", at, " to ", at + size));
      }
      std::memcpy(arrays[a].data() + tensor.first_element + first, bytes.data() + at, size);
    }
  }
  if (at != bytes.size()) return corrupt(concat(path, ": ", bytes.size() - at, " bytes too many"));
  return {};
}

}  // namespace

Result<Manifest> read_manifest(FileSystem& fs, const std::string& checkpoint_directory, Step step) {
  const std::string path = concat(checkpoint_directory, "/step-", step, "/manifest");
  STRAND_ASSIGN(const std::string bytes, fs.read_file(path));
  auto manifest = decode_manifest(bytes);
  if (!manifest.ok()) return manifest.error().with_context(path);
  if (manifest->step != step) return corrupt(concat(path, ": is the manifest of step ", manifest->step));
  return manifest;
}

Status load_parts(FileSystem& fs, const std::string& checkpoint_directory, const Manifest& manifest,
                  ParamShard& shard) {
  std::vector<int64_t> first_block;
  int64_t blocks = 0;
  for (const ParameterInfo& tensor : shard.table()) {
    first_block.push_back(blocks);
    blocks += blocks_of(tensor.elements);
  }
  std::vector<bool> seen(static_cast<size_t>(blocks), false);
  for (const ManifestPart& part : manifest.parts) {
    const std::string path = checkpoint_directory + "/" + part.file;
    STRAND_ASSIGN(const std::string bytes, fs.read_file(path));
    if (bytes.size() != part.bytes) {
      return corrupt(concat(path, ": ", bytes.size(), " bytes, the manifest says ", part.bytes));
    }
    if (hash128(bytes) != part.checksum) return corrupt(path + ": its checksum is not the manifest's");
    STRAND_TRY(load_part(path, bytes, first_block, shard, &seen));
  }
  for (size_t b = 0; b < seen.size(); ++b) {
    if (!seen[b])
      return corrupt(concat(checkpoint_directory, "/step-", manifest.step, ": block ", b, " is in no part"));
  }
  if (manifest.digest != model_digest(shard.table(), shard.weights())) {
    return corrupt(
        concat(checkpoint_directory, "/step-", manifest.step, ": the weights' digest is not the manifest's"));
  }
  return {};
}

}  // namespace strand
