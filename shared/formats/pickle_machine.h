// The stack machine under pickle.h: values without behaviour, and one method for each group of instructions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "shared/base/result.h"
#include "shared/formats/pickle.h"

namespace strand {

enum class PickleKind : uint8_t {
  kNone,
  kBool,
  kInt,
  kFloat,
  kText,
  kTuple,
  kList,
  kDict,         // made by OrderedDict, too
  kOrderedDict,  // the class
  kRebuildTensor,
  kRebuildParameter,
  kStorageClass,
  kStorage,
  kTensor,
};

using PickleRef = uint32_t;  // index of a value; values may refer to each other in circles

struct PickleValue {
  PickleKind kind = PickleKind::kNone;
  int64_t number = 0;                  // kBool, kInt; kStorage: elements; kTensor: index in the machine's tensors
  TensorType type = TensorType::kF32;  // kStorageClass, kStorage
  std::string_view text{};             // of the pickle's bytes. kText; kStorage: key
  std::vector<PickleRef> items{};      // kTuple, kList
  std::vector<std::pair<PickleRef, PickleRef>> members{};  // kDict
};

const char* pickle_kind_name(PickleKind kind);  // "a tensor"
// A text of the file within a message: at most 100 characters, printable ones only.
std::string shown_text(std::string_view text);

class PickleMachine {
 public:
  PickleMachine(std::string_view bytes, std::string origin) : bytes_(bytes), origin_(std::move(origin)) {}

  // Runs to STOP; the one value left is the result.
  Result<PickleRef> run();
  const PickleValue& value(PickleRef ref) const { return values_[ref]; }
  const PickledTensor& tensor(const PickleValue& value) const { return tensors_[static_cast<size_t>(value.number)]; }

 private:
  Error problem(const std::string& what) const;
  Result<std::string_view> take(uint64_t count);
  Result<uint64_t> number(int bytes);
  Result<std::string_view> line();
  Result<std::string_view> counted(int length_bytes);

  Status step(uint8_t op, bool* stop);
  Status scalar(uint8_t op);
  Status container(uint8_t op);
  Status memo(uint8_t op);
  Status frame(uint8_t op);
  Status call(uint8_t op);

  Status check_sizes() const;
  void push(PickleValue value);
  Result<PickleRef> pop();
  Result<std::vector<PickleRef>> pop_to_mark();
  Result<PickleValue*> top(PickleKind kind, const char* name);

  Status push_number(int bytes, bool is_signed);
  Status push_long();
  Status push_tuple(size_t count);
  Status set_items(const std::vector<PickleRef>& items);
  Status put(uint64_t slot);
  Status get(uint64_t slot);
  Status global(std::string_view module, std::string_view name);
  Status persistent();
  Status reduce();
  Status build();
  Status rebuild_tensor(const std::vector<PickleRef>& arguments);
  Result<std::vector<int64_t>> integers(PickleRef ref, const char* what) const;

  std::string_view bytes_;
  std::string origin_;
  size_t at_ = 0, op_at_ = 0;
  std::vector<PickleValue> values_;
  std::vector<PickledTensor> tensors_;
  std::vector<PickleRef> stack_;
  std::vector<size_t> marks_;  // heights of the stack
  std::unordered_map<uint64_t, PickleRef> memo_;
};

}  // namespace strand
