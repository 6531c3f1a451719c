#include "shared/job_spec/fields.h"

#include <charconv>
#include <cmath>

#include "shared/base/text.h"

namespace strand {
namespace {

std::string toml_string(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      char buffer[8];
      std::snprintf(buffer, sizeof buffer, "\\u%04X", static_cast<unsigned>(c));
      out += buffer;
    } else {
      out += c;
    }
  }
  return out + '"';
}

// The shortest text that reads back to the same value, always with a point or exponent (TOML tells them from integers).
template <class T>
std::string toml_number(T value) {
  char buffer[40];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
  std::string out(buffer, end);
  if (const size_t zero = out.find("e-0"); zero != std::string::npos) out.erase(zero + 2, 1);
  if (out.find_first_of(".en") == std::string::npos) out += ".0";
  return out;
}

std::string expected(const std::string& what, const TomlValue& value) {
  return concat("expected ", what, ", found ", value.type);
}

class FieldList {
 public:
  std::vector<Field> fields;

  template <class Get>
  void integer(const std::string& key, Get at) {
    fields.push_back({key, "integer",
                      [at](JobSpec* spec, const TomlValue& v) -> std::string {
                        const auto* i = std::get_if<int64_t>(&v.value);
                        if (i == nullptr) return expected("an integer", v);
                        auto& target = at(*spec);
                        if (std::is_unsigned_v<std::remove_reference_t<decltype(target)>> && *i < 0) {
                          return "must not be negative";
                        }
                        target = static_cast<std::remove_reference_t<decltype(target)>>(*i);
                        return "";
                      },
                      [at](const JobSpec& spec) { return concat(at(const_cast<JobSpec&>(spec))); }});
  }

  template <class Get>
  void number(const std::string& key, Get at) {
    fields.push_back({key, "number",
                      [at](JobSpec* spec, const TomlValue& v) -> std::string {
                        double x = 0;
                        if (const auto* d = std::get_if<double>(&v.value)) {
                          x = *d;
                        } else if (const auto* i = std::get_if<int64_t>(&v.value)) {
                          x = static_cast<double>(*i);
                        } else {
                          return expected("a number", v);
                        }
                        if (!std::isfinite(x)) return "must be finite";
                        auto& target = at(*spec);
                        target = static_cast<std::remove_reference_t<decltype(target)>>(x);
                        return "";
                      },
                      [at](const JobSpec& spec) { return toml_number(at(const_cast<JobSpec&>(spec))); }});
  }

  template <class Get>
  void boolean(const std::string& key, Get at) {
    fields.push_back({key, "boolean",
                      [at](JobSpec* spec, const TomlValue& v) -> std::string {
                        const auto* b = std::get_if<bool>(&v.value);
                        if (b == nullptr) return expected("true or false", v);
                        at(*spec) = *b;
                        return "";
                      },
                      [at](const JobSpec& spec) { return at(const_cast<JobSpec&>(spec)) ? "true" : "false"; }});
  }

  template <class Get>
  void text(const std::string& key, Get at) {
    fields.push_back({key, "string",
                      [at](JobSpec* spec, const TomlValue& v) -> std::string {
                        const auto* s = std::get_if<std::string>(&v.value);
                        if (s == nullptr) return expected("a string", v);
                        at(*spec) = *s;
                        return "";
                      },
                      [at](const JobSpec& spec) {
                        const std::string& s = at(const_cast<JobSpec&>(spec));
                        return s.empty() ? "" : toml_string(s);
                      }});
  }

  template <class Get>
  void texts(const std::string& key, Get at) {
    fields.push_back({key, "array of strings",
                      [at](JobSpec* spec, const TomlValue& v) -> std::string {
                        const auto* list = std::get_if<std::vector<std::string>>(&v.value);
                        if (list == nullptr) return expected("an array of strings", v);
                        at(*spec) = *list;
                        return "";
                      },
                      [at](const JobSpec& spec) { return list_of(at(const_cast<JobSpec&>(spec))); }});
  }

