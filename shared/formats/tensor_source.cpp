#include "shared/formats/tensor_source.h"

#include <algorithm>
#include <filesystem>
#include <map>

#include "shared/base/text.h"
#include "shared/formats/json.h"
#include "shared/formats/safetensors.h"
#include "shared/formats/torch_zip.h"

namespace strand {
namespace {

constexpr const char* kWeightFiles[] = {"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
                                        "pytorch_model.bin.index.json"};
// Far beyond any published index; an object's keys are compared one by one.
constexpr uint64_t kLargestIndex = 10'000'000;

// Tensors of several files as one list.
class ShardedSource final : public TensorSource {
 public:
  explicit ShardedSource(std::string index_path) : TensorSource(std::move(index_path)) {}

  static Result<std::unique_ptr<TensorSource>> make(const std::string& index_path,
                                                    std::vector<std::unique_ptr<TensorSource>> shards) {
    auto source = std::make_unique<ShardedSource>(index_path);
    source->shards_ = std::move(shards);
    std::vector<TensorInfo> all;
    uint64_t stored = 0;
    for (const auto& shard : source->shards_) {
      all.insert(all.end(), shard->tensors().begin(), shard->tensors().end());
      stored += shard->stored_bytes();
    }
    STRAND_TRY(source->set_tensors(std::move(all), stored));
    return std::unique_ptr<TensorSource>(std::move(source));
  }

 protected:
  Status read_tensor(size_t index, std::span<float> out) override {
    const std::string& name = tensors()[index].name;
    for (const auto& shard : shards_) {
      if (shard->find(name) != nullptr) return shard->read(name, out);
    }
    return internal_error(concat("tensor ", name, " is in no shard"));
  }

