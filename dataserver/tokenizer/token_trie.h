// Finds the longest of a set of texts that starts at a place: how vocabularies without merges and special tokens are
// cut out of a text.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace strand {

class TokenTrie {
 public:
  struct Match {
    int32_t value = -1;  // -1: no text starts there
    size_t length = 0;
  };

  // Texts, none empty and none twice, with values that are not negative. Memory: 48 bytes for each distinct prefix.
  explicit TokenTrie(std::vector<std::pair<std::string, int32_t>> texts);

  bool empty() const { return nodes_.size() == 1; }

  // Some text starts with this byte.
  bool starts(char byte) const { return roots_[static_cast<uint8_t>(byte)] != 0; }

  Match longest(std::string_view text, size_t at) const {
    Match match;
    uint32_t node = roots_[static_cast<uint8_t>(text[at])];
    for (size_t end = at + 1; node != 0; ++end) {
      if (nodes_[node].value >= 0) match = {nodes_[node].value, end - at};
      if (end == text.size()) break;
      node = child(nodes_[node], static_cast<uint8_t>(text[end]));
    }
    return match;
  }

 private:
  // Children lie side by side in the order of their bytes: a bit for each byte that has one, and before[i] counts those
  // in the words below i.
  struct Node {
    std::array<uint64_t, 4> bits{};
    std::array<uint8_t, 4> before{};
    uint32_t first_child = 0;
    int32_t value = -1;
  };

  static uint32_t child(const Node& node, uint8_t byte) {
    const uint64_t word = node.bits[byte >> 6], bit = uint64_t{1} << (byte & 63);
    if ((word & bit) == 0) return 0;
    return node.first_child + node.before[byte >> 6] + static_cast<uint32_t>(std::popcount(word & (bit - 1)));
  }

  std::vector<Node> nodes_;            // the first is the root
  std::array<uint32_t, 256> roots_{};  // the root's children; 0: none
};

}  // namespace strand