  template <class Get>
  void integers(const std::string& key, Get at) {
    fields.push_back({key, "array of integers",
                      [at](JobSpec* spec, const TomlValue& v) -> std::string {
                        const auto* list = std::get_if<std::vector<int64_t>>(&v.value);
                        const auto* texts = std::get_if<std::vector<std::string>>(&v.value);
                        const bool none = texts != nullptr && texts->empty();  // what an empty array is read as
                        if (list == nullptr && !none) return expected("an array of integers", v);
                        at(*spec) = none ? std::vector<int64_t>() : *list;
                        return "";
                      },
                      [at](const JobSpec& spec) -> std::string {
                        std::vector<std::string> texts;
                        for (const int64_t i : at(const_cast<JobSpec&>(spec))) texts.push_back(concat(i));
                        return texts.empty() ? "" : concat("[", join(texts, ", "), "]");
                      }});
  }

  // One of `names`, in the order of the enum's values.
  template <class Get>
  void choice(const std::string& key, std::vector<std::string> names, Get at) {
    const std::string type = join(names, " | ");
    fields.push_back({key, type,
                      [at, names, type](JobSpec* spec, const TomlValue& v) -> std::string {
                        const auto* s = std::get_if<std::string>(&v.value);
                        if (s == nullptr) return expected(concat("one of ", type), v);
                        for (size_t i = 0; i < names.size(); ++i) {
                          if (names[i] != *s) continue;
                          auto& target = at(*spec);
                          target = static_cast<std::remove_reference_t<decltype(target)>>(i);
                          return "";
                        }
                        const std::string nearest = nearest_name(*s, names);
                        return concat("expected one of ", type, ", found \"", *s, "\"",
                                      nearest.empty() ? "" : concat("; did you mean \"", nearest, "\"?"));
                      },
                      [at, names](const JobSpec& spec) {
                        return toml_string(names[static_cast<size_t>(at(const_cast<JobSpec&>(spec)))]);
                      }});
  }

  // How many, or their names: task.classes.
  void classes(const std::string& key) {
    fields.push_back({key, "integer | array of strings",
                      [](JobSpec* spec, const TomlValue& v) -> std::string {
                        spec->task.classes = 0;
                        spec->task.class_names.clear();
                        if (const auto* i = std::get_if<int64_t>(&v.value)) {
                          spec->task.classes = *i;
                        } else if (const auto* names = std::get_if<std::vector<std::string>>(&v.value)) {
                          spec->task.class_names = *names;
                        } else {
                          return expected("how many classes, or an array of their names", v);
                        }
                        return "";
                      },
                      [](const JobSpec& spec) {
                        const TaskSpec& t = spec.task;
                        return t.class_names.empty() ? concat(t.classes) : list_of(t.class_names);
                      }});
  }

  // "linear", or the widths of hidden layers: task.head.
  void head(const std::string& key) {
    fields.push_back({key, "linear | array of integers",
                      [](JobSpec* spec, const TomlValue& v) -> std::string {
                        const auto* text = std::get_if<std::string>(&v.value);
                        const auto* none = std::get_if<std::vector<std::string>>(&v.value);
                        const auto* widths = std::get_if<std::vector<int64_t>>(&v.value);
                        spec->task.head.clear();
                        if (widths != nullptr) {
                          spec->task.head = *widths;
                        } else if ((text == nullptr || *text != "linear") && (none == nullptr || !none->empty())) {
                          return expected("\"linear\", or an array with the width of each hidden layer", v);
                        }
                        return "";
                      },
                      [](const JobSpec& spec) -> std::string {
                        if (spec.task.head.empty()) return "\"linear\"";
                        std::vector<std::string> widths;
                        for (const int64_t width : spec.task.head) widths.push_back(concat(width));
                        return "[" + join(widths, ", ") + "]";
                      }});
  }

  static std::string list_of(const std::vector<std::string>& list) {
    if (list.empty()) return "";
    std::vector<std::string> quoted;
    for (const auto& s : list) quoted.push_back(toml_string(s));
    return "[" + join(quoted, ", ") + "]";
  }
};

