#include "shared/formats/torch_zip.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <numeric>

#include "shared/base/text.h"
#include "shared/formats/pickle.h"
#include "shared/formats/zip.h"

namespace strand {
namespace {

// Row-major and without gaps: the elements stand one after another.
bool is_contiguous(const PickledTensor& tensor) {
  int64_t expected = 1;
  for (size_t i = tensor.shape.size(); i-- > 0;) {
    if (tensor.shape[i] != 1 && tensor.strides[i] != expected) return false;
    expected *= tensor.shape[i];
  }
  return true;
}

class TorchZipSource final : public TensorSource {
 public:
  TorchZipSource(std::unique_ptr<FileView> file, ZipArchive archive, std::string origin)
      : TensorSource(std::move(origin)), file_(std::move(file)), archive_(std::move(archive)) {}

  Status open() {
    STRAND_ASSIGN(const ZipEntry* pickle, find_pickle());
    if (pickle->size > kLargestPickle) {
      return bad_input(concat(origin(), ": ", pickle->name, ": ", pickle->size, " bytes; expected at most ",
                              kLargestPickle, " for a dictionary of tensors"));
    }
    STRAND_TRY(check_byte_order());
    std::string buffer;
    STRAND_ASSIGN(const std::string_view bytes, archive_.read(*pickle, &buffer));
    STRAND_ASSIGN(pickled_, read_pickled_tensors(bytes, concat(origin(), ": ", pickle->name)));
    std::ranges::stable_sort(pickled_, {}, &PickledTensor::name);
    std::vector<TensorInfo> infos;
    for (const PickledTensor& tensor : pickled_) {
      STRAND_TRY(check_storage(tensor));
      infos.push_back({tensor.name, tensor.type, tensor.shape, tensor.elements, origin()});
    }
    uint64_t stored = 0;
    for (const auto& [key, storage] : storages_) stored += storage.entry->size;
    return set_tensors(std::move(infos), stored);
  }

 protected:
  Status read_tensor(size_t index, std::span<float> out) override {
    const PickledTensor& tensor = pickled_[index];
    const std::string what = concat(origin(), ": tensor ", tensor.name);
    if (out.empty()) return {};
    STRAND_ASSIGN(const std::string_view bytes, storage(*storages_.at(tensor.storage).entry));
    const size_t size = static_cast<size_t>(tensor_type_bits(tensor.type)) / 8;
    if (is_contiguous(tensor)) {
      return convert_to_float(tensor.type, bytes.data() + static_cast<size_t>(tensor.offset) * size, out, what);
    }
    std::vector<float> all(static_cast<size_t>(tensor.storage_elements));
    STRAND_TRY(convert_to_float(tensor.type, bytes.data(), all, what));
    gather(tensor, all, out);
    return {};
  }

 private:
  struct Storage {
    const ZipEntry* entry = nullptr;
    TensorType type = TensorType::kF32;
    int64_t elements = 0;
  };

  Result<const ZipEntry*> find_pickle() {
    constexpr std::string_view kName = "data.pkl";
    const ZipEntry* found = nullptr;
    for (const ZipEntry& entry : archive_.entries()) {
      const size_t slash = entry.name.find('/');
      if (slash == std::string::npos || std::string_view(entry.name).substr(slash + 1) != kName) continue;
      if (found != nullptr) return bad_input(concat(origin(), ": holds two data.pkl; expected one"));
      found = &entry;
      prefix_ = entry.name.substr(0, slash + 1);
    }
    if (found == nullptr) {
      return bad_input(concat(origin(), ": a zip archive without data.pkl; expected a file of torch.save"));
    }
    return found;
  }

  Status check_byte_order() const {
    const ZipEntry* entry = archive_.find(prefix_ + "byteorder");
    if (entry == nullptr) return {};  // torch before 2.1: little-endian unless the machine was not
    std::string buffer;
    STRAND_ASSIGN(const std::string_view order, archive_.read(*entry, &buffer));
    if (trim(order) == "little") return {};
    return bad_input(concat(origin(), ": was written on a big-endian machine; save it again on a little-endian one"));
  }

