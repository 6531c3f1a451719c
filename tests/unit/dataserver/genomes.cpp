#include "tests/unit/dataserver/genomes.h"

#include <lzma.h>
#include <stdlib.h>
#include <zlib.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "shared/base/check.h"

namespace strand::testing {

TemporaryFolder::TemporaryFolder() {
  std::string pattern = std::filesystem::temp_directory_path() / "strand_data_XXXXXX";
  STRAND_CHECK(::mkdtemp(pattern.data()) != nullptr, pattern);
  path_ = pattern;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TemporaryFolder::file(const std::string& name, const std::string& bytes) const {
  const std::string path = path_ + "/" + name;
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

std::string read_file(const std::string& path) {
  std::ostringstream bytes;
  bytes << std::ifstream(path, std::ios::binary).rdbuf();
  return bytes.str();
}

// window_bits as zlib's deflateInit2: 31 for gzip, -15 for a bare stream.
static std::string deflated(const std::string& text, int window_bits) {
  z_stream stream = {};
  STRAND_CHECK(deflateInit2(&stream, 6, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(deflateBound(&stream, text.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  STRAND_CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string gzip(const std::string& text) {
  return deflated(text, 31);
}

static void append_little_endian(std::string* out, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out->push_back(static_cast<char>(value >> (8 * i)));
}

std::string bgzip(const std::string& text, size_t block) {
  std::string out;
  for (size_t at = 0;; at += block) {  // the last block is the empty end marker
    const std::string piece = at < text.size() ? text.substr(at, block) : "";
    const std::string body = deflated(piece, -15);
    out.append("\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0", 16);
    append_little_endian(&out, body.size() + 25, 2);  // the whole block's size - 1
    out += body;
    append_little_endian(&out, crc32(0, reinterpret_cast<const Bytef*>(piece.data()), static_cast<uInt>(piece.size())),
                         4);
    append_little_endian(&out, piece.size(), 4);
    if (piece.empty()) return out;
  }
}

std::string xz(const std::string& text) {
  std::string out(lzma_stream_buffer_bound(text.size()), '\0');
  size_t used = 0;
  STRAND_CHECK(lzma_easy_buffer_encode(1, LZMA_CHECK_CRC64, nullptr, reinterpret_cast<const uint8_t*>(text.data()),
                                       text.size(), reinterpret_cast<uint8_t*>(out.data()), &used,
                                       out.size()) == LZMA_OK);
  out.resize(used);
  return out;
}

std::string random_letters(std::mt19937_64* random, size_t length, const std::string& alphabet) {
  std::string letters(length, ' ');
  for (char& letter : letters) letter = alphabet[(*random)() % alphabet.size()];
  return letters;
}

std::string random_sequence(std::mt19937_64* random, size_t length) {
  static const std::vector<std::string> kAlphabets = {"ACGT", "ACGT", "acgt", "N", "nN", "RYSWKMBDHVryswkmbdhv"};
  std::string letters;
  while (letters.size() < length) {
    const std::string& alphabet = kAlphabets[(*random)() % kAlphabets.size()];
    letters += random_letters(random, 1 + (*random)() % (alphabet.size() == 4 ? 300 : 20), alphabet);
  }
  letters.resize(length);
  return letters;
}

std::string fasta(const std::vector<std::pair<std::string, std::string>>& records, size_t width) {
  std::string text;
  for (const auto& [name, letters] : records) {
    text += ">" + name + " made up\n";
    for (size_t at = 0; at < letters.size(); at += width) text += letters.substr(at, width) + "\n";
  }
  return text;
}

Status MemoryStore::spend() {
  if (operations_left == 0) return unavailable("no space left on device");
  if (operations_left > 0) --operations_left;
  return {};
}

Result<std::string> MemoryStore::get(std::string_view key) {
  const auto found = values.find(key);
  if (found == values.end()) return not_found(std::string(key));
  return found->second;
}

Status MemoryStore::write(const StoreBatch& batch) {
  STRAND_TRY(spend());
  for (const auto& operation : batch.operations) {
    if (operation.remove) {
      values.erase(operation.key);
    } else {
      values[operation.key] = operation.value;
    }
  }
  return {};
}

Status MemoryStore::scan(std::string_view prefix,
                         const std::function<bool(std::string_view, std::string_view)>& visit) {
  for (auto at = values.lower_bound(prefix); at != values.end() && at->first.starts_with(prefix); ++at) {
    if (!visit(at->first, at->second)) break;
  }
  return {};
}

namespace {
class MemoryBulkWriter final : public Store::BulkWriter {
 public:
  explicit MemoryBulkWriter(MemoryStore* store) : store_(store) {}
  Status put(std::string_view key, std::string_view value) override {
    STRAND_TRY(store_->spend());
    STRAND_CHECK(batch_.operations.empty() || batch_.operations.back().key < key, "keys must rise");
    batch_.put(std::string(key), std::string(value));
    return {};
  }
  Status finish() override { return store_->write(batch_); }

 private:
  MemoryStore* store_;
  StoreBatch batch_;
};
}  // namespace

Result<std::unique_ptr<Store::BulkWriter>> MemoryStore::bulk_writer() {
  return std::unique_ptr<BulkWriter>(std::make_unique<MemoryBulkWriter>(this));
}

}  // namespace strand::testing