// "record:begin-end", 0-based, half-open.
std::string parse_interval(const std::string& text, HoldoutInterval* out) {
  const size_t colon = text.rfind(':');
  const size_t dash = text.find('-', colon == std::string::npos ? 0 : colon);
  const auto number = [&](size_t from, size_t to, int64_t* value) {
    const auto [end, error] = std::from_chars(text.data() + from, text.data() + to, *value);
    return error == std::errc() && end == text.data() + to;
  };
  if (colon == std::string::npos || colon == 0 || dash == std::string::npos || !number(colon + 1, dash, &out->begin) ||
      !number(dash + 1, text.size(), &out->end)) {
    return concat("expected \"record:begin-end\" (0-based, end not included), found \"", text, "\"");
  }
  out->record = text.substr(0, colon);
  if (out->begin < 0 || out->end <= out->begin) return concat("\"", text, "\" is an empty interval");
  return "";
}

bool is_bed(std::string_view text) {
  for (const std::string_view ending : {".gz", ".bgz", ".xz"}) {
    if (text.ends_with(ending)) {
      text.remove_suffix(ending.size());
      break;
    }
  }
  return text.ends_with(".bed");
}

void add_exclude(FieldList* list) {
  list->fields.push_back({"data.exclude", "array of strings",
                          [](JobSpec* spec, const TomlValue& v) -> std::string {
                            const auto* texts = std::get_if<std::vector<std::string>>(&v.value);
                            if (texts == nullptr) return expected("an array of \"record:begin-end\" and .bed files", v);
                            spec->data.exclude = {};
                            for (const auto& text : *texts) {
                              if (is_bed(text)) {
                                spec->data.exclude.files.push_back(text);
                                continue;
                              }
                              HoldoutInterval interval;
                              if (auto wrong = parse_interval(text, &interval); !wrong.empty()) {
                                return wrong + "; a file of intervals is called .bed";
                              }
                              spec->data.exclude.intervals.push_back(interval);
                            }
                            return "";
                          },
                          [](const JobSpec& spec) {
                            std::vector<std::string> texts = spec.data.exclude.files;
                            for (const auto& i : spec.data.exclude.intervals) {
                              texts.push_back(concat(i.record, ":", i.begin, "-", i.end));
                            }
                            return FieldList::list_of(texts);
                          }});
}

void add_intervals(FieldList* list) {
  list->fields.push_back({"data.holdout.intervals", "array of strings",
                          [](JobSpec* spec, const TomlValue& v) -> std::string {
                            const auto* texts = std::get_if<std::vector<std::string>>(&v.value);
                            if (texts == nullptr) return expected("an array of \"record:begin-end\" strings", v);
                            spec->data.holdout.intervals.clear();
                            for (const auto& text : *texts) {
                              HoldoutInterval interval;
                              if (auto wrong = parse_interval(text, &interval); !wrong.empty()) return wrong;
                              spec->data.holdout.intervals.push_back(interval);
                            }
                            return "";
                          },
                          [](const JobSpec& spec) {
                            std::vector<std::string> texts;
                            for (const auto& i : spec.data.holdout.intervals) {
                              texts.push_back(concat(i.record, ":", i.begin, "-", i.end));
                            }
                            return FieldList::list_of(texts);
                          }});
}

#define AT(member)           \
  [](JobSpec & s) -> auto& { \
    return s.member;         \
  }

