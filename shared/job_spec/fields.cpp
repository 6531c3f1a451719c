#include "shared/job_spec/fields.h"

#include "shared/job_spec/field_list.h"

namespace strand {
namespace {

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
  list->boolean("tokenizer.overlapping", AT(tokenizer.overlapping));
  list->boolean("tokenizer.bos_eos", AT(tokenizer.bos_eos));
  list->integer("tokenizer.max_length", AT(tokenizer.max_length));
  list->text("tokenizer.file", AT(tokenizer.file));
  list->texts("data.files", AT(data.files));
  add_exclude_field(list);
  list->integer("data.segment", AT(data.segment));
  list->integer("data.segment_bases", AT(data.segment_bases));
  list->integer("data.stride", AT(data.stride));
  list->boolean("data.reverse_complement", AT(data.reverse_complement));
  list->integer("data.shift", AT(data.shift));
  list->boolean("data.packing", AT(data.packing));
  list->number("data.temperature", AT(data.temperature));
  list->number("data.holdout.fraction", AT(data.holdout.fraction));
  list->texts("data.holdout.records", AT(data.holdout.records));
  list->texts("data.holdout.files", AT(data.holdout.files));
  list->texts("data.holdout.sources", AT(data.holdout.sources));
  add_interval_field(list);
  for (Field& field : list_fields(0)) list->fields.push_back(std::move(field));
}

void add_objective(FieldList* list) {
  list->choice("objective.kind", {"auto", "next-token", "masked"}, AT(objective.kind));
  list->number("objective.ratio", AT(objective.ratio));
  list->boolean("objective.count_special", AT(objective.count_special));
  list->choice("objective.rounding", {"nearest", "down"}, AT(objective.rounding));
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
  list->boolean("task.sort_by_length", AT(task.sort_by_length));
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

std::vector<Field> job_fields(const JobSpec& spec) {
  std::vector<Field> fields = job_fields();
  const size_t elements = std::max(spec.data.sources.size(), spec.data.mixture.size());
  for (size_t i = 1; i < elements; ++i) {
    for (Field& field : list_fields(i)) {
      // Behind those of the element before it.
      const std::string list = plain_key(field.key).substr(0, field.key.find('['));
      const auto after =
          std::find_if(fields.rbegin(), fields.rend(), [&](const Field& f) { return f.key.starts_with(list); });
      fields.insert(after.base(), std::move(field));
    }
  }
  return fields;
}

std::optional<Field> find_field(const std::string& key) {
  const std::optional<ListKey> element = list_key(key);
  if (key.find('[') != std::string::npos && !element) return std::nullopt;
  const std::vector<Field> of_element = element ? list_fields(element->index) : std::vector<Field>();
  for (const Field& field : element ? of_element : job_fields()) {
    if (field.key == key) return field;
  }
  return std::nullopt;
}

}  // namespace strand
