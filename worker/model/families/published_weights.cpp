#include "worker/model/families/published_weights.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "shared/base/text.h"

namespace strand {
namespace {

// Tensors that files of several families carry and no model needs: buffers, and heads of pretraining tasks. `*` stands
// for any characters.
constexpr const char* kIgnored[] = {"*inv_freq", "*position_ids",       "*contact_head.*",
                                    "*pooler.*", "*seq_relationship.*", "*rotary_emb.*"};
// Heads of tasks: kept out with a note.
constexpr const char* kTaskHeads[] = {"score.*", "classifier.*", "qa_outputs.*", "*.score.*", "*.classifier.*"};

// Of one list. A configuration of another model may have thousands, and the first ones tell.
constexpr size_t kMostProblemsShown = 100;

bool matches(std::string_view pattern, std::string_view name) {
  const size_t star = pattern.find('*');
  if (star == std::string_view::npos) return pattern == name;
  if (!name.starts_with(pattern.substr(0, star))) return false;
  const std::string_view rest = pattern.substr(star + 1);
  for (size_t skip = star; skip <= name.size(); ++skip) {
    if (matches(rest, name.substr(skip))) return true;
  }
  return false;
}

template <size_t n>
bool matches_any(const char* const (&patterns)[n], std::string_view name) {
  return std::ranges::any_of(patterns, [&](const char* pattern) { return matches(pattern, name); });
}

// "blocks.12.mlp.up.weight" is module "blocks.N.mlp.up", layer "12", ending ".weight".
struct SplitName {
  std::string module, layer, ending;
};
SplitName split_name(const std::string& name) {
  SplitName out;
  const size_t dot = name.rfind('.');
  out.module = name.substr(0, dot);
  out.ending = name.substr(dot);
  constexpr std::string_view kBlocks = "blocks.";
  if (out.module.starts_with(kBlocks)) {
    const size_t end = out.module.find('.', kBlocks.size());
    out.layer = out.module.substr(kBlocks.size(), end - kBlocks.size());
    out.module.replace(kBlocks.size(), out.layer.size(), "N");
  }
  return out;
}

// Their name of a rule, with the layer's number for ".N.".
std::string their_name(const std::string& theirs, const SplitName& name, bool with_ending) {
  std::string out = theirs;
  if (const size_t at = out.find(".N."); at != std::string::npos) out.replace(at + 1, 1, name.layer);
  return with_ending ? out + name.ending : out;
}

// The pieces of a parameter that `rows` names.
std::vector<ParameterPiece> pieces_of(size_t index, const ParameterInfo& parameter, TensorRows rows) {
  const int64_t all = parameter.elements;
  switch (rows) {
    case TensorRows::kAll: return {{index, 0, all}};
    case TensorRows::kQuery: return {{index, 0, all / 3}};
    case TensorRows::kKey: return {{index, all / 3, all / 3}};
    case TensorRows::kValue: return {{index, all / 3 * 2, all / 3}};
    case TensorRows::kLinearHalf: return {{index, 0, all / 2}};
    case TensorRows::kGateHalf: return {{index, all / 2, all / 2}};
    case TensorRows::kGateThenLinear: return {{index, all / 2, all / 2}, {index, 0, all / 2}};
  }
  return {};
}

bool is_gated(const std::vector<ParameterInfo>& table) {
  // mlp.up has twice the rows that mlp.down has columns.
  int64_t up = 0, down = 0;
  for (const ParameterInfo& parameter : table) {
    if (parameter.name == "blocks.0.mlp.up.weight") up = parameter.shape[0];
    if (parameter.name == "blocks.0.mlp.down.weight") down = parameter.shape[1];
  }
  return up == 2 * down;
}

PublishedTensor make_tensor(const std::string& name, size_t index, const ParameterInfo& parameter, TensorRows rows) {
  PublishedTensor tensor{name, parameter.shape, pieces_of(index, parameter, rows), false};
  int64_t elements = 0;
  for (const ParameterPiece& piece : tensor.pieces) elements += piece.elements;
  tensor.shape[0] = parameter.shape[0] * elements / parameter.elements;
  tensor.optional = parameter.name.starts_with("head.") && !parameter.name.starts_with("head.project_out");
  return tensor;
}

// `name` with the rules' prefix exchanged for another one.
std::string with_prefix(const std::string& name, const Family& family, const std::string& prefix) {
  const std::string& usual = family.prefixes.front();
  return name.starts_with(usual) ? prefix + name.substr(usual.size()) : name;
}

class Reader {
 public:
  Reader(const Family& family, const std::vector<ParameterInfo>& table, TensorSource& source)
      : family_(family), table_(table), source_(source) {}

