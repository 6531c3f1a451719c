#include "shared/formats/pickle_machine.h"

#include <algorithm>
#include <cstring>

#include "shared/base/text.h"

namespace strand {
namespace {

// The instructions of the subset (CPython, Lib/pickle.py).
enum Op : uint8_t {
  kMark = '(',
  kStop = '.',
  kPop = '0',
  kPopMark = '1',
  kNoneOp = 'N',
  kNewTrue = 0x88,
  kNewFalse = 0x89,
  kBinInt = 'J',
  kBinInt1 = 'K',
  kBinInt2 = 'M',
  kLong1 = 0x8a,
  kBinFloat = 'G',
  kBinUnicode = 'X',
  kShortBinUnicode = 0x8c,
  kBinUnicode8 = 0x8d,
  kBinString = 'T',
  kShortBinString = 'U',
  kEmptyTuple = ')',
  kTuple = 't',
  kTuple1 = 0x85,
  kTuple2 = 0x86,
  kTuple3 = 0x87,
  kEmptyList = ']',
  kAppend = 'a',
  kAppends = 'e',
  kEmptyDict = '}',
  kSetItem = 's',
  kSetItems = 'u',
  kBinPut = 'q',
  kLongBinPut = 'r',
  kMemoize = 0x94,
  kBinGet = 'h',
  kLongBinGet = 'j',
  kProto = 0x80,
  kFrame = 0x95,
  kGlobal = 'c',
  kStackGlobal = 0x93,
  kReduce = 'R',
  kBuild = 'b',
  kBinPersid = 'Q',
};

// Many tensors may have one and the same shape or storage in the pickle; each gets a copy of it.
constexpr size_t kMostDimensions = 64;      // torch's own limit
constexpr size_t kLongestStorageKey = 100;  // torch numbers them

struct StorageClass {
  std::string_view name;
  TensorType type;
};
constexpr StorageClass kStorageClasses[] = {
    {"FloatStorage", TensorType::kF32},     {"DoubleStorage", TensorType::kF64}, {"HalfStorage", TensorType::kF16},
    {"BFloat16Storage", TensorType::kBF16}, {"LongStorage", TensorType::kI64},   {"IntStorage", TensorType::kI32},
    {"ShortStorage", TensorType::kI16},     {"CharStorage", TensorType::kI8},    {"ByteStorage", TensorType::kU8},
    {"BoolStorage", TensorType::kBool},
};

}  // namespace

Error PickleMachine::problem(const std::string& what) const {
  return bad_input(concat(origin_, ": byte ", op_at_, ": ", what));
}

Result<std::string_view> PickleMachine::take(uint64_t count) {
  if (count > bytes_.size() - at_) return problem("the pickle ends within an instruction; it is damaged or cut");
  const std::string_view out = bytes_.substr(at_, count);
  at_ += count;
  return out;
}

// Little-endian, unsigned, 1 to 8 bytes.
Result<uint64_t> PickleMachine::number(int bytes) {
  STRAND_ASSIGN(const std::string_view raw, take(static_cast<uint64_t>(bytes)));
  uint64_t value = 0;
  std::memcpy(&value, raw.data(), raw.size());
  return value;
}

Result<std::string_view> PickleMachine::line() {
  const size_t end = bytes_.find('\n', at_);
  if (end == std::string_view::npos) return problem("a line without an end; the pickle is damaged or cut");
  STRAND_ASSIGN(const std::string_view text, take(end - at_));
  ++at_;
  return text;
}

Result<std::string_view> PickleMachine::counted(int length_bytes) {
  STRAND_ASSIGN(const uint64_t length, number(length_bytes));
  return take(length);
}

// One instruction adds one entry to each of these at most.
Status PickleMachine::check_sizes() const {
  if (tensors_.size() > kMostPickledTensors) {
    return problem(concat("more than ", kMostPickledTensors, " tensors; no model that is read has as many"));
  }
  const size_t most = std::max({values_.size(), stack_.size(), marks_.size(), memo_.size()});
  if (most <= kMostPickledValues) return {};
  return problem(concat("more than ", kMostPickledValues, " values, too many for a dictionary of ", kMostPickledTensors,
                        " tensors; save the weights with torch.save(model.state_dict(), file)"));
}

void PickleMachine::push(PickleValue value) {
  values_.push_back(std::move(value));
  stack_.push_back(static_cast<PickleRef>(values_.size() - 1));
}

Result<PickleRef> PickleMachine::pop() {
  const size_t floor = marks_.empty() ? 0 : marks_.back();
  if (stack_.size() <= floor) return problem("takes a value from an empty stack; the pickle is damaged");
  const PickleRef ref = stack_.back();
  stack_.pop_back();
  return ref;
}

Result<std::vector<PickleRef>> PickleMachine::pop_to_mark() {
  if (marks_.empty()) return problem("no mark to go back to; the pickle is damaged");
  std::vector<PickleRef> items(stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back()), stack_.end());
  stack_.resize(marks_.back());
  marks_.pop_back();
  return items;
}

