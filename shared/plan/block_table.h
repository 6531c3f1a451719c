// The blocks of a parameter table, in order: what digests are made of, and where ranges and checkpoint parts may be
// cut.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "shared/base/result.h"
#include "shared/job_spec/parameter_table.h"
#include "shared/plan/key_range.h"

namespace strand {

struct TensorBlock {
  size_t tensor = 0;  // in the table
  int64_t block = 0;  // within the tensor
  int64_t first_element = 0;
  int64_t elements = 0;  // kRangeBlockElements, or fewer in a tensor's last block
};

class BlockTable {
 public:
  // `table`: contiguous from 0, as job_parameter_table makes it.
  explicit BlockTable(const std::vector<ParameterInfo>& table);

  // Blocks [first, end) of the table.
  struct Run {
    size_t first = 0, end = 0;
  };
  // kBadInput, naming the element, for a range that does not begin and end with blocks of the table. A range without
  // elements has no blocks.
  Result<Run> blocks_of(KeyRange range) const;
  // The number of the block of a tensor; size() when the table has none such.
  size_t find(size_t tensor, int64_t block) const;

  size_t size() const { return blocks_.size(); }
  const TensorBlock& operator[](size_t number) const { return blocks_[number]; }
  int64_t elements() const { return elements_; }

 private:
  size_t at(int64_t element) const;  // the block that begins there, size() at the end; size() + 1: none

  std::vector<TensorBlock> blocks_;
  std::vector<size_t> first_of_tensor_;  // and size() at the end
  int64_t elements_ = 0;
};

}  // namespace strand