  Result<ReadWeights> read(const TransformerConfig& config) {
    STRAND_ASSIGN(tensors_, published_tensors(family_, table_));
    choose_prefix();
    read_.present.assign(table_.size(), true);
    match();
    match_aliases();
    match_the_rest(config);
    if (!problems_.empty()) return problem_list();
    STRAND_TRY(check_stored_elements());
    read_.weights.assign(static_cast<size_t>(table_.back().first_element + table_.back().elements), 0.0f);
    for (const PublishedTensor& tensor : tensors_) {
      if (source_.find(tensor.name) != nullptr) STRAND_TRY(read_tensor(tensor));
    }
    for (const auto& [name, parameter] : aliases_) STRAND_TRY(check_alias(name, parameter));
    STRAND_TRY(check_finite());
    return std::move(read_);
  }

 private:
  // Files of one family differ in what stands before their names: the prefix that fits most of them counts.
  void choose_prefix() {
    size_t most = 0;
    std::string chosen = family_.prefixes.front();
    for (const std::string& prefix : family_.prefixes) {
      const auto found = static_cast<size_t>(std::ranges::count_if(tensors_, [&](const PublishedTensor& tensor) {
        return source_.find(with_prefix(tensor.name, family_, prefix)) != nullptr;
      }));
      if (found <= most) continue;
      most = found;
      chosen = prefix;
    }
    for (PublishedTensor& tensor : tensors_) tensor.name = with_prefix(tensor.name, family_, chosen);
    prefix_ = chosen;
  }

  void match() {
    // A head that is absent as a whole is drawn anew; one that is there in part is damage.
    const bool any_head = std::ranges::any_of(
        tensors_, [&](const PublishedTensor& t) { return t.optional && source_.find(t.name) != nullptr; });
    std::string drawn;
    for (const PublishedTensor& tensor : tensors_) {
      const TensorInfo* found = source_.find(tensor.name);
      if (found == nullptr && has_other_name(tensor)) {
        read_.present[tensor.pieces[0].parameter] = false;  // until its other name is read
      } else if (found == nullptr && tensor.optional && !any_head) {
        for (const ParameterPiece& piece : tensor.pieces) read_.present[piece.parameter] = false;
        drawn += concat(drawn.empty() ? "" : ", ", tensor.name);
      } else if (found == nullptr) {
        problems_.push_back(concat("missing   ", tensor.name, ", expected ", shape_text(tensor.shape)));
      } else if (found->shape != tensor.shape) {
        problems_.push_back(concat("misshapen ", tensor.name, ", expected ", shape_text(tensor.shape), ", found ",
                                   shape_text(found->shape), shard_of(*found)));
      } else if (!is_floating(found->type)) {
        problems_.push_back(concat("type      ", tensor.name, ", expected F32, F16, BF16 or F64, found ",
                                   tensor_type_name(found->type), shard_of(*found)));
      }
      known_.insert(tensor.name);
    }
    if (!drawn.empty()) read_.notes.push_back("no language-model head in the file: " + drawn);
  }

  // The file has the parameter, but under an alias alone.
  bool has_other_name(const PublishedTensor& tensor) const {
    const ParameterInfo& parameter = table_[tensor.pieces[0].parameter];
    return tensor.pieces.size() == 1 && tensor.pieces[0].elements == parameter.elements &&
           std::ranges::any_of(family_.aliases, [&](const NameAlias& alias) {
             return parameter.name == alias.ours && is_active(alias) &&
                    source_.find(with_prefix(alias.theirs, family_, prefix_)) != nullptr;
           });
  }
  bool is_active(const NameAlias& alias) const {
    return alias.unless == nullptr || index_of(alias.unless) == table_.size();
  }

  void match_aliases() {
    for (const NameAlias& alias : family_.aliases) {
      const std::string name = with_prefix(alias.theirs, family_, prefix_);
      const auto parameter = index_of(alias.ours);
      if (parameter == table_.size() || !is_active(alias)) continue;
      const TensorInfo* found = source_.find(name);
      if (found == nullptr || known_.contains(name)) continue;
      known_.insert(name);
      if (found->shape != table_[parameter].shape) {
        problems_.push_back(concat("misshapen ", name, ", expected ", shape_text(table_[parameter].shape), ", found ",
                                   shape_text(found->shape), shard_of(*found)));
      } else if (is_floating(found->type)) {
        aliases_.emplace_back(name, parameter);
      }
    }
  }

