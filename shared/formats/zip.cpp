#include "shared/formats/zip.h"

#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <unordered_set>

#include "shared/base/text.h"

namespace strand {
namespace {

constexpr uint32_t kLocalSignature = 0x04034b50, kCentralSignature = 0x02014b50, kEndSignature = 0x06054b50;
constexpr uint32_t kZip64EndSignature = 0x06064b50, kZip64LocatorSignature = 0x07064b50;
constexpr uint64_t kLocalBytes = 30, kCentralBytes = 46, kEndBytes = 22, kZip64EndBytes = 56, kZip64LocatorBytes = 20;
constexpr uint32_t kIn64 = 0xffffffffu;  // the value stands in the zip64 record
constexpr uint64_t kMostEntries = 1'000'000;
// Deflate codes at most 258 bytes in 2 bits.
constexpr uint64_t kBestRatio = 1032;

// Little-endian numbers of a record that is known to be within the bytes.
class Record {
 public:
  Record(std::string_view bytes, uint64_t at, uint64_t size) : bytes_(bytes.substr(at, size)) {}
  uint16_t u16(size_t at) const { return number<uint16_t>(at); }
  uint32_t u32(size_t at) const { return number<uint32_t>(at); }
  uint64_t u64(size_t at) const { return number<uint64_t>(at); }

 private:
  template <class T>
  T number(size_t at) const {
    T value;
    std::memcpy(&value, bytes_.data() + at, sizeof value);
    return value;
  }
  std::string_view bytes_;
};

bool within(uint64_t at, uint64_t size, uint64_t total) {
  return at <= total && size <= total - at;
}

uint32_t checksum_of(std::string_view content) {
  uLong sum = crc32(0, nullptr, 0);
  while (!content.empty()) {
    const size_t piece = std::min<size_t>(content.size(), size_t{1} << 30);
    sum = crc32(sum, reinterpret_cast<const Bytef*>(content.data()), static_cast<uInt>(piece));
    content.remove_prefix(piece);
  }
  return static_cast<uint32_t>(sum);
}

// Inflates a raw deflate stream of exactly out->size() bytes.
bool inflate_all(std::string_view packed, std::string* out) {
  z_stream stream{};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) return false;
  size_t written = 0;
  int status = Z_OK;
  while (status == Z_OK) {
    const size_t in = std::min<size_t>(packed.size(), size_t{1} << 30);
    const size_t room = std::min<size_t>(out->size() - written, size_t{1} << 30);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
    stream.avail_in = static_cast<uInt>(in);
    stream.next_out = reinterpret_cast<Bytef*>(out->data() + written);
    stream.avail_out = static_cast<uInt>(room);
    status = inflate(&stream, Z_NO_FLUSH);
    packed.remove_prefix(in - stream.avail_in);
    written += room - stream.avail_out;
  }
  inflateEnd(&stream);
  return status == Z_STREAM_END && written == out->size() && packed.empty();
}

}  // namespace

Error ZipArchive::damaged(const std::string& what) const {
  return bad_input(concat(origin_, ": ", what, "; the archive is damaged or cut"));
}

Result<ZipArchive> ZipArchive::open(std::string_view bytes, const std::string& origin) {
  ZipArchive archive(bytes, origin);
  STRAND_ASSIGN(const Directory directory, archive.find_directory());
  STRAND_TRY(archive.read_directory(directory));
  STRAND_TRY(archive.check_entries());
  return archive;
}

const ZipEntry* ZipArchive::find(std::string_view name) const {
  const auto at = std::ranges::find(entries_, name, &ZipEntry::name);
  return at == entries_.end() ? nullptr : &*at;
}

// The end record stands last, before a comment of at most 65,535 bytes.
Result<ZipArchive::Directory> ZipArchive::find_directory() const {
  const uint64_t size = bytes_.size();
  for (uint64_t comment = 0; comment <= 0xffff && size >= kEndBytes + comment; ++comment) {
    const uint64_t at = size - kEndBytes - comment;
    const Record end(bytes_, at, kEndBytes);
    if (end.u32(0) != kEndSignature || end.u16(20) != comment) continue;
    if (at >= kZip64LocatorBytes &&
        Record(bytes_, at - kZip64LocatorBytes, kZip64LocatorBytes).u32(0) == kZip64LocatorSignature) {
      return read_zip64(at);
    }
    if (end.u16(4) != 0 || end.u16(6) != 0 || end.u16(8) != end.u16(10)) {
      return damaged("a zip archive over several disks");
    }
    return Directory{end.u16(10), end.u32(16), end.u32(12), at};
  }
  return damaged("no end of a zip archive");
}

Result<ZipArchive::Directory> ZipArchive::read_zip64(uint64_t end_record) const {
  const Record locator(bytes_, end_record - kZip64LocatorBytes, kZip64LocatorBytes);
  const uint64_t at = locator.u64(8);
  if (!within(at, kZip64EndBytes, end_record - kZip64LocatorBytes) ||
      Record(bytes_, at, kZip64EndBytes).u32(0) != kZip64EndSignature) {
    return damaged(concat("no zip64 record at byte ", at));
  }
  const Record end(bytes_, at, kZip64EndBytes);
  if (end.u32(16) != 0 || end.u32(20) != 0 || end.u64(24) != end.u64(32)) {
    return damaged("a zip archive over several disks");
  }
  return Directory{end.u64(32), end.u64(48), end.u64(40), at};
}

