// Sequences whose end did not fit into a row: how many, by how much, and the first of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace strand {

class CutSequences {
 public:
  void add(const std::string& name, size_t kept, size_t tokens);
  int64_t count() const { return count_; }
  // "1 sequence was cut at PLACE, 172 tokens left out (long keeps 128 of 300 tokens)"; empty when none was.
  std::string note(const std::string& place) const;

 private:
  int64_t count_ = 0, left_out_ = 0;
  std::string first_;
};

// "1 sequence was cut", "2 sequences were cut".
std::string sequences_were(int64_t count, const std::string& what);

}  // namespace strand