Result<PickleValue*> PickleMachine::top(PickleKind kind, const char* name) {
  const size_t floor = marks_.empty() ? 0 : marks_.back();
  if (stack_.size() <= floor) return problem("takes a value from an empty stack; the pickle is damaged");
  PickleValue& value = values_[stack_.back()];
  if (value.kind != kind) return problem(concat("expected ", name, ", found ", pickle_kind_name(value.kind)));
  return &value;
}

Result<PickleRef> PickleMachine::run() {
  if (bytes_.size() > kLargestPickle) {
    return problem(concat(bytes_.size(), " bytes; expected at most ", kLargestPickle, " for a dictionary of tensors"));
  }
  for (bool stop = false; !stop;) {
    op_at_ = at_;
    STRAND_ASSIGN(const uint64_t op, number(1));
    STRAND_TRY(step(static_cast<uint8_t>(op), &stop));
    STRAND_TRY(check_sizes());
  }
  if (!marks_.empty()) return problem("ends with an open mark; the pickle is damaged");
  return pop();
}

Status PickleMachine::step(uint8_t op, bool* stop) {
  switch (op) {
    case kStop: *stop = true; return {};
    case kNoneOp:
    case kNewTrue:
    case kNewFalse:
    case kBinInt:
    case kBinInt1:
    case kBinInt2:
    case kLong1:
    case kBinFloat:
    case kBinUnicode:
    case kShortBinUnicode:
    case kBinUnicode8:
    case kBinString:
    case kShortBinString: return scalar(op);
    case kMark:
    case kPop:
    case kPopMark:
    case kEmptyTuple:
    case kTuple:
    case kTuple1:
    case kTuple2:
    case kTuple3:
    case kEmptyList:
    case kAppend:
    case kAppends:
    case kEmptyDict:
    case kSetItem:
    case kSetItems: return container(op);
    case kBinPut:
    case kLongBinPut:
    case kMemoize:
    case kBinGet:
    case kLongBinGet: return memo(op);
    case kProto:
    case kFrame: return frame(op);
    case kGlobal:
    case kStackGlobal:
    case kReduce:
    case kBuild:
    case kBinPersid: return call(op);
    default:
      return problem(concat("instruction ", static_cast<int>(op),
                            " has no place in a dictionary of tensors; save the weights with"
                            " torch.save(model.state_dict(), file)"));
  }
}

Status PickleMachine::scalar(uint8_t op) {
  const auto push_text = [&](Result<std::string_view> text) -> Status {
    if (!text.ok()) return text.error();
    PickleValue value{.kind = PickleKind::kText};
    value.text = *text;
    push(std::move(value));
    return {};
  };
  switch (op) {
    case kNoneOp: push({.kind = PickleKind::kNone}); return {};
    case kNewTrue: push({.kind = PickleKind::kBool, .number = 1}); return {};
    case kNewFalse: push({.kind = PickleKind::kBool}); return {};
    case kBinInt: return push_number(4, true);
    case kBinInt1: return push_number(1, false);
    case kBinInt2: return push_number(2, false);
    case kLong1: return push_long();
    case kBinFloat: {
      if (const auto bits = take(8); !bits.ok()) return bits.error();
      push({.kind = PickleKind::kFloat});  // no tensor depends on one
      return {};
    }
    case kBinUnicode:
    case kBinString: return push_text(counted(4));
    case kBinUnicode8: return push_text(counted(8));
    default: return push_text(counted(1));
  }
}

