// Vectors on disk, written as they come: an array of NumPy or a safetensors file, whose sizes are known beforehand.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "shared/base/result.h"
#include "shared/fs/file_system.h"

namespace strand {

enum class VectorFormat { kNpy, kSafetensors };
// By extension: .npy or .safetensors. kBadInput for others.
Result<VectorFormat> vector_format(const std::string& path);

// fp32 [rows, cols], little-endian. Nothing is at the path before commit() has returned.
class VectorFile {
 public:
  // The array (NumPy's format 1.0), or one tensor "embeddings".
  static Result<VectorFile> create(FileSystem& fs, const std::string& path, VectorFormat format, int64_t rows,
                                   int64_t cols);
  // safetensors with a tensor of its own for each sequence, "tokens.00000000" and so on: [rows[i], cols].
  static Result<VectorFile> create_each(FileSystem& fs, const std::string& path, const std::vector<int64_t>& rows,
                                        int64_t cols);

  // The next rows, in order; `values` are whole rows.
  Status append(const std::vector<float>& values);
  // All rows must have come.
  Status commit();

 private:
  VectorFile(AtomicFile file, int64_t values) : file_(std::move(file)), missing_(values) {}
  static Result<VectorFile> with_header(FileSystem& fs, const std::string& path, const std::string& header,
                                        int64_t values);

  AtomicFile file_;
  int64_t missing_;  // values still to come
};

}  // namespace strand
