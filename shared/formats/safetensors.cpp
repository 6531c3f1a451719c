#include "shared/formats/safetensors.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <unordered_set>

#include "shared/base/text.h"
#include "shared/formats/json.h"

namespace strand {
namespace {

// The header's JSON, read without building a document: the first thing that is not the format's ends it.
class HeaderReader final : public Json::json_sax_t {
 public:
  explicit HeaderReader(SafetensorsHeader* header) : header_(header) {}

  const std::string& problem() const { return problem_; }

  bool key(string_t& name) override {
    switch (depth_) {
      case 1: return open_tensor(name);
      case 2: return in_metadata_ ? open_metadata(name) : open_field(name);
      default: return fail("an object within an object");
    }
  }
  bool start_object(std::size_t) override {
    if (depth_ == 0 || (depth_ == 1 && !name_.empty())) {
      ++depth_;
      return true;
    }
    return wrong("an object");
  }
  bool end_object() override {
    --depth_;
    return depth_ != 1 || in_metadata_ ? true : close_tensor();
  }
  bool start_array(std::size_t) override {
    if (depth_ != 2 || in_metadata_ || (field_ != "shape" && field_ != "data_offsets")) return wrong("an array");
    depth_ = 3;
    return true;
  }
  bool end_array() override {
    depth_ = 2;
    if (field_ == "data_offsets" && offsets_.size() != 2) return fail("data_offsets: expected two numbers");
    return true;
  }
  bool string(string_t& text) override {
    if (depth_ != 2) return wrong("a text");
    if (in_metadata_) {
      header_->metadata.emplace_back(field_, text);
      return true;
    }
    if (field_ != "dtype") return wrong("a text");
    const auto type = find_tensor_type(text);
    if (!type) return fail(concat("dtype: \"", text.substr(0, 40), "\" is not a known type"));
    entry_.type = *type;
    return true;
  }
  bool number_unsigned(number_unsigned_t value) override {
    if (depth_ != 3) return wrong("a number");
    if (value > static_cast<uint64_t>(INT64_MAX)) return fail(concat(field_, ": ", value, " is too large"));
    if (field_ == "shape") entry_.shape.push_back(static_cast<int64_t>(value));
    if (field_ == "data_offsets") offsets_.push_back(value);
    return true;
  }
  bool number_integer(number_integer_t) override { return wrong("a negative number"); }
  bool number_float(number_float_t, const string_t&) override { return wrong("a number with a point"); }
  bool null() override { return wrong("null"); }
  bool boolean(bool) override { return wrong("a boolean"); }
  bool binary(binary_t&) override { return wrong("binary data"); }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) override {
    problem_ = concat("the header is not valid JSON at its byte ", position);
    return false;
  }

 private:
  bool fail(const std::string& what) {
    problem_ = name_.empty() ? what : concat("tensor ", name_.substr(0, 200), ": ", what);
    return false;
  }
  bool wrong(const char* found) {
    return fail(concat(field_.empty() ? "the header" : field_.substr(0, 40), ": ", found, " does not belong there"));
  }

  bool open_tensor(const std::string& name) {
    name_ = name;
    field_.clear();
    if (name.empty()) return fail("a tensor without a name");
    if (!names_.insert(name).second) return fail("is there twice");
    in_metadata_ = name == "__metadata__";
    entry_ = SafetensorsEntry{};
    entry_.name = name;
    offsets_.clear();
    fields_.clear();
    return true;
  }
  bool open_metadata(const std::string& key) {
    field_ = key;
    return metadata_keys_.insert(key).second || fail(concat("the key ", key.substr(0, 40), " is there twice"));
  }
  bool open_field(const std::string& field) {
    field_ = field;
    if (field != "dtype" && field != "shape" && field != "data_offsets") {
      return fail(concat("unknown key \"", field.substr(0, 40), "\"; expected dtype, shape and data_offsets"));
    }
    return fields_.insert(field).second || fail(concat(field, " is there twice"));
  }
  bool close_tensor() {
    if (fields_.size() != 3) return fail("expected dtype, shape and data_offsets");
    entry_.begin = offsets_[0];
    entry_.end = offsets_[1];
    header_->entries.push_back(std::move(entry_));
    name_.clear();
    return true;
  }