void add_model(FieldList* list) {
  list->text("model.preset", AT(model.preset));
  list->text("model.init", AT(model.init));
  list->integer("model.layers", AT(model.config.layers));
  list->integer("model.hidden", AT(model.config.hidden));
  list->integer("model.heads", AT(model.config.heads));
  list->integer("model.mlp_hidden", AT(model.config.mlp_hidden));
  list->integer("model.vocabulary", AT(model.config.vocabulary));
  list->integer("model.embedding_width", AT(model.config.embedding_width));
  list->integer("model.max_sequence", AT(model.config.max_sequence));
  list->choice("model.norm", {"layer", "layer-no-affine", "rms"}, AT(model.config.norm));
  list->number("model.norm_eps", AT(model.config.norm_eps));
  list->choice("model.norm_placement", {"pre", "post"}, AT(model.config.norm_placement));
  list->boolean("model.embedding_norm", AT(model.config.embedding_norm));
  list->boolean("model.final_norm", AT(model.config.final_norm));
  list->choice("model.positions", {"rope", "learned", "none", "alibi"}, AT(model.config.positions));
  list->integer("model.position_offset", AT(model.config.position_offset));
  list->number("model.rope_theta", AT(model.config.rope_theta));
  list->integer("model.token_types", AT(model.config.token_types));
  list->choice("model.mlp", {"swiglu", "gelu", "relu", "geglu"}, AT(model.config.mlp));
  list->boolean("model.causal", AT(model.config.causal));
  list->boolean("model.attention", AT(model.config.attention));
  list->boolean("model.bias", AT(model.config.bias));
  list->boolean("model.mlp_up_bias", AT(model.config.mlp_up_bias));
  list->boolean("model.mlp_down_bias", AT(model.config.mlp_down_bias));
  list->boolean("model.tied", AT(model.config.tied));
  list->choice("model.head", {"language-model", "masked-lm"}, AT(model.config.head));
  list->boolean("model.head_bias", AT(model.config.head_bias));
  list->number("model.embedding_scale", AT(model.config.embedding_scale));
  list->boolean("model.token_dropout", AT(model.config.token_dropout));
  list->integer("model.mask_id", AT(model.config.mask_id));
  list->number("model.dropout", AT(model.config.dropout));
  list->boolean("model.dropout_in_mlp", AT(model.config.dropout_in_mlp));
  list->number("model.embedding_dropout", AT(model.config.embedding_dropout));
  list->choice("model.init_kind", {"normal", "mitchell", "plain"}, AT(model.config.init_kind));
  list->number("model.init_std", AT(model.config.init_std));
}

void add_data(FieldList* list) {
  list->choice("tokenizer.kind", {"nucleotide", "kmer", "bpe", "file"}, AT(tokenizer.kind));
  list->integer("tokenizer.vocabulary", AT(tokenizer.vocabulary));
  list->integer("tokenizer.k", AT(tokenizer.k));
  list->text("tokenizer.file", AT(tokenizer.file));
  list->texts("data.files", AT(data.files));
  add_exclude(list);
  list->integer("data.segment", AT(data.segment));
  list->integer("data.segment_bases", AT(data.segment_bases));
  list->integer("data.stride", AT(data.stride));
  list->boolean("data.reverse_complement", AT(data.reverse_complement));
  list->number("data.holdout.fraction", AT(data.holdout.fraction));
  list->texts("data.holdout.records", AT(data.holdout.records));
  list->texts("data.holdout.files", AT(data.holdout.files));
  add_intervals(list);
}

void add_objective(FieldList* list) {
  list->choice("objective.kind", {"auto", "next-token", "masked"}, AT(objective.kind));
  list->number("objective.ratio", AT(objective.ratio));
  list->number("objective.mask", AT(objective.mask));
  list->number("objective.random", AT(objective.random));
  list->choice("objective.random_ids", {"all", "no-specials"}, AT(objective.random_ids));
  list->integer("objective.max_ngram", AT(objective.max_ngram));
}

void add_task(FieldList* list) {
  list->text("task.name", AT(task.name));
  list->choice("task.kind", {"classify", "multi-label", "regress", "classify-tokens"}, AT(task.kind));
  list->text("task.train", AT(task.train));
  list->text("task.dev", AT(task.dev));
  list->text("task.test", AT(task.test));
  list->text("task.sequence", AT(task.sequence));
  list->text("task.label", AT(task.label));
  list->texts("task.labels", AT(task.labels));
  list->classes("task.classes");
  list->number("task.dev_fraction", AT(task.dev_fraction));
  list->integer("task.folds", AT(task.folds));
  list->integer("task.fold", AT(task.fold));
  list->integer("task.split_seed", AT(task.split_seed));
  list->boolean("task.standardize", AT(task.standardize));
  list->text("task.prefix", AT(task.prefix));
  list->text("task.suffix", AT(task.suffix));
  list->boolean("task.special_tokens", AT(task.special_tokens));
  list->boolean("task.reverse_complement", AT(task.reverse_complement));
  list->choice("task.too_long", {"cut", "refuse"}, AT(task.too_long));
  list->choice("task.pooling", {"auto", "cls", "mean", "max", "last"}, AT(task.pooling));
  list->head("task.head");
  list->choice("task.head_activation", {"tanh", "gelu", "relu"}, AT(task.head_activation));
  list->boolean("task.head_bias", AT(task.head_bias));
  list->number("task.head_dropout", AT(task.head_dropout));
}

