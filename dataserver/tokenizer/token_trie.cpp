#include "dataserver/tokenizer/token_trie.h"

#include <algorithm>

namespace strand {

TokenTrie::TokenTrie(std::vector<std::pair<std::string, int32_t>> texts) : nodes_(1) {
  std::sort(texts.begin(), texts.end());
  // Nodes in order of depth; each stands for the texts [begin, end), which share its prefix.
  struct Range {
    size_t begin, end, depth;
  };
  std::vector<Range> ranges = {{0, texts.size(), 0}};
  for (size_t number = 0; number < ranges.size(); ++number) {
    auto [begin, end, depth] = ranges[number];
    if (begin < end && texts[begin].first.size() == depth) nodes_[number].value = texts[begin++].second;
    nodes_[number].first_child = static_cast<uint32_t>(nodes_.size());
    while (begin < end) {
      const char letter = texts[begin].first[depth];
      size_t next = begin;
      while (next < end && texts[next].first[depth] == letter) ++next;
      const uint8_t byte = static_cast<uint8_t>(letter);
      nodes_[number].bits[byte >> 6] |= uint64_t{1} << (byte & 63);
      ranges.push_back({begin, next, depth + 1});
      nodes_.emplace_back();
      begin = next;
    }
    Node& node = nodes_[number];
    for (size_t i = 1; i < node.bits.size(); ++i) {
      node.before[i] = static_cast<uint8_t>(node.before[i - 1] + std::popcount(node.bits[i - 1]));
    }
  }
  for (size_t byte = 0; byte < roots_.size(); ++byte) roots_[byte] = child(nodes_[0], static_cast<uint8_t>(byte));
}

}  // namespace strand