  SafetensorsHeader* header_;
  std::string problem_;
  int depth_ = 0;  // 1: names; 2: fields or metadata; 3: within an array
  bool in_metadata_ = false;
  std::string name_, field_;
  SafetensorsEntry entry_;
  std::vector<uint64_t> offsets_;
  std::unordered_set<std::string> names_, fields_, metadata_keys_;
};

// That every entry's bytes are its shape's, and that all of them together are the data.
Status check_layout(SafetensorsHeader* header, uint64_t data_bytes, const std::string& origin) {
  for (SafetensorsEntry& entry : header->entries) {
    const auto describe = [&] { return concat(origin, ": tensor ", entry.name); };
    const auto elements = shape_elements(entry.shape);
    const auto bits = static_cast<int64_t>(tensor_type_bits(entry.type));
    if (!elements || *elements > (int64_t{1} << 62) / bits) {
      return bad_input(concat(describe(), ": the shape ", shape_text(entry.shape), " is too large"));
    }
    if (*elements * bits % 8 != 0) {
      return bad_input(concat(describe(), ": ", *elements, " elements of ", bits, " bits are not whole bytes"));
    }
    const auto bytes = static_cast<uint64_t>(*elements * bits / 8);
    entry.elements = *elements;
    if (entry.begin > entry.end || entry.end > data_bytes) {
      return bad_input(concat(describe(), ": its bytes ", entry.begin, " to ", entry.end, " are not within the ",
                              data_bytes, " bytes of data; the file is damaged or cut"));
    }
    if (entry.end - entry.begin != bytes) {
      return bad_input(concat(describe(), ": ", entry.end - entry.begin, " bytes, but ", tensor_type_name(entry.type),
                              " ", shape_text(entry.shape), " has ", bytes,
                              "; the file is damaged: take another copy"));
    }
  }
  std::ranges::stable_sort(header->entries, {}, [](const auto& e) { return std::pair(e.begin, e.end); });
  uint64_t at = 0;
  for (const SafetensorsEntry& entry : header->entries) {
    if (entry.begin != at) {
      return bad_input(concat(origin, ": tensor ", entry.name, " begins at byte ", entry.begin, " of the data, ",
                              entry.begin < at ? "where another one still is" : "after bytes of nobody", "; expected ",
                              at, "; the file is damaged: take another copy"));
    }
    at = entry.end;
  }
  if (at != data_bytes) {
    return bad_input(concat(origin, ": ", data_bytes, " bytes of data, but the tensors end at ", at,
                            "; the file is damaged: take another copy"));
  }
  return {};
}

class SafetensorsSource final : public TensorSource {
 public:
  SafetensorsSource(std::unique_ptr<FileView> file, std::string origin)
      : TensorSource(std::move(origin)), file_(std::move(file)) {}

  Status open() {
    STRAND_ASSIGN(SafetensorsHeader header, parse_safetensors(file_->bytes(), origin()));
    std::vector<TensorInfo> tensors;
    std::ranges::sort(header.entries, {}, &SafetensorsEntry::name);
    for (const SafetensorsEntry& entry : header.entries) {
      tensors.push_back({entry.name, entry.type, entry.shape, entry.elements, origin()});
      begins_.push_back(header.data_begin + entry.begin);
    }
    return set_tensors(std::move(tensors), file_->bytes().size() - header.data_begin);
  }

 protected:
  Status read_tensor(size_t index, std::span<float> out) override {
    const TensorInfo& tensor = tensors()[index];
    return convert_to_float(tensor.type, file_->bytes().data() + begins_[index], out,
                            concat(origin(), ": tensor ", tensor.name));
  }

 private:
  std::unique_ptr<FileView> file_;
  std::vector<uint64_t> begins_;  // in the file, in order of tensors()
};

}  // namespace

Result<SafetensorsHeader> parse_safetensors(std::string_view file, const std::string& origin) {
  constexpr size_t kPrefix = sizeof(uint64_t);
  STRAND_TRY(check_not_lfs_pointer(file, origin));
  if (file.size() < kPrefix) {
    return bad_input(concat(origin, ": ", file.size(), " bytes; expected a safetensors file"));
  }
  uint64_t length = 0;
  std::memcpy(&length, file.data(), kPrefix);
  if (length > kLargestSafetensorsHeader || length > file.size() - kPrefix) {
    return bad_input(concat(origin, ": its header would have ", length, " bytes, expected at most ",
                            std::min<uint64_t>(kLargestSafetensorsHeader, file.size() - kPrefix),
                            "; it is damaged, cut, or not a safetensors file"));
  }
  const std::string_view json = file.substr(kPrefix, length);
  if (!json.starts_with('{')) return bad_input(concat(origin, ": byte 8: expected \"{\", the safetensors header"));
  SafetensorsHeader header;
  HeaderReader reader(&header);
  try {
    if (!Json::sax_parse(json.begin(), json.end(), &reader)) {
      return bad_input(concat(origin, ": ", reader.problem()));
    }
  } catch (const std::exception& e) {
    return bad_input(concat(origin, ": the header cannot be read: ", e.what()));
  }
  header.data_begin = kPrefix + length;
  STRAND_TRY(check_layout(&header, file.size() - header.data_begin, origin));
  return header;
}

Result<std::unique_ptr<TensorSource>> safetensors_source(std::unique_ptr<FileView> file, const std::string& origin) {
  auto source = std::make_unique<SafetensorsSource>(std::move(file), origin);
  STRAND_TRY(source->open());
  return std::unique_ptr<TensorSource>(std::move(source));
}

Result<std::unique_ptr<TensorSource>> open_safetensors(FileSystem& fs, const std::string& path) {
  STRAND_ASSIGN(auto view, fs.view_file(path));
  return safetensors_source(std::move(view), path);
}

}  // namespace strand
