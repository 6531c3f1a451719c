// Weights in files, whatever the format: named tensors that are read as floats.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "shared/base/result.h"
#include "shared/formats/tensor_types.h"
#include "shared/fs/file_system.h"

namespace strand {

struct TensorInfo {
  std::string name;
  TensorType type = TensorType::kF32;
  std::vector<int64_t> shape;  // row-major; empty: a scalar
  int64_t elements = 1;
  std::string file;  // path of the file that holds it, for messages
};

// Not thread-safe.
class TensorSource {
 public:
  virtual ~TensorSource() = default;
  // Path of the file, or of the index of shards; for messages.
  const std::string& origin() const { return origin_; }
  // In order of names; each name once.
  const std::vector<TensorInfo>& tensors() const { return tensors_; }
  const TensorInfo* find(std::string_view name) const;  // null when absent
  // Bytes of all tensors, those that several share counted once: views of a pytorch_model.bin may be far larger.
  uint64_t stored_bytes() const { return stored_bytes_; }
  // All elements of a tensor, row-major. out.size() is its `elements`. kBadInput when its type is not floating or its
  // bytes are damaged, kNotFound when there is none of this name.
  Status read(std::string_view name, std::span<float> out);

 protected:
  explicit TensorSource(std::string origin) : origin_(std::move(origin)) {}
  // Sorts and keeps the list; kBadInput naming a tensor that is there twice.
  Status set_tensors(std::vector<TensorInfo> tensors, uint64_t stored_bytes);
  // `index` counts in tensors(); sizes have been checked.
  virtual Status read_tensor(size_t index, std::span<float> out) = 0;

 private:
  std::string origin_;
  std::vector<TensorInfo> tensors_;
  uint64_t stored_bytes_ = 0;
};

// The weights at `path`: a safetensors file, a pytorch_model.bin, an index of either's shards, or a directory that
// holds one of them. In a directory the first of model.safetensors, model.safetensors.index.json, pytorch_model.bin,
// pytorch_model.bin.index.json counts. Errors (kBadInput, kNotFound) name the file and the mend.
Result<std::unique_ptr<TensorSource>> open_weights(FileSystem& fs, const std::string& path);
// The file that open_weights takes of a directory; kNotFound, saying what is there instead.
Result<std::string> find_weights_file(FileSystem& fs, const std::string& directory);

// The shards of an index.json {"weight_map": {tensor: file beside the index}}. Every tensor is in the file the index
// names and nowhere else, and no file has others.
Result<std::unique_ptr<TensorSource>> open_sharded_weights(FileSystem& fs, const std::string& index_path);

// A file that was never fetched: its first line is that of a Git LFS pointer. Says so with the mend.
Status check_not_lfs_pointer(std::string_view bytes, const std::string& origin);

}  // namespace strand