void add_train(FieldList* list) {
  list->integer("train.steps", AT(train.steps));
  list->integer("train.lanes", AT(train.lanes));
  list->integer("train.micro_batch", AT(train.micro_batch));
  list->integer("train.micro_batches_per_lane", AT(train.micro_batches_per_lane));
  list->choice("train.precision", {"auto", "fp32", "bf16"}, AT(train.precision));
  list->choice("train.gradient_dtype", {"fp32", "bf16"}, AT(train.gradient_dtype));
  list->integer("train.seed", AT(train.seed));
  list->boolean("train.deterministic", AT(train.deterministic));
  list->number("train.learning_rate", AT(train.learning_rate));
  list->choice("train.schedule", {"constant", "linear", "cosine", "inverse-sqrt"}, AT(train.schedule));
  list->integer("train.warmup", AT(train.warmup));
  list->number("train.final_fraction", AT(train.final_fraction));
  list->number("train.weight_decay", AT(train.weight_decay));
  list->boolean("train.decay_norm_and_bias", AT(train.decay_norm_and_bias));
  list->boolean("train.decay_embeddings", AT(train.decay_embeddings));
  list->number("train.beta1", AT(train.beta1));
  list->number("train.beta2", AT(train.beta2));
  list->number("train.epsilon", AT(train.epsilon));
  list->number("train.clip", AT(train.clip));
}

void add_rest(FieldList* list) {
  list->integer("parallel.replicas", AT(parallel.replicas));
  list->integer("parallel.min_replicas", AT(parallel.min_replicas));
  list->integers("parallel.lane_shares", AT(parallel.lane_shares));
  list->integer("parallel.stages", AT(parallel.stages));
  list->integer("parallel.chunks", AT(parallel.chunks));
  list->text("parallel.schedule", AT(parallel.schedule));
  list->text("parallel.consistency", AT(parallel.consistency));
  list->integer("parallel.ssp", AT(parallel.ssp));
  list->integer("parallel.threads", AT(parallel.threads));
  list->text("parallel.device", AT(parallel.device));
  list->boolean("parallel.backup", AT(parallel.backup));
  list->boolean("parallel.recompute", AT(parallel.recompute));
  list->integer("checkpoint.every", AT(checkpoint.every));
  list->integer("checkpoint.keep", AT(checkpoint.keep));
  list->integer("evaluate.every", AT(evaluate.every));
  list->integer("evaluate.batches", AT(evaluate.batches));
  list->text("evaluate.metric", AT(evaluate.metric));
  list->integer("evaluate.patience", AT(evaluate.patience));
}

std::vector<Field> make_fields() {
  FieldList list;
  list.text("job.name", AT(job.name));
  list.text("job.kind", AT(job.kind));
  list.integer("job.priority", AT(job.priority));
  list.integer("job.retries", AT(job.retries));
  add_model(&list);
  add_data(&list);
  add_objective(&list);
  add_task(&list);
  add_train(&list);
  add_rest(&list);
  return std::move(list.fields);
}

#undef AT

}  // namespace

const std::vector<Field>& job_fields() {
  static const std::vector<Field> fields = make_fields();
  return fields;
}

const Field* find_field(const std::string& key) {
  for (const Field& field : job_fields()) {
    if (field.key == key) return &field;
  }
  return nullptr;
}

}  // namespace strand
