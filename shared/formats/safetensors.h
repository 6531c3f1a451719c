// safetensors files: 8 bytes little-endian length N, N bytes of JSON, data (github.com/huggingface/safetensors,
// README). The JSON maps a name to {"dtype", "shape", "data_offsets": [begin, end)} relative to the data, and
// "__metadata__" to texts. docs/weights_format.md says what is refused.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "shared/base/result.h"
#include "shared/formats/tensor_source.h"
#include "shared/formats/tensor_types.h"
#include "shared/fs/file_system.h"

namespace strand {

constexpr uint64_t kLargestSafetensorsHeader = 100'000'000;

struct SafetensorsEntry {
  std::string name;
  TensorType type = TensorType::kF32;
  std::vector<int64_t> shape;
  int64_t elements = 1;
  uint64_t begin = 0, end = 0;  // relative to the data
};
struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;  // in order of their bytes; together they are the data, without gaps
  std::vector<std::pair<std::string, std::string>> metadata;
  uint64_t data_begin = 0;  // in the file
};
// The header of a whole file's bytes. kBadInput, naming the tensor, for anything that the format forbids: a header
// beyond 100 MB or the file, another JSON, an unknown type, a name or key that is there twice, a size that is not the
// product of the shape, bytes that overlap, are missing or belong to nobody.
Result<SafetensorsHeader> parse_safetensors(std::string_view file, const std::string& origin);

// One file. The view is mapped: a tensor is read from the disk when it is asked for.
Result<std::unique_ptr<TensorSource>> open_safetensors(FileSystem& fs, const std::string& path);
Result<std::unique_ptr<TensorSource>> safetensors_source(std::unique_ptr<FileView> file, const std::string& origin);

// A tensor to write. `fill` is called once, when its turn comes, with the elements' floats to set, row-major.
struct TensorToWrite {
  std::string name;
  std::vector<int64_t> shape;
  std::function<Status(std::span<float> out)> fill;
};
struct SafetensorsOptions {
  TensorType type = TensorType::kF32;  // or kBF16: rounded to nearest, ties to even
  std::vector<std::pair<std::string, std::string>> metadata = {{"format", "pt"}};  // as the Python libraries expect
};
// One file at `path`: nothing is there before all is durable. Tensors are written in order of their names. kBadInput
// for a name that is there twice or "__metadata__".
Status write_safetensors(FileSystem& fs, const std::string& path, std::vector<TensorToWrite> tensors,
                         const SafetensorsOptions& options = {});

// Into a directory: model.safetensors, or, when `shard_bytes` > 0 and the data exceeds it, shards of at most that many
// bytes of data (a larger tensor has a shard of its own) named model-00001-of-0000K.safetensors, and then
// model.safetensors.index.json. Returns the names of the files.
Result<std::vector<std::string>> write_safetensors_model(FileSystem& fs, const std::string& directory,
                                                         std::vector<TensorToWrite> tensors, uint64_t shard_bytes,
                                                         const SafetensorsOptions& options = {});

}  // namespace strand