 private:
  std::vector<std::unique_ptr<TensorSource>> shards_;
};

// File to its tensors, as the index says.
Result<std::map<std::string, std::vector<std::string>>> read_index(FileSystem& fs, const std::string& path) {
  STRAND_ASSIGN(const uint64_t size, fs.file_size(path));
  if (size > kLargestIndex) {
    return bad_input(concat(path, ": ", size, " bytes; expected an index of at most ", kLargestIndex));
  }
  STRAND_ASSIGN(const std::string text, fs.read_file(path));
  STRAND_ASSIGN(const Json json, parse_json(text, path));
  const auto map = json.is_object() ? json.find("weight_map") : json.end();
  if (!json.is_object() || map == json.end() || !map->is_object() || map->empty()) {
    return bad_input(concat(path,
                            ": expected {\"weight_map\": {tensor: file}}; take the index that came with the"
                            " shards"));
  }
  std::map<std::string, std::vector<std::string>> files;
  for (const auto& [tensor, file] : map->items()) {
    if (!file.is_string()) return bad_input(concat(path, ": weight_map.", tensor, ": expected the name of a file"));
    const auto name = file.get<std::string>();
    if (name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos) {
      return bad_input(concat(path, ": weight_map.", tensor, ": \"", name, "\" is not the name of a file beside it"));
    }
    files[name].push_back(tensor);
  }
  return files;
}

Status check_shard(const TensorSource& shard, const std::string& path, const std::string& index_path,
                   const std::vector<std::string>& expected) {
  for (const std::string& name : expected) {
    if (shard.find(name) != nullptr) continue;
    return bad_input(concat(path, ": lacks the tensor ", name, " that ", index_path,
                            " says it holds; take all shards and the index from one place"));
  }
  if (shard.tensors().size() == expected.size()) return {};
  for (const TensorInfo& tensor : shard.tensors()) {
    if (std::find(expected.begin(), expected.end(), tensor.name) != expected.end()) continue;
    return bad_input(concat(path, ": holds the tensor ", tensor.name, " that ", index_path,
                            " does not place there; take all shards and the index from one place"));
  }
  return {};
}

Result<std::unique_ptr<TensorSource>> open_file(FileSystem& fs, const std::string& path) {
  if (path.ends_with(".index.json")) return open_sharded_weights(fs, path);
  if (path.ends_with(".safetensors")) return open_safetensors(fs, path);
  if (path.ends_with(".bin") || path.ends_with(".pt") || path.ends_with(".pth")) return open_torch_zip(fs, path);
  return bad_input(concat(path, ": expected a name that ends in .safetensors, .bin, .pt, .pth or .index.json"));
}

}  // namespace

const TensorInfo* TensorSource::find(std::string_view name) const {
  const auto at =
      std::ranges::lower_bound(tensors_, name, {}, [](const TensorInfo& t) -> std::string_view { return t.name; });
  return at != tensors_.end() && at->name == name ? &*at : nullptr;
}

Status TensorSource::read(std::string_view name, std::span<float> out) {
  const TensorInfo* tensor = find(name);
  if (tensor == nullptr) return not_found(concat("no tensor ", name, " in these weights"));
  if (out.size() != static_cast<size_t>(tensor->elements)) {
    return internal_error(concat("tensor ", name, ": ", out.size(), " floats for ", tensor->elements, " elements"));
  }
  return read_tensor(static_cast<size_t>(tensor - tensors_.data()), out);
}

Status TensorSource::set_tensors(std::vector<TensorInfo> tensors, uint64_t stored_bytes) {
  std::ranges::stable_sort(tensors, {}, &TensorInfo::name);
  const auto twice = std::ranges::adjacent_find(tensors, {}, &TensorInfo::name);
  if (twice != tensors.end()) {
    const std::string& other = std::next(twice)->file;
    return bad_input(concat(twice->file, ": the tensor ", twice->name, " is there twice",
                            other == twice->file ? "" : concat(", also in ", other)));
  }
  tensors_ = std::move(tensors);
  stored_bytes_ = stored_bytes;
  return {};
}

Result<std::unique_ptr<TensorSource>> open_sharded_weights(FileSystem& fs, const std::string& index_path) {
  STRAND_ASSIGN(const auto files, read_index(fs, index_path));
  const std::string parent = std::filesystem::path(index_path).parent_path().string();
  std::vector<std::unique_ptr<TensorSource>> shards;
  for (const auto& [name, expected] : files) {
    const std::string path = parent.empty() ? name : parent + "/" + name;
    auto shard = path.ends_with(".safetensors") ? open_safetensors(fs, path) : open_torch_zip(fs, path);
    if (!shard.ok() && shard.error().code() == ErrorCode::kNotFound) {
      return bad_input(concat(path, ": is named by ", index_path, " but not there; fetch every shard"));
    }
    if (!shard.ok()) return shard.error();
    STRAND_TRY(check_shard(**shard, path, index_path, expected));
    shards.push_back(std::move(*shard));
  }
  return ShardedSource::make(index_path, std::move(shards));
}

Result<std::string> find_weights_file(FileSystem& fs, const std::string& directory) {
  for (const char* name : kWeightFiles) {
    if (const std::string path = directory + "/" + name; fs.exists(path)) return path;
  }
  STRAND_ASSIGN(std::vector<std::string> names, fs.list_directory(directory));
  if (names.size() > 20) names.resize(20);
  return not_found(concat(directory, ": no weights; expected one of ",
                          join({std::begin(kWeightFiles), std::end(kWeightFiles)}, ", "),
                          names.empty() ? "; the directory is empty" : "; found ", join(names, ", ")));
}

Result<std::unique_ptr<TensorSource>> open_weights(FileSystem& fs, const std::string& path) {
  if (!fs.exists(path)) return not_found(concat(path, ": does not exist; check the spelling of the path"));
  if (!fs.list_directory(path).ok()) return open_file(fs, path);
  STRAND_ASSIGN(const std::string file, find_weights_file(fs, path));
  return open_file(fs, file);
}

Status check_not_lfs_pointer(std::string_view bytes, const std::string& origin) {
  if (!bytes.starts_with("version https://git-lfs")) return {};
  return bad_input(concat(origin, ": is a Git LFS pointer, not the weights; fetch them with \"git lfs pull\""));
}

}  // namespace strand
