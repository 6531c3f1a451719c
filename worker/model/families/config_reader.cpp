#include "worker/model/families/config_reader.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "shared/base/text.h"

namespace strand {

const Json* ConfigReader::value(const char* key) const {
  if (!json_.is_object()) return nullptr;
  const auto at = json_.find(key);
  return at == json_.end() || at->is_null() ? nullptr : &*at;
}

void ConfigReader::expected(const char* key, const std::string& what) {
  const Json* found = value(key);
  refused_.insert(key);
  problem(concat(key, ": expected ", what, ", found ", found == nullptr ? "nothing" : dump_json(*found).substr(0, 60)));
}

int64_t ConfigReader::integer(const char* key, int64_t least, int64_t most, std::optional<int64_t> otherwise) {
  const Json* found = value(key);
  if (found == nullptr && otherwise) return *otherwise;
  if (found == nullptr || !found->is_number_integer() ||
      (found->is_number_unsigned() && found->get<uint64_t>() > static_cast<uint64_t>(most)) ||
      found->get<int64_t>() < least || found->get<int64_t>() > most) {
    expected(key, concat("a whole number from ", least, " to ", most));
    return least;
  }
  return found->get<int64_t>();
}

double ConfigReader::number(const char* key, std::optional<double> otherwise) {
  const Json* found = value(key);
  if (found == nullptr && otherwise) return *otherwise;
  constexpr double kMost = std::numeric_limits<float>::max();
  if (found == nullptr || !found->is_number() || !(std::abs(found->get<double>()) <= kMost)) {
    expected(key, "a number that a float holds");
    return otherwise.value_or(1);
  }
  return found->get<double>();
}

bool ConfigReader::boolean(const char* key, std::optional<bool> otherwise) {
  const Json* found = value(key);
  if (found == nullptr && otherwise) return *otherwise;
  if (found == nullptr || !found->is_boolean()) {
    expected(key, "true or false");
    return otherwise.value_or(false);
  }
  return found->get<bool>();
}

std::string ConfigReader::text(const char* key, const std::string& otherwise) {
  const Json* found = value(key);
  if (found == nullptr) return otherwise;
  if (!found->is_string()) {
    expected(key, "a text");
    return otherwise;
  }
  return found->get<std::string>();
}

void ConfigReader::only(const char* key, const Json& wanted) {
  const Json* found = value(key);
  if (found != nullptr && *found != wanted) expected(key, concat(dump_json(wanted), " (no other is built)"));
}

void ConfigReader::need(const char* key, const Json& wanted) {
  const Json* found = value(key);
  if (found == nullptr || *found != wanted) expected(key, concat(dump_json(wanted), " (no other is built)"));
}

bool ConfigReader::right(std::initializer_list<std::string_view> keys) const {
  return std::ranges::none_of(keys, [&](std::string_view key) { return refused_.contains(key); });
}

Status ConfigReader::status() const {
  if (problems_.empty()) return {};
  if (problems_.size() == 1) return bad_input(concat(origin_, ": ", problems_[0]));
  return bad_input(concat(origin_, ": ", problems_.size(), " problems:\n  ", join(problems_, "\n  ")));
}

void read_sizes(ConfigReader* reader, TransformerConfig* config) {
  config->layers = reader->integer("num_hidden_layers", 1, 1024);
  config->hidden = reader->integer("hidden_size", 1, 1 << 16);
  config->heads = reader->integer("num_attention_heads", 1, 1 << 16);
  config->vocabulary = reader->integer("vocab_size", 2, 65536);
  check_heads(reader, *config, "num_attention_heads", "hidden_size");
}

void check_heads(ConfigReader* reader, const TransformerConfig& config, const char* heads_key, const char* hidden_key) {
  if (!reader->right({heads_key, hidden_key})) return;
  if (config.hidden % config.heads != 0) {
    reader->problem(concat(heads_key, ": ", config.heads, " does not divide ", hidden_key, " ", config.hidden));
  } else if (config.positions == PositionKind::kRope && config.head_size() % 2 != 0) {
    reader->problem(concat(heads_key, ": rotary positions need an even head size, found ", config.head_size()));
  }
}

void need_plain_model(Misfits* misfits, const TransformerConfig& config) {
  misfits->need(config.embedding_scale == 1.0f, "embedding_scale = 1");
  misfits->need(config.attention, "attention in every block");
}

Json special_id(int64_t id, const TransformerConfig& config) {
  return id >= 0 && id < config.vocabulary ? Json(id) : Json(nullptr);
}

double exact_double(float value) {
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
  double out = 0;
  std::from_chars(buffer, end, out);
  return out;
}

}  // namespace strand