  Status check_storage(const PickledTensor& tensor) {
    const auto [at, added] = storages_.try_emplace(tensor.storage);
    Storage& storage = at->second;
    if (added) {
      storage = {archive_.find(concat(prefix_, "data/", tensor.storage)), tensor.type, tensor.storage_elements};
    }
    const auto describe = [&] { return concat(origin(), ": tensor ", tensor.name, ": its storage ", tensor.storage); };
    if (storage.entry == nullptr) return bad_input(describe() + " is not in the archive; the file is damaged");
    if (storage.type != tensor.type || storage.elements != tensor.storage_elements) {
      return bad_input(describe() + " is described in two ways; the file is damaged");
    }
    const uint64_t size = static_cast<uint64_t>(tensor_type_bits(tensor.type)) / 8;
    if (storage.entry->size % size != 0 ||
        storage.entry->size / size != static_cast<uint64_t>(tensor.storage_elements)) {
      return bad_input(concat(origin(), ": ", storage.entry->name, ": ", storage.entry->size, " bytes, but ",
                              tensor.storage_elements, " elements of ", tensor_type_name(tensor.type),
                              " are expected"));
    }
    return {};
  }

  // The bytes of a storage, verified once. The last deflated one is kept: neighbours in the list often share it.
  Result<std::string_view> storage(const ZipEntry& entry) {
    if (current_ != &entry) {
      current_ = nullptr;
      STRAND_ASSIGN(current_bytes_, archive_.read(entry, &buffer_));
      current_ = &entry;
    }
    return current_bytes_;
  }

  // out in row-major order of the shape, from places that the strides give; the pickle's reader has checked them.
  static void gather(const PickledTensor& tensor, const std::vector<float>& all, std::span<float> out) {
    std::vector<int64_t> index(tensor.shape.size(), 0);
    int64_t place = tensor.offset;
    for (float& value : out) {
      value = all[static_cast<size_t>(place)];
      for (size_t axis = index.size(); axis-- > 0;) {
        place += tensor.strides[axis];
        if (++index[axis] < tensor.shape[axis]) break;
        place -= tensor.strides[axis] * tensor.shape[axis];
        index[axis] = 0;
      }
    }
  }

  std::unique_ptr<FileView> file_;
  ZipArchive archive_;
  std::string prefix_;
  std::vector<PickledTensor> pickled_;  // in order of tensors()
  std::map<std::string, Storage> storages_;
  const ZipEntry* current_ = nullptr;
  std::string buffer_;
  std::string_view current_bytes_;
};

// What a file that is no archive probably is.
Status check_is_archive(std::string_view bytes, const std::string& origin) {
  STRAND_TRY(check_not_lfs_pointer(bytes, origin));
  if (bytes.starts_with("PK")) return {};
  if (bytes.starts_with('\x80')) {
    return bad_input(concat(origin,
                            ": is a pickle of torch before 1.6, without an archive; load it in Python and save it"
                            " again: torch.save(torch.load(file, weights_only=True), file)"));
  }
  constexpr size_t kTarMagic = 257;
  if (bytes.size() > kTarMagic + 5 && bytes.substr(kTarMagic, 5) == "ustar") {
    return bad_input(concat(origin, ": is a tar of torch before 0.1.10; load it in Python and save it again"));
  }
  return bad_input(concat(origin, ": expected a zip archive of torch.save, found another file"));
}

}  // namespace

Result<std::unique_ptr<TensorSource>> torch_zip_source(std::unique_ptr<FileView> file, const std::string& origin) {
  STRAND_TRY(check_is_archive(file->bytes(), origin));
  STRAND_ASSIGN(ZipArchive archive, ZipArchive::open(file->bytes(), origin));
  auto source = std::make_unique<TorchZipSource>(std::move(file), std::move(archive), origin);
  STRAND_TRY(source->open());
  return std::unique_ptr<TensorSource>(std::move(source));
}

Result<std::unique_ptr<TensorSource>> open_torch_zip(FileSystem& fs, const std::string& path) {
  STRAND_ASSIGN(auto view, fs.view_file(path));
  return torch_zip_source(std::move(view), path);
}

}  // namespace strand