Status PickleMachine::push_number(int bytes, bool is_signed) {
  STRAND_ASSIGN(const uint64_t raw, number(bytes));
  const int64_t value = is_signed ? static_cast<int32_t>(static_cast<uint32_t>(raw)) : static_cast<int64_t>(raw);
  push({.kind = PickleKind::kInt, .number = value});
  return {};
}

// Two's complement, little-endian, of 0 to 8 bytes here.
Status PickleMachine::push_long() {
  STRAND_ASSIGN(const std::string_view raw, counted(1));
  if (raw.size() > sizeof(int64_t)) return problem("an integer beyond 64 bits");
  uint64_t value = !raw.empty() && (raw.back() & 0x80) != 0 ? ~uint64_t{0} : 0;
  std::memcpy(&value, raw.data(), raw.size());
  push({.kind = PickleKind::kInt, .number = static_cast<int64_t>(value)});
  return {};
}

Status PickleMachine::container(uint8_t op) {
  switch (op) {
    case kMark: marks_.push_back(stack_.size()); return {};
    case kPop: {
      const auto dropped = pop();
      return dropped.ok() ? Status() : Status(dropped.error());
    }
    case kPopMark: {
      const auto dropped = pop_to_mark();
      return dropped.ok() ? Status() : Status(dropped.error());
    }
    case kEmptyTuple: return push_tuple(0);
    case kTuple1: return push_tuple(1);
    case kTuple2: return push_tuple(2);
    case kTuple3: return push_tuple(3);
    case kEmptyList: push({.kind = PickleKind::kList}); return {};
    case kEmptyDict: push({.kind = PickleKind::kDict}); return {};
    case kTuple: {
      STRAND_ASSIGN(std::vector<PickleRef> items, pop_to_mark());
      PickleValue tuple{.kind = PickleKind::kTuple};
      tuple.items = std::move(items);
      push(std::move(tuple));
      return {};
    }
    case kAppend: {
      STRAND_ASSIGN(const PickleRef item, pop());
      STRAND_ASSIGN(PickleValue * list, top(PickleKind::kList, "a list"));
      list->items.push_back(item);
      return {};
    }
    case kAppends: {
      STRAND_ASSIGN(const std::vector<PickleRef> items, pop_to_mark());
      STRAND_ASSIGN(PickleValue * list, top(PickleKind::kList, "a list"));
      list->items.insert(list->items.end(), items.begin(), items.end());
      return {};
    }
    case kSetItem: {
      STRAND_ASSIGN(const PickleRef item, pop());
      STRAND_ASSIGN(const PickleRef key, pop());
      return set_items({key, item});
    }
    default: {
      STRAND_ASSIGN(const std::vector<PickleRef> items, pop_to_mark());
      return set_items(items);
    }
  }
}

Status PickleMachine::push_tuple(size_t count) {
  PickleValue tuple{.kind = PickleKind::kTuple};
  for (size_t i = 0; i < count; ++i) {
    STRAND_ASSIGN(const PickleRef item, pop());
    tuple.items.insert(tuple.items.begin(), item);
  }
  push(std::move(tuple));
  return {};
}

Status PickleMachine::set_items(const std::vector<PickleRef>& items) {
  if (items.size() % 2 != 0) return problem("a key without a value; the pickle is damaged");
  STRAND_ASSIGN(PickleValue * dict, top(PickleKind::kDict, "a dictionary"));
  for (size_t i = 0; i < items.size(); i += 2) dict->members.emplace_back(items[i], items[i + 1]);
  return {};
}

Status PickleMachine::memo(uint8_t op) {
  if (op == kMemoize) return put(memo_.size());
  STRAND_ASSIGN(const uint64_t slot, number(op == kLongBinPut || op == kLongBinGet ? 4 : 1));
  return op == kBinPut || op == kLongBinPut ? put(slot) : get(slot);
}

