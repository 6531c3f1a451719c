#include "shared/formats/pickle.h"

#include <set>

#include "shared/base/text.h"
#include "shared/formats/pickle_machine.h"

namespace strand {

std::string shown_text(std::string_view text) {
  std::string out(text.substr(0, 100));
  for (char& c : out) {
    if (c < 0x20 || c > 0x7e) c = '?';
  }
  return out;
}

const char* pickle_kind_name(PickleKind kind) {
  switch (kind) {
    case PickleKind::kNone: return "None";
    case PickleKind::kBool: return "a boolean";
    case PickleKind::kInt: return "an integer";
    case PickleKind::kFloat: return "a number";
    case PickleKind::kText: return "a text";
    case PickleKind::kTuple: return "a tuple";
    case PickleKind::kList: return "a list";
    case PickleKind::kDict: return "a dictionary";
    case PickleKind::kStorage: return "a storage";
    case PickleKind::kTensor: return "a tensor";
    default: return "a class or function";
  }
}

Result<std::vector<PickledTensor>> read_pickled_tensors(std::string_view bytes, const std::string& origin) {
  PickleMachine machine(bytes, origin);
  STRAND_ASSIGN(const PickleRef top, machine.run());
  if (machine.value(top).kind != PickleKind::kDict) {
    return bad_input(concat(origin, ": holds ", pickle_kind_name(machine.value(top).kind),
                            ", expected a dictionary of tensors; save torch.save(model.state_dict(), file)"));
  }
  std::vector<PickledTensor> tensors;
  std::set<std::string_view> names;
  for (const auto& [key, item] : machine.value(top).members) {
    const PickleValue& name = machine.value(key);
    const PickleValue& value = machine.value(item);
    if (name.kind != PickleKind::kText || name.text.empty()) {
      return bad_input(concat(origin, ": a key is ", pickle_kind_name(name.kind), ", expected the name of a tensor"));
    }
    if (value.kind != PickleKind::kTensor) {
      return bad_input(
          concat(origin, ": \"", shown_text(name.text), "\" is ", pickle_kind_name(value.kind),
                 ", expected a tensor; if the weights are within, save them alone: torch.save(checkpoint[\"",
                 value.kind == PickleKind::kDict ? shown_text(name.text) : "state_dict", "\"], file)"));
    }
    // Before anything is copied: keys and tensors may stand for one and the same value, millions of times.
    if (!names.insert(name.text).second) {
      return bad_input(concat(origin, ": the tensor ", shown_text(name.text), " is there twice"));
    }
    if (names.size() > kMostPickledTensors) {
      return bad_input(
          concat(origin, ": more than ", kMostPickledTensors, " tensors; no model that is read has as many"));
    }
    tensors.push_back(machine.tensor(value));
    tensors.back().name = name.text;
  }
  return tensors;
}

}  // namespace strand