  void match_the_rest(const TransformerConfig& config) {
    const bool rotary = config.positions == PositionKind::kRope;
    for (const TensorInfo& tensor : source_.tensors()) {
      if (known_.contains(tensor.name) || matches_any(kIgnored, tensor.name)) continue;
      if (matches_any(kTaskHeads, tensor.name)) {
        read_.notes.push_back(concat("kept out: ", tensor.name, " ", shape_text(tensor.shape), ", a task's head"));
      } else if (rotary && tensor.name.ends_with("position_embeddings.weight")) {
        read_.notes.push_back(concat("kept out: ", tensor.name, ", positions are rotary"));
      } else {
        problems_.push_back(concat("surplus   ", tensor.name, " ", shape_text(tensor.shape), shard_of(tensor)));
      }
    }
  }

  Error problem_list() const {
    const size_t shown = std::min(problems_.size(), kMostProblemsShown);
    const std::vector<std::string> first(problems_.begin(), problems_.begin() + static_cast<std::ptrdiff_t>(shown));
    return bad_input(concat(source_.origin(), ": ", problems_.size(),
                            problems_.size() == 1 ? " tensor does" : " tensors do", " not fit the configuration (",
                            family_.name, "); correct config.json or take the weights that belong to it:\n  ",
                            join(first, "\n  "),
                            shown == problems_.size() ? "" : concat("\n  and ", problems_.size() - shown, " more")));
  }

  // Which shard to look into.
  std::string shard_of(const TensorInfo& tensor) const {
    return tensor.file == source_.origin() ? "" : concat(", in ", tensor.file);
  }

  // With this the files bound the model's size, whatever config.json says: tensors of a pytorch_model.bin may be views
  // of one another, or show a single element again and again. Every floating type has two bytes or more, so one byte an
  // element leaves room for a matrix under two names.
  Status check_stored_elements() const {
    uint64_t elements = 0;
    for (const PublishedTensor& tensor : tensors_) {
      if (const TensorInfo* found = source_.find(tensor.name)) elements += static_cast<uint64_t>(found->elements);
    }
    for (const auto& [name, parameter] : aliases_) {
      if (!read_.present[parameter]) elements += static_cast<uint64_t>(table_[parameter].elements);
    }
    if (elements <= source_.stored_bytes()) return {};
    return bad_input(concat(source_.origin(), ": the model's tensors have ", elements, " elements, but only ",
                            source_.stored_bytes(),
                            " bytes of tensors are stored: they are views of one another; save"
                            " each as it is: {name: tensor.clone() for name, tensor in state_dict.items()}"));
  }

  size_t index_of(std::string_view parameter) const {
    return static_cast<size_t>(std::ranges::find(table_, parameter, &ParameterInfo::name) - table_.begin());
  }

  std::span<float> part(const ParameterPiece& piece) {
    return std::span(read_.weights)
        .subspan(static_cast<size_t>(table_[piece.parameter].first_element + piece.first),
                 static_cast<size_t>(piece.elements));
  }

  Status read_tensor(const PublishedTensor& tensor) {
    if (tensor.pieces.size() == 1) return source_.read(tensor.name, part(tensor.pieces[0]));
    std::vector<float> all(static_cast<size_t>(source_.find(tensor.name)->elements));
    STRAND_TRY(source_.read(tensor.name, all));
    auto from = all.begin();
    for (const ParameterPiece& piece : tensor.pieces) {
      std::copy_n(from, piece.elements, part(piece).begin());
      from += piece.elements;
    }
    return {};
  }

  // A name that repeats one of ours: the same bits, or config.json is wrong about the tie.
  Status check_alias(const std::string& name, size_t parameter) {
    const ParameterInfo& ours = table_[parameter];
    std::vector<float> copy(static_cast<size_t>(ours.elements));
    STRAND_TRY(source_.read(name, copy));
    const std::span<float> values = part({parameter, 0, ours.elements});
    if (!read_.present[parameter]) {  // the only copy
      std::ranges::copy(copy, values.begin());
      read_.present[parameter] = true;
      return {};
    }
    const auto [first, second] = std::ranges::mismatch(copy, values);
    if (first == copy.end()) return {};
    return bad_input(concat(source_.find(name)->file, ": ", name, " differs from ", ours.name, " at element ",
                            first - copy.begin(), " (", *first, " and ", *second,
                            "), but config.json ties the two; correct tie_word_embeddings (OLMo: weight_tying)"));
  }