Status ZipArchive::read_directory(const Directory& directory) {
  if (!within(directory.begin, directory.size, directory.end_record)) {
    return damaged(concat("the list of entries, ", directory.size, " bytes at ", directory.begin, ", is not within"));
  }
  if (directory.entries > kMostEntries || directory.entries > directory.size / kCentralBytes) {
    return damaged(concat(directory.entries, " entries in a list of ", directory.size, " bytes"));
  }
  uint64_t at = directory.begin;
  for (uint64_t i = 0; i < directory.entries; ++i) {
    STRAND_ASSIGN(at, read_entry(at, directory));
  }
  if (at != directory.begin + directory.size) return damaged(concat("byte ", at, ": bytes after the list of entries"));
  return {};
}

// One record of the central directory; returns where the next one is.
Result<uint64_t> ZipArchive::read_entry(uint64_t at, const Directory& directory) {
  const uint64_t end = directory.begin + directory.size;
  if (!within(at, kCentralBytes, end) || Record(bytes_, at, kCentralBytes).u32(0) != kCentralSignature) {
    return damaged(concat("byte ", at, ": expected an entry of the list"));
  }
  const Record record(bytes_, at, kCentralBytes);
  const uint64_t name = record.u16(28), extra = record.u16(30), comment = record.u16(32);
  if (!within(at + kCentralBytes, name + extra + comment, end)) return damaged(concat("byte ", at, ": a cut entry"));
  ZipEntry entry;
  entry.name = bytes_.substr(at + kCentralBytes, name);
  const uint16_t flags = record.u16(8), method = record.u16(10);
  constexpr uint16_t kEncrypted = 0x2041, kPatch = 0x20;
  if ((flags & (kEncrypted | kPatch)) != 0) return damaged(concat("entry ", entry.name, " is encrypted or a patch"));
  if (method != 0 && method != Z_DEFLATED) {
    return damaged(concat("entry ", entry.name, " is packed by method ", method, ", expected stored or deflated"));
  }
  entry.deflated = method == Z_DEFLATED;
  entry.checksum = record.u32(16);
  entry.packed = record.u32(20);
  entry.size = record.u32(24);
  uint64_t local_header = record.u32(42);
  STRAND_TRY(read_sizes(bytes_.substr(at + kCentralBytes + name, extra), &local_header, &entry));
  STRAND_TRY(find_content(local_header, directory, &entry));
  entries_.push_back(std::move(entry));
  return at + kCentralBytes + name + extra + comment;
}

// What does not fit 32 bits stands in the extra field 1, in this order.
Status ZipArchive::read_sizes(std::string_view extra, uint64_t* local_header, ZipEntry* entry) const {
  std::string_view wide;
  while (extra.size() >= 4) {
    const Record head(extra, 0, 4);
    if (head.u16(2) > extra.size() - 4) return damaged(concat("entry ", entry->name, ": a cut extra field"));
    if (head.u16(0) == 1) wide = extra.substr(4, head.u16(2));
    extra.remove_prefix(4 + size_t{head.u16(2)});
  }
  for (uint64_t* value : {&entry->size, &entry->packed, local_header}) {
    if (*value != kIn64) continue;
    if (wide.size() < sizeof *value) return damaged(concat("entry ", entry->name, ": its 64-bit size is missing"));
    *value = Record(wide, 0, sizeof *value).u64(0);
    wide.remove_prefix(sizeof *value);
  }
  return {};
}

// The packed bytes come after the local header, whose name is the list's and whose extra field has a length of its own.
Status ZipArchive::find_content(uint64_t local_header, const Directory& directory, ZipEntry* entry) const {
  const auto wrong = [&] { return damaged(concat("entry ", entry->name, " is not where the list says")); };
  if (!within(local_header, kLocalBytes, directory.begin)) return wrong();
  const Record record(bytes_, local_header, kLocalBytes);
  const uint64_t name = record.u16(26), extra = record.u16(28);
  if (record.u32(0) != kLocalSignature || !within(local_header + kLocalBytes, name + extra, directory.begin) ||
      bytes_.substr(local_header + kLocalBytes, name) != entry->name) {
    return wrong();
  }
  entry->begin = local_header + kLocalBytes + name + extra;
  if (!within(entry->begin, entry->packed, directory.begin)) return wrong();
  if (!entry->deflated && entry->packed != entry->size) return wrong();
  if (entry->deflated && entry->size / kBestRatio > entry->packed) {
    return damaged(concat("entry ", entry->name, ": ", entry->packed, " bytes cannot unpack to ", entry->size));
  }
  return {};
}

Status ZipArchive::check_entries() {
  std::unordered_set<std::string_view> names;
  for (const ZipEntry& entry : entries_) {
    if (!names.insert(entry.name).second) return damaged(concat("entry ", entry.name, " is there twice"));
  }
  std::ranges::stable_sort(entries_, {}, &ZipEntry::begin);
  for (size_t i = 1; i < entries_.size(); ++i) {
    const ZipEntry& before = entries_[i - 1];
    if (before.begin + before.packed > entries_[i].begin) {
      return damaged(concat("entries ", before.name, " and ", entries_[i].name, " share bytes"));
    }
  }
  return {};
}

Result<std::string_view> ZipArchive::read(const ZipEntry& entry, std::string* buffer) const {
  std::string_view content = bytes_.substr(entry.begin, entry.packed);
  if (entry.deflated) {
    buffer->resize(entry.size);
    if (!inflate_all(content, buffer)) return damaged(concat("entry ", entry.name, " does not unpack"));
    content = *buffer;
  }
  if (checksum_of(content) != entry.checksum) {
    return damaged(concat("entry ", entry.name, " fails its CRC-32 (or torch wrote none: save the weights again)"));
  }
  return content;
}

}  // namespace strand
