#include "worker/checkpoint/checkpoint_reader.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "shared/base/hash.h"
#include "shared/base/log.h"
#include "shared/base/text.h"
#include "shared/plan/block_table.h"
#include "shared/wire/frame.h"
#include "worker/params/digest.h"

namespace strand {
namespace {

struct OpenPart {
  std::string path;
  PartHeader header;
  uint64_t data = 0;  // where the numbers begin
};

std::string name_of(const PartBlock& block) {
  return concat("block ", block.block, " of tensor ", block.tensor);
}

// The part is there, as long as the manifest says, and its header is whole and of this checkpoint.
Result<OpenPart> open_part(FileSystem& fs, const std::string& directory, const Manifest& manifest,
                           const ManifestPart& part) {
  OpenPart open;
  open.path = directory + "/" + part.file;
  const auto size = fs.file_size(open.path);
  if (!size.ok()) return corrupt(concat(open.path, ": a part is missing: ", size.error().message()));
  if (*size != part.bytes) return corrupt(concat(open.path, ": ", *size, " bytes, the manifest says ", part.bytes));
  STRAND_ASSIGN(const std::string beginning, fs.read_range(open.path, 0, kFrameHeaderBytes));
  STRAND_ASSIGN(const std::string bytes, fs.read_range(open.path, 0, part_header_bytes(beginning)));
  size_t used = 0;
  auto header = decode_part_header(bytes, &used);
  if (!header.ok()) return header.error().with_context(open.path);
  open.header = std::move(header).value();
  open.data = used;
  if (open.header.step != manifest.step || open.header.next_row != manifest.next_row) {
    return corrupt(concat(open.path, ": is of step ", open.header.step, " and row ", open.header.next_row,
                          ", the manifest of step ", manifest.step, " and row ", manifest.next_row));
  }
  uint64_t end = used;
  for (const PartBlock& block : open.header.blocks) end += 3 * sizeof(float) * uint64_t{block.elements};
  if (end != part.bytes) return corrupt(concat(open.path, ": ", part.bytes, " bytes, its header describes ", end));
  return open;
}

Result<std::vector<OpenPart>> open_parts(FileSystem& fs, const std::string& directory, const Manifest& manifest) {
  std::vector<OpenPart> parts;
  if (manifest.parts.empty()) return corrupt(concat(directory, "/step-", manifest.step, ": names no part"));
  for (const ManifestPart& part : manifest.parts) {
    STRAND_ASSIGN(OpenPart open, open_part(fs, directory, manifest, part));
    parts.push_back(std::move(open));
  }
  return parts;
}

Status check_names(const OpenPart& part, const std::vector<ParameterInfo>& table) {
  const std::vector<std::string>& names = part.header.tensor_names;
  if (names.size() != table.size()) {
    return bad_input(concat(part.path, ": holds ", names.size(), " tensors, the job's model has ", table.size(),
                            "; it is another model's checkpoint"));
  }
  for (size_t t = 0; t < table.size(); ++t) {
    if (names[t] == table[t].name) continue;
    return bad_input(concat(part.path, ": tensor ", t, " is ", names[t], ", the job's model has ", table[t].name,
                            "; it is another model's checkpoint"));
  }
  return {};
}

// Where each block of the table lies. Every one stands in exactly one part.
struct PlacedBlock {
  const OpenPart* part = nullptr;  // null: nowhere
  const PartBlock* block = nullptr;
  uint64_t offset = 0;
};

Result<std::vector<PlacedBlock>> place_blocks(const std::vector<OpenPart>& parts,
                                              const std::vector<ParameterInfo>& table, const BlockTable& blocks) {
  std::vector<PlacedBlock> places(blocks.size());
  for (const OpenPart& part : parts) {
    STRAND_TRY(check_names(part, table));
    uint64_t offset = part.data;
    for (const PartBlock& block : part.header.blocks) {
      const size_t number = blocks.find(block.tensor, block.block);
      if (number == blocks.size() || blocks[number].elements != block.elements) {
        return corrupt(concat(part.path, ": ", name_of(block), " does not lie within a tensor of the model"));
      }
      PlacedBlock& place = places[number];
      if (place.part) return corrupt(concat(part.path, ": ", name_of(block), " stands also in ", place.part->path));
      place = {&part, &block, offset};
      offset += 3 * sizeof(float) * uint64_t{block.elements};
    }
  }
  for (size_t b = 0; b < places.size(); ++b) {
    if (places[b].part) continue;
    return corrupt(concat(parts.front().path, " and the parts beside it: block ", blocks[b].block, " of ",
                          table[blocks[b].tensor].name, " is in none"));
  }
  return places;
}

// The numbers of a block, three arrays one after the other; gives them as they lie in the file.
Result<std::string> read_block(FileSystem& fs, const PlacedBlock& from) {
  const size_t size = from.block->elements * sizeof(float);
  const auto describe = [&] { return concat(from.part->path, ": ", name_of(*from.block)); };
  STRAND_ASSIGN(std::string bytes, fs.read_range(from.part->path, from.offset, 3 * size));
  if (bytes.size() != 3 * size) {
    return corrupt(concat(describe(), ": the file ends at byte ", from.offset + bytes.size()));
  }
  for (size_t a = 0; a < 3; ++a) {
    if (hash64(bytes.data() + a * size, size) == from.block->checksum[a]) continue;
    return corrupt(concat(describe(), " fails its checksum, bytes ", from.offset + a * size, " to ",
                          from.offset + (a + 1) * size));
  }
  return bytes;
}

// Headers alone, without the job's table. The best one that a finetuning run names is loaded with it.
Status look_at(FileSystem& fs, const std::string& directory, Step step) {
  STRAND_ASSIGN(const Manifest manifest, read_manifest(fs, directory, step));
  STRAND_ASSIGN(const auto parts, open_parts(fs, directory, manifest));
  std::set<std::pair<uint32_t, uint32_t>> seen;
  for (const OpenPart& part : parts) {
    if (part.header.tensor_names != parts.front().header.tensor_names) {
      return corrupt(concat(part.path, ": names other tensors than ", parts.front().path));
    }
    for (const PartBlock& block : part.header.blocks) {
      if (seen.insert({block.tensor, block.block}).second) continue;
      return corrupt(concat(part.path, ": ", name_of(block), " stands twice"));
    }
  }
  const BestEvaluation& best = manifest.best;
  if (best.metric.empty() || best.step == step) return {};
  const Status of_best = best.step < step ? look_at(fs, directory, best.step) : Status(corrupt("is a later one"));
  if (of_best.ok()) return {};
  return corrupt(concat("its best, of step ", best.step, ": ", of_best.error().message()));
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
  const BlockTable blocks(shard.table());
  STRAND_ASSIGN(const auto parts, open_parts(fs, checkpoint_directory, manifest));
  STRAND_ASSIGN(const auto places, place_blocks(parts, shard.table(), blocks));
  const std::span<float> arrays[3] = {shard.weights(), shard.first_moment(), shard.second_moment()};
  for (size_t p = 0; p < parts.size(); ++p) {
    Hasher128 hasher;
    STRAND_ASSIGN(const std::string header, fs.read_range(parts[p].path, 0, parts[p].data));
    hasher.update(header.data(), header.size());
    for (const PartBlock& block : parts[p].header.blocks) {
      const size_t number = blocks.find(block.tensor, block.block);
      STRAND_ASSIGN(const std::string bytes, read_block(fs, places[number]));
      hasher.update(bytes.data(), bytes.size());
      const size_t size = block.elements * sizeof(float);
      for (size_t a = 0; a < 3; ++a) {
        std::memcpy(arrays[a].data() + blocks[number].first_element, bytes.data() + a * size, size);
      }
    }
    if (hasher.digest() != manifest.parts[p].checksum) {
      return corrupt(parts[p].path + ": its checksum is not the manifest's");
    }
  }
  if (manifest.digest != model_digest(shard.table(), shard.weights())) {
    return corrupt(
        concat(checkpoint_directory, "/step-", manifest.step, ": the weights' digest is not the manifest's"));
  }
  return {};
}

Status load_ranges(FileSystem& fs, const std::string& checkpoint_directory, const Manifest& manifest,
                   const std::vector<ParameterInfo>& job_table, const std::vector<KeyRange>& ranges,
                   const std::function<Status(size_t index, const float* state)>& sink) {
  const BlockTable blocks(job_table);
  STRAND_ASSIGN(const auto parts, open_parts(fs, checkpoint_directory, manifest));
  STRAND_ASSIGN(const auto places, place_blocks(parts, job_table, blocks));
  std::vector<float> state;
  for (size_t i = 0; i < ranges.size(); ++i) {
    STRAND_ASSIGN(const BlockTable::Run run, blocks.blocks_of(ranges[i]));
    const auto elements = static_cast<size_t>(ranges[i].elements);
    state.resize(3 * elements);
    for (size_t b = run.first; b < run.end; ++b) {
      STRAND_ASSIGN(const std::string bytes, read_block(fs, places[b]));
      const size_t size = bytes.size() / 3;
      float* to = state.data() + (blocks[b].first_element - ranges[i].first_element);
      for (size_t a = 0; a < 3; ++a) std::memcpy(to + a * elements, bytes.data() + a * size, size);
    }
    STRAND_TRY(sink(i, state.data()));
  }
  return {};
}

Step choose_checkpoint(FileSystem& fs, const std::string& checkpoint_directory, const std::vector<Step>& steps) {
  for (const Step step : steps) {
    const Status looked = look_at(fs, checkpoint_directory, step);
    if (looked.ok()) return step;
    log_error("checkpoint_damaged",
              {{"step", step}, {"reason", looked.error().message()}, {"next", "the one before it"}});
  }
  return 0;
}

}  // namespace strand
