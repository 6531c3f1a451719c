// Lists of texts in a file, as the Python sides of comparisons write them: for each text its length in bytes (uint32,
// little-endian), then the bytes.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

namespace strand {

inline std::string read_text_list(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

// The texts lie in `file`.
inline std::vector<std::string_view> cut_text_list(std::string_view file) {
  std::vector<std::string_view> texts;
  while (file.size() >= sizeof(uint32_t)) {
    uint32_t length = 0;
    std::memcpy(&length, file.data(), sizeof length);
    texts.push_back(file.substr(sizeof length, length));
    file.remove_prefix(std::min<size_t>(file.size(), sizeof length + length));
  }
  return texts;
}

}  // namespace strand
