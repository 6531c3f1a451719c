#include <algorithm>
#include <array>
#include <cstdio>
#include <optional>

#include "shared/base/text.h"
#include "shared/formats/json.h"
#include "shared/formats/safetensors.h"

namespace strand {
namespace {

std::string quoted(const std::string& text) {
  return dump_json(Json(text));
}

Result<uint64_t> data_bytes(const TensorToWrite& tensor, TensorType type) {
  const auto elements = shape_elements(tensor.shape);
  if (!elements || *elements > INT64_MAX / 8) {
    return bad_input(concat("tensor ", tensor.name, ": the shape ", shape_text(tensor.shape), " is too large"));
  }
  return static_cast<uint64_t>(*elements) * static_cast<uint64_t>(tensor_type_bits(type)) / 8;
}

// One object after another as the original writes them: metadata first, no blanks, padded to 8 bytes.
Result<std::string> header_of(const std::vector<TensorToWrite>& tensors, const SafetensorsOptions& options) {
  std::vector<std::string> members;
  if (!options.metadata.empty()) {
    std::vector<std::string> pairs;
    for (const auto& [key, value] : options.metadata) pairs.push_back(quoted(key) + ":" + quoted(value));
    members.push_back("\"__metadata__\":{" + join(pairs, ",") + "}");
  }
  uint64_t at = 0;
  for (const TensorToWrite& tensor : tensors) {
    STRAND_ASSIGN(const uint64_t bytes, data_bytes(tensor, options.type));
    std::vector<std::string> extents;
    for (const int64_t extent : tensor.shape) extents.push_back(concat(extent));
    members.push_back(concat(quoted(tensor.name), ":{\"dtype\":\"", tensor_type_name(options.type), "\",\"shape\":[",
                             join(extents, ","), "],\"data_offsets\":[", at, ",", at + bytes, "]}"));
    at += bytes;
  }
  std::string json = "{" + join(members, ",") + "}";
  json.resize((json.size() + 7) / 8 * 8, ' ');
  return json;
}

Status append_tensor(AtomicFile& file, const TensorToWrite& tensor, TensorType type) {
  std::vector<float> values(static_cast<size_t>(shape_elements(tensor.shape).value_or(0)));
  STRAND_TRY(tensor.fill(values));
  if (type == TensorType::kF32) return file.append(values.data(), values.size() * sizeof(float));
  std::vector<uint16_t> rounded(values.size());
  std::ranges::transform(values, rounded.begin(), float_to_bf16);
  return file.append(rounded.data(), rounded.size() * sizeof(uint16_t));
}

Status check_names(const std::vector<TensorToWrite>& sorted) {
  const auto twice = std::ranges::adjacent_find(sorted, {}, &TensorToWrite::name);
  if (twice != sorted.end()) return bad_input(concat("tensor ", twice->name, " would be written twice"));
  for (const TensorToWrite& tensor : sorted) {
    if (tensor.name.empty() || tensor.name == "__metadata__") {
      return bad_input(concat("\"", tensor.name, "\" cannot be a tensor's name"));
    }
  }
  return {};
}

// "model-00001-of-00003.safetensors", counted from 1.
std::string shard_name(size_t number, size_t count) {
  std::array<char, 64> name{};
  std::snprintf(name.data(), name.size(), "model-%05zu-of-%05zu.safetensors", number, count);
  return name.data();
}

// Tensors in order, a new shard where the next one would not fit.
Result<std::vector<std::vector<TensorToWrite>>> cut_into_shards(std::vector<TensorToWrite> tensors,
                                                                uint64_t shard_bytes, TensorType type) {
  std::vector<std::vector<TensorToWrite>> shards(1);
  uint64_t filled = 0;
  for (TensorToWrite& tensor : tensors) {
    STRAND_ASSIGN(const uint64_t bytes, data_bytes(tensor, type));
    if (shard_bytes > 0 && !shards.back().empty() && filled + bytes > shard_bytes) {
      shards.emplace_back();
      filled = 0;
    }
    filled += bytes;
    shards.back().push_back(std::move(tensor));
  }
  return shards;
}

}  // namespace

Status write_safetensors(FileSystem& fs, const std::string& path, std::vector<TensorToWrite> tensors,
                         const SafetensorsOptions& options) {
  if (options.type != TensorType::kF32 && options.type != TensorType::kBF16) {
    return bad_input(concat(path, ": weights are written as F32 or BF16, not ", tensor_type_name(options.type)));
  }
  std::ranges::sort(tensors, {}, &TensorToWrite::name);
  if (Status named = check_names(tensors); !named.ok()) return named.error().with_context(path);
  STRAND_ASSIGN(const std::string header, header_of(tensors, options));
  STRAND_ASSIGN(AtomicFile file, AtomicFile::create(fs, path));
  const uint64_t length = header.size();
  STRAND_TRY(file.append(&length, sizeof length));
  STRAND_TRY(file.append(header.data(), header.size()));
  for (const TensorToWrite& tensor : tensors) STRAND_TRY(append_tensor(file, tensor, options.type));
  return file.commit();
}

Result<std::vector<std::string>> write_safetensors_model(FileSystem& fs, const std::string& directory,
                                                         std::vector<TensorToWrite> tensors, uint64_t shard_bytes,
                                                         const SafetensorsOptions& options) {
  std::ranges::sort(tensors, {}, &TensorToWrite::name);
  if (Status named = check_names(tensors); !named.ok()) return named.error().with_context(directory);
  uint64_t total = 0;
  for (const TensorToWrite& tensor : tensors) {
    STRAND_ASSIGN(const uint64_t bytes, data_bytes(tensor, options.type));
    total += bytes;
  }
  STRAND_ASSIGN(auto shards, cut_into_shards(std::move(tensors), shard_bytes, options.type));
  if (shards.size() == 1) {
    STRAND_TRY(write_safetensors(fs, directory + "/model.safetensors", std::move(shards[0]), options));
    return std::vector<std::string>{"model.safetensors"};
  }
  Json map = Json::object();
  std::vector<std::string> files;
  for (size_t s = 0; s < shards.size(); ++s) {
    files.push_back(shard_name(s + 1, shards.size()));
    for (const TensorToWrite& tensor : shards[s]) map[tensor.name] = files.back();
    STRAND_TRY(write_safetensors(fs, directory + "/" + files.back(), std::move(shards[s]), options));
  }
  const Json index = {{"metadata", {{"total_size", total}}}, {"weight_map", map}};
  files.emplace_back("model.safetensors.index.json");
  STRAND_TRY(write_file_atomically(fs, directory + "/" + files.back(), dump_json(index, 2) + "\n"));
  return files;
}

}  // namespace strand
