// Any bytes as a safetensors file, and as the header of one: refused with an error, or a list of tensors that are the
// data without gaps, can be read, and come back from our own writer the same.
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "shared/base/check.h"
#include "shared/formats/safetensors.h"
#include "tests/fuzz/fuzz_main.h"
#include "tests/support/faulty_file_system.h"

namespace {

using strand::TensorInfo;
using strand::TensorSource;

std::vector<float> values(TensorSource& source, const TensorInfo& tensor) {
  std::vector<float> out(static_cast<size_t>(tensor.elements));
  STRAND_CHECK(source.read(tensor.name, out).ok());
  return out;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

void check_written_again(TensorSource& source) {
  strand::FaultyFileSystem fs;  // in memory
  STRAND_CHECK(fs.make_directories("/m").ok());
  std::vector<strand::TensorToWrite> tensors;
  for (const TensorInfo& tensor : source.tensors()) {
    // A 64-bit number may be beyond a float; everything else that is floating can be read.
    if (!strand::is_floating(tensor.type) || tensor.type == strand::TensorType::kF64) continue;
    tensors.push_back({tensor.name, tensor.shape,
                       [&source, name = tensor.name](std::span<float> out) { return source.read(name, out); }});
  }
  STRAND_CHECK(strand::write_safetensors(fs, "/m/x.safetensors", tensors).ok());
  const auto again = strand::open_safetensors(fs, "/m/x.safetensors");
  STRAND_CHECK(again.ok());
  STRAND_CHECK((*again)->tensors().size() == tensors.size());
  for (const TensorInfo& tensor : (*again)->tensors()) {
    const TensorInfo* before = source.find(tensor.name);
    STRAND_CHECK(before != nullptr && before->shape == tensor.shape);
    STRAND_CHECK(same_bits(values(**again, tensor), values(source, *before)));
  }
}

void check_file(std::string bytes) {
  const auto header = strand::parse_safetensors(bytes, "fuzz.safetensors");
  if (!header.ok()) {
    STRAND_CHECK(header.error().code() == strand::ErrorCode::kBadInput, header.error().message());
    return;
  }
  uint64_t at = 0;
  for (const strand::SafetensorsEntry& entry : header->entries) {
    STRAND_CHECK(entry.begin == at && entry.end >= entry.begin);
    at = entry.end;
  }
  STRAND_CHECK(header->data_begin + at == bytes.size());
  const auto source = strand::safetensors_source(strand::make_file_view(std::move(bytes)), "fuzz.safetensors");
  STRAND_CHECK(source.ok());
  check_written_again(**source);
}

}  // namespace

int fuzz_one(const uint8_t* data, size_t size) {
  const std::string raw(reinterpret_cast<const char*>(data), size);
  check_file(raw);
  // The input after a length of its own as a header, with data behind it.
  const std::string json = raw.substr(size > 8 ? 8 : 0);
  const uint64_t length = json.size();
  check_file(std::string(reinterpret_cast<const char*>(&length), sizeof length) + json + std::string(56, '\1'));
  return 0;
}
