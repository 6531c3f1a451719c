#include "worker/inference/vector_file.h"

#include <array>
#include <cstdio>

#include "shared/base/check.h"
#include "shared/base/text.h"
#include "shared/formats/safetensors.h"

namespace strand {
namespace {

// A version byte pair, two bytes of length, and a Python dictionary padded with blanks so that the data begins at a
// multiple of 64 (numpy.lib.format).
std::string npy_header(int64_t rows, int64_t cols) {
  constexpr size_t kFixed = 10, kAlign = 64;
  std::string text = concat("{'descr': '<f4', 'fortran_order': False, 'shape': (", rows, ", ", cols, "), }");
  text.resize((kFixed + text.size() + 1 + kAlign - 1) / kAlign * kAlign - kFixed - 1, ' ');
  text += '\n';
  std::string header("\x93NUMPY\x01\x00", 8);
  header += static_cast<char>(text.size() & 0xff);
  header += static_cast<char>(text.size() >> 8);
  return header + text;
}

struct Tensor {
  std::string name;
  int64_t rows = 0;
};

Result<std::string> safetensors_header(const std::string& path, const std::vector<Tensor>& tensors, int64_t cols) {
  std::string json = "{\"__metadata__\":{\"format\":\"pt\"}";
  int64_t at = 0;
  for (const Tensor& tensor : tensors) {
    const int64_t bytes = tensor.rows * cols * static_cast<int64_t>(sizeof(float));
    json += concat(",\"", tensor.name, "\":{\"dtype\":\"F32\",\"shape\":[", tensor.rows, ",", cols,
                   "],\"data_offsets\":[", at, ",", at + bytes, "]}");
    at += bytes;
  }
  json += '}';
  json.resize((json.size() + 7) / 8 * 8, ' ');
  if (json.size() > kLargestSafetensorsHeader) {
    return bad_input(concat(path, ": a safetensors header may have ", human_bytes(kLargestSafetensorsHeader), "; ",
                            tensors.size(), " tensors need ", human_bytes(json.size()),
                            ": write fewer sequences a file"));
  }
  std::string header;
  for (int byte = 0; byte < 8; ++byte) header += static_cast<char>(json.size() >> (8 * byte) & 0xff);
  return header + json;
}

}  // namespace

Result<VectorFormat> vector_format(const std::string& path) {
  if (path.ends_with(".npy")) return VectorFormat::kNpy;
  if (path.ends_with(".safetensors")) return VectorFormat::kSafetensors;
  return bad_input(concat(path, ": expected a name that ends with .safetensors or .npy"));
}

Result<VectorFile> VectorFile::with_header(FileSystem& fs, const std::string& path, const std::string& header,
                                           int64_t values) {
  STRAND_ASSIGN(AtomicFile file, AtomicFile::create(fs, path));
  STRAND_TRY(file.append(header.data(), header.size()));
  return VectorFile(std::move(file), values);
}

Result<VectorFile> VectorFile::create(FileSystem& fs, const std::string& path, VectorFormat format, int64_t rows,
                                      int64_t cols) {
  if (format == VectorFormat::kNpy) return with_header(fs, path, npy_header(rows, cols), rows * cols);
  STRAND_ASSIGN(const std::string header, safetensors_header(path, {{"embeddings", rows}}, cols));
  return with_header(fs, path, header, rows * cols);
}

Result<VectorFile> VectorFile::create_each(FileSystem& fs, const std::string& path, const std::vector<int64_t>& rows,
                                           int64_t cols) {
  std::vector<Tensor> tensors;
  int64_t values = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    std::array<char, 32> name{};
    std::snprintf(name.data(), name.size(), "tokens.%08zu", i);
    tensors.push_back({name.data(), rows[i]});
    values += rows[i] * cols;
  }
  STRAND_ASSIGN(const std::string header, safetensors_header(path, tensors, cols));
  return with_header(fs, path, header, values);
}

Status VectorFile::append(const std::vector<float>& values) {
  missing_ -= static_cast<int64_t>(values.size());
  STRAND_CHECK(missing_ >= 0);
  return file_.append(values.data(), values.size() * sizeof(float));
}

Status VectorFile::commit() {
  STRAND_CHECK(missing_ == 0, missing_, " values are missing");
  return file_.commit();
}

}  // namespace strand
