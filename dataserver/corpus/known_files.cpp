#include "dataserver/corpus/known_files.h"

#include <sys/stat.h>

#include <array>
#include <filesystem>
#include <optional>

#include "shared/base/clock.h"
#include "shared/base/hash.h"

namespace strand {

namespace {

constexpr uint64_t kSettled = 2'000'000'000;  // nanoseconds

// What changes when a file does: size, device, inode, times of modification and change in nanoseconds.
using Marks = std::array<uint64_t, 5>;

uint64_t nanoseconds(const timespec& time) {
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

std::optional<Marks> marks_of(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  return Marks{static_cast<uint64_t>(status.st_size), status.st_dev, status.st_ino, nanoseconds(status.st_mtim),
               nanoseconds(status.st_ctim)};
}

std::string key_of(const std::string& path) {
  std::error_code none;
  const auto whole = std::filesystem::absolute(path, none);
  return "files/" + hash128(none ? path : whole.lexically_normal().string()).hex();
}

std::string encode(const Marks& marks, const FileIdentity& identity) {
  std::string bytes;
  for (const uint64_t mark : marks) bytes += big_endian_key("", mark);
  return bytes + big_endian_key("", identity.hash.high) + big_endian_key("", identity.hash.low);
}

std::optional<FileIdentity> decode(std::string_view bytes, const Marks& marks) {
  constexpr size_t kNumbers = std::tuple_size_v<Marks> + 2;
  if (bytes.size() != 8 * kNumbers) return std::nullopt;
  const auto number = [&](size_t i) { return parse_big_endian(bytes.substr(8 * i, 8)); };
  for (size_t i = 0; i < marks.size(); ++i) {
    if (number(i) != marks[i]) return std::nullopt;
  }
  return FileIdentity{marks[0], {number(kNumbers - 2), number(kNumbers - 1)}};
}

}  // namespace

Result<FileIdentity> identify_known_file(Store* store, const std::string& path, bool remember) {
  const std::optional<Marks> before = marks_of(path);
  if (!before) return identify_file(path);  // which says what is wrong
  const std::string key = key_of(path);
  if (const auto kept = store->get(key); kept.ok()) {
    if (const auto known = decode(*kept, *before)) return *known;
  }
  const auto now = static_cast<uint64_t>(SystemClock().wall_nanoseconds());
  STRAND_ASSIGN(const FileIdentity identity, identify_file(path));
  const bool settled = (*before)[3] + kSettled < now && (*before)[4] + kSettled < now;
  if (remember && settled && marks_of(path) == before) {
    StoreBatch batch;
    batch.put(key, encode(*before, identity));
    (void)store->write(batch);
  }
  return identity;
}

}  // namespace strand