Status PickleMachine::put(uint64_t slot) {
  const size_t floor = marks_.empty() ? 0 : marks_.back();
  if (stack_.size() <= floor) return problem("keeps a value of an empty stack; the pickle is damaged");
  memo_[slot] = stack_.back();
  return {};
}

Status PickleMachine::get(uint64_t slot) {
  const auto kept = memo_.find(slot);
  if (kept == memo_.end()) return problem(concat("value ", slot, " was never kept; the pickle is damaged"));
  stack_.push_back(kept->second);
  return {};
}

Status PickleMachine::frame(uint8_t op) {
  STRAND_ASSIGN(const uint64_t argument, number(op == kProto ? 1 : 8));
  if (op == kProto && argument > 5) return problem(concat("pickle protocol ", argument, ", expected 5 at most"));
  return {};
}

Status PickleMachine::call(uint8_t op) {
  switch (op) {
    case kGlobal: {
      STRAND_ASSIGN(const std::string_view module, line());
      STRAND_ASSIGN(const std::string_view name, line());
      return global(module, name);
    }
    case kStackGlobal: {
      STRAND_ASSIGN(const PickleRef name, pop());
      STRAND_ASSIGN(const PickleRef module, pop());
      if (values_[name].kind != PickleKind::kText || values_[module].kind != PickleKind::kText) {
        return problem("a name that is not a text; the pickle is damaged");
      }
      return global(values_[module].text, values_[name].text);
    }
    case kReduce: return reduce();
    case kBuild: return build();
    default: return persistent();
  }
}

Status PickleMachine::global(std::string_view module, std::string_view name) {
  if (module == "collections" && name == "OrderedDict") {
    push({.kind = PickleKind::kOrderedDict});
    return {};
  }
  if (module == "torch._utils" && (name == "_rebuild_tensor_v2" || name == "_rebuild_parameter")) {
    push({.kind = name == "_rebuild_tensor_v2" ? PickleKind::kRebuildTensor : PickleKind::kRebuildParameter});
    return {};
  }
  for (const StorageClass& known : kStorageClasses) {
    if (module != "torch" || name != known.name) continue;
    push({.kind = PickleKind::kStorageClass, .type = known.type});
    return {};
  }
  return problem(concat("the pickle asks for ", shown_text(module), ".", shown_text(name),
                        ", which a dictionary of tensors does not need; nothing was run. If you trust the file, save"
                        " its tensors alone: torch.save(model.state_dict(), file)"));
}

// ("storage", class, key, location, elements) stands for an entry of the archive.
Status PickleMachine::persistent() {
  STRAND_ASSIGN(const PickleRef ref, pop());
  const std::vector<PickleRef>& items = values_[ref].items;
  const auto is = [&](size_t i, PickleKind kind) { return values_[items[i]].kind == kind; };
  if (values_[ref].kind != PickleKind::kTuple || items.size() != 5 || !is(0, PickleKind::kText) ||
      values_[items[0]].text != "storage" || !is(1, PickleKind::kStorageClass) || !is(2, PickleKind::kText) ||
      values_[items[2]].text.size() > kLongestStorageKey || !is(4, PickleKind::kInt) || values_[items[4]].number < 0) {
    return problem("expected a persistent id (\"storage\", class, key, location, elements)");
  }
  PickleValue storage{.kind = PickleKind::kStorage, .number = values_[items[4]].number, .type = values_[items[1]].type};
  storage.text = values_[items[2]].text;
  push(std::move(storage));
  return {};
}

