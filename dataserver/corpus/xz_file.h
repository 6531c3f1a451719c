// The door to liblzma: the bytes of an .xz file, decompressed (any number of streams, as xz -d reads them).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

namespace strand {

// Reads a descriptor from its beginning; the descriptor is the caller's and stays open.
class XzFile {
 public:
  // The first bytes of every .xz file.
  static constexpr std::string_view kMagic{"\xfd\x37\x7a\x58\x5a\x00", 6};
  // What a file may ask for to be decompressed (xz -9 needs 65 MiB). More is refused as damaged.
  static constexpr uint64_t kMostMemory = uint64_t{1} << 30;

  explicit XzFile(int descriptor);
  ~XzFile();
  XzFile(const XzFile&) = delete;
  XzFile& operator=(const XzFile&) = delete;

  // Up to `capacity` bytes; 0 only at the whole file's end, -1 for what is truncated, damaged, followed by something
  // that is no xz, or beyond kMostMemory.
  ptrdiff_t read(char* buffer, size_t capacity);

 private:
  struct Decoder;
  std::unique_ptr<Decoder> decoder_;
};

}  // namespace strand
