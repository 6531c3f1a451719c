#include <array>
#include <bit>

#include "shared/base/text.h"
#include "shared/metrics/metrics.h"

namespace strand {
namespace {

// CRC-32C (Castagnoli, reflected polynomial 0x82F63B78), and TFRecord's masking of it.
constexpr std::array<uint32_t, 256> kCrcTable = [] {
  std::array<uint32_t, 256> table{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78u : 0);
    table[byte] = crc;
  }
  return table;
}();

uint32_t masked_crc(std::string_view bytes) {
  uint32_t crc = ~0u;
  for (const char c : bytes) crc = crc >> 8 ^ kCrcTable[(crc ^ static_cast<unsigned char>(c)) & 0xff];
  crc = ~crc;
  return std::rotr(crc, 15) + 0xa282ead8u;
}

template <class T>
std::string little_endian(T value) {
  std::string out;
  for (size_t i = 0; i < sizeof value; ++i) out.push_back(static_cast<char>(value >> (8 * i)));
  return out;
}

std::string varint(uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
  return out;
}

// Protobuf fields: number and wire type (0 varint, 1 eight bytes, 2 length-delimited, 5 four bytes), then the value.
std::string key(int number, int wire_type) {
  return varint(static_cast<uint64_t>(number << 3 | wire_type));
}
std::string bytes_field(int number, std::string_view bytes) {
  return concat(key(number, 2), varint(bytes.size()), bytes);
}

// Event: 1 wall_time (double), 2 step (int64), 3 file_version (string), 5 summary; Summary: 1 value (repeated);
// Summary.Value: 1 tag (string), 2 simple_value (float).
std::string event(int64_t wall_nanoseconds) {
  return key(1, 1) + little_endian(std::bit_cast<uint64_t>(static_cast<double>(wall_nanoseconds) * 1e-9));
}

std::string record(const std::string& data) {
  const std::string length = little_endian(uint64_t{data.size()});
  return length + little_endian(masked_crc(length)) + data + little_endian(masked_crc(data));
}

}  // namespace

struct TensorBoardFile::State {
  std::mutex mutex;
  std::unique_ptr<WritableFile> file;
  Status append(const std::string& data) {
    const std::string framed = record(data);
    const std::lock_guard lock(mutex);
    return file->append(framed.data(), framed.size());
  }
};

TensorBoardFile::TensorBoardFile() : state_(std::make_unique<State>()) {}
TensorBoardFile::~TensorBoardFile() = default;

Result<std::unique_ptr<TensorBoardFile>> TensorBoardFile::create(FileSystem& fs, const std::string& directory,
                                                                 int64_t wall_nanoseconds) {
  STRAND_TRY(fs.make_directories(directory));
  std::unique_ptr<TensorBoardFile> made(new TensorBoardFile);
  // TensorBoard finds files by "tfevents" in the name and reads them in the order of their names.
  const std::string path = concat(directory, "/events.out.tfevents.", wall_nanoseconds / 1'000'000'000, ".strand.",
                                  wall_nanoseconds % 1'000'000'000);
  STRAND_ASSIGN(made->state_->file, fs.create_exclusive(path));
  STRAND_TRY(made->state_->append(event(wall_nanoseconds) + bytes_field(3, "brain.Event:2")));
  return made;
}

Status TensorBoardFile::add_scalar(const std::string& tag, int64_t step, double value, int64_t wall_nanoseconds) {
  const std::string simple = key(2, 5) + little_endian(std::bit_cast<uint32_t>(static_cast<float>(value)));
  const std::string summary = bytes_field(1, bytes_field(1, tag) + simple);
  return state_->append(event(wall_nanoseconds) + key(2, 0) + varint(static_cast<uint64_t>(step)) +
                        bytes_field(5, summary));
}

}  // namespace strand