Status PickleMachine::reduce() {
  STRAND_ASSIGN(const PickleRef arguments_ref, pop());
  STRAND_ASSIGN(const PickleRef callee, pop());
  if (values_[arguments_ref].kind != PickleKind::kTuple) return problem("a call without a tuple of arguments");
  const std::vector<PickleRef> arguments = values_[arguments_ref].items;
  switch (values_[callee].kind) {
    case PickleKind::kOrderedDict:
      if (!arguments.empty()) return problem("collections.OrderedDict with arguments, expected none");
      push({.kind = PickleKind::kDict});
      return {};
    case PickleKind::kRebuildTensor: return rebuild_tensor(arguments);
    case PickleKind::kRebuildParameter:
      if (arguments.empty() || arguments.size() > 3 || values_[arguments[0]].kind != PickleKind::kTensor) {
        return problem("torch._utils._rebuild_parameter: expected (tensor, requires_grad, hooks)");
      }
      stack_.push_back(arguments[0]);
      return {};
    default:
      return problem(concat("the pickle calls ", pickle_kind_name(values_[callee].kind),
                            ", which a dictionary of tensors does not need; nothing was run"));
  }
}

// The attributes of an OrderedDict (torch keeps a version there) are of no use here.
Status PickleMachine::build() {
  STRAND_ASSIGN(const PickleRef state, pop());
  if (!top(PickleKind::kDict, "a dictionary").ok()) {
    return problem("sets attributes of something that is not a dictionary; nothing was run");
  }
  if (values_[state].kind != PickleKind::kDict) return problem("attributes that are not a dictionary");
  return {};
}

Result<std::vector<int64_t>> PickleMachine::integers(PickleRef ref, const char* what) const {
  const PickleValue& value = values_[ref];
  if (value.kind != PickleKind::kTuple) return problem(concat(what, ": expected a tuple of integers"));
  if (value.items.size() > kMostDimensions) {
    return problem(concat(what, ": ", value.items.size(), " integers, expected ", kMostDimensions, " at most"));
  }
  std::vector<int64_t> out;
  for (const PickleRef item : value.items) {
    if (values_[item].kind != PickleKind::kInt || values_[item].number < 0) {
      return problem(concat(what, ": expected integers from 0"));
    }
    out.push_back(values_[item].number);
  }
  return out;
}

// (storage, offset, shape, strides, requires_grad, hooks[, metadata])
Status PickleMachine::rebuild_tensor(const std::vector<PickleRef>& arguments) {
  const auto is = [&](size_t i, PickleKind kind) { return values_[arguments[i]].kind == kind; };
  if (arguments.size() < 6 || arguments.size() > 7 || !is(0, PickleKind::kStorage) || !is(1, PickleKind::kInt) ||
      values_[arguments[1]].number < 0) {
    return problem("torch._utils._rebuild_tensor_v2: expected (storage, offset, shape, strides, ...)");
  }
  const PickleValue& storage = values_[arguments[0]];
  PickledTensor tensor;
  tensor.type = storage.type;
  tensor.storage = storage.text;
  tensor.storage_elements = storage.number;
  tensor.offset = values_[arguments[1]].number;
  STRAND_ASSIGN(tensor.shape, integers(arguments[2], "the shape of a tensor"));
  STRAND_ASSIGN(tensor.strides, integers(arguments[3], "the strides of a tensor"));
  const auto elements = shape_elements(tensor.shape);
  if (!elements || tensor.strides.size() != tensor.shape.size()) {
    return problem(concat("a tensor of shape ", shape_text(tensor.shape), " with ", tensor.strides.size(), " strides"));
  }
  tensor.elements = *elements;
  // The last element's place must be within the storage; 128 bits hold any sum of products of two 63-bit numbers.
  __extension__ using Wide = unsigned __int128;
  Wide last = static_cast<Wide>(tensor.offset);
  for (size_t i = 0; i < tensor.shape.size() && tensor.elements > 0; ++i) {
    last += static_cast<Wide>(tensor.shape[i] - 1) * static_cast<Wide>(tensor.strides[i]);
    if (last >= Wide{1} << 64) break;
  }
  const bool inside = tensor.elements == 0 || last < static_cast<Wide>(tensor.storage_elements);
  if (!inside) {
    return problem(concat("a tensor of shape ", shape_text(tensor.shape), ", strides ", shape_text(tensor.strides),
                          ", offset ", tensor.offset, " is not within its storage of ", tensor.storage_elements));
  }
  tensors_.push_back(std::move(tensor));
  push({.kind = PickleKind::kTensor, .number = static_cast<int64_t>(tensors_.size() - 1)});
  return {};
}

}  // namespace strand