  // The file that an element of a parameter was read from.
  const std::string& file_of(size_t parameter, int64_t element) const {
    for (const PublishedTensor& tensor : tensors_) {
      for (const ParameterPiece& piece : tensor.pieces) {
        const int64_t within = element - piece.first;
        if (piece.parameter != parameter || within < 0 || within >= piece.elements) continue;
        if (const TensorInfo* found = source_.find(tensor.name)) return found->file;
      }
    }
    return source_.origin();
  }

  Status check_finite() {
    for (size_t p = 0; p < table_.size(); ++p) {
      if (!read_.present[p]) continue;
      const std::span<float> values = part({p, 0, table_[p].elements});
      const auto bad = std::ranges::find_if(values, [](float x) { return !std::isfinite(x); });
      if (bad == values.end()) continue;
      return bad_input(concat(file_of(p, bad - values.begin()), ": ", table_[p].name, " holds ", *bad, " at element ",
                              bad - values.begin(), "; weights must be finite: take an undamaged copy"));
    }
    return {};
  }

  const Family& family_;
  const std::vector<ParameterInfo>& table_;
  TensorSource& source_;
  std::vector<PublishedTensor> tensors_;
  std::string prefix_;
  std::set<std::string> known_;
  std::vector<std::pair<std::string, size_t>> aliases_;  // present in the file
  std::vector<std::string> problems_;
  ReadWeights read_;
};

}  // namespace

Result<std::vector<PublishedTensor>> published_tensors(const Family& family, const std::vector<ParameterInfo>& table) {
  std::vector<PublishedTensor> tensors;
  const bool gated = is_gated(table);
  for (size_t index = 0; index < table.size(); ++index) {
    const ParameterInfo& parameter = table[index];
    const SplitName name = split_name(parameter.name);
    const bool exact = std::ranges::any_of(family.rules, [&](const NameRule& r) { return parameter.name == r.ours; });
    const size_t before = tensors.size();
    for (const NameRule& rule : family.rules) {
      if (exact ? parameter.name != rule.ours : name.module != rule.ours) continue;
      // An MLP without a gate has no halves to exchange.
      const TensorRows rows = rule.rows == TensorRows::kGateThenLinear && !gated ? TensorRows::kAll : rule.rows;
      tensors.push_back(make_tensor(their_name(rule.theirs, name, !exact), index, parameter, rows));
    }
    if (tensors.size() == before) {
      return bad_input(concat("the family ", family.name, " has no name for ", parameter.name));
    }
  }
  return tensors;
}

Result<ReadWeights> read_published_weights(const Family& family, const TransformerConfig& config,
                                           const std::vector<ParameterInfo>& table, TensorSource& source) {
  return Reader(family, table, source).read(config);
}

Result<std::vector<TensorToWrite>> tensors_to_write(const Family& family, const TransformerConfig& config,
                                                    const std::vector<ParameterInfo>& table,
                                                    std::span<const float> weights) {
  STRAND_ASSIGN(const std::vector<PublishedTensor> tensors, published_tensors(family, table));
  std::vector<TensorToWrite> out;
  for (const PublishedTensor& tensor : tensors) {
    std::vector<std::span<const float>> pieces;
    for (const ParameterPiece& piece : tensor.pieces) {
      pieces.push_back(weights.subspan(static_cast<size_t>(table[piece.parameter].first_element + piece.first),
                                       static_cast<size_t>(piece.elements)));
    }
    out.push_back({tensor.name, tensor.shape, [pieces = std::move(pieces)](std::span<float> values) -> Status {
                     auto to = values.begin();
                     for (const auto& piece : pieces) to = std::ranges::copy(piece, to).out;
                     return {};
                   }});
  }
  if (family.zeros != nullptr) {
    for (const ZeroTensor& zero : family.zeros(config)) {
      out.push_back({zero.name, zero.shape, [](std::span<float> values) -> Status {
                       std::ranges::fill(values, 0.0f);
                       return {};
                     }});
    }
  }
  return out;
}

}  // namespace strand
