// Reads a config.json key by key and keeps every problem, so that all of them are told at once.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "shared/base/result.h"
#include "shared/formats/json.h"
#include "shared/job_spec/job_spec.h"

namespace strand {

class ConfigReader {
 public:
  ConfigReader(const Json& json, std::string origin) : json_(json), origin_(std::move(origin)) {}

  // A key that is absent or null is `otherwise`; without one it is a problem. Integers must be in [least, most].
  int64_t integer(const char* key, int64_t least, int64_t most, std::optional<int64_t> otherwise = {});
  double number(const char* key, std::optional<double> otherwise = {});
  bool boolean(const char* key, std::optional<bool> otherwise = {});
  std::string text(const char* key, const std::string& otherwise);
  // The key is absent, null or this value: anything else is not built.
  void only(const char* key, const Json& wanted);
  // The same of a key that must be there: what its absence stands for is not built either.
  void need(const char* key, const Json& wanted);
  // The value, or null when the key is absent or null.
  const Json* value(const char* key) const;

  void problem(const std::string& text) { problems_.push_back(text); }
  // No number of these keys was refused: what depends on several is looked at only then, as a refused one was replaced.
  bool right(std::initializer_list<std::string_view> keys) const;
  // kBadInput, a line for each problem.
  Status status() const;

 private:
  void expected(const char* key, const std::string& what);

  const Json& json_;
  std::string origin_;
  std::vector<std::string> problems_;
  std::set<std::string, std::less<>> refused_;  // keys
};

// Sizes that every family has, under their usual names, within the limits of a job file: num_hidden_layers,
// hidden_size, num_attention_heads, vocab_size. Then check_heads.
void read_sizes(ConfigReader* reader, TransformerConfig* config);
// Heads divide the width; those of rotary positions, which config->positions has told already, have an even size.
void check_heads(ConfigReader* reader, const TransformerConfig& config, const char* heads_key, const char* hidden_key);

// Collects "model.norm is rms, expected layer" and the like for Family::misfits.
class Misfits {
 public:
  // `what` as in "causal attention"; added unless `fits`.
  void need(bool fits, const std::string& what) {
    if (!fits) list_.push_back(what);
  }
  std::vector<std::string> take() { return std::move(list_); }

 private:
  std::vector<std::string> list_;
};

// What no published family has: a scaled embedding, blocks without attention. Dropout is no part of what a model
// computes, so it never stands in the way.
void need_plain_model(Misfits* misfits, const TransformerConfig& config);

// A special id as config.json has it: null when there is none or the vocabulary lacks it.
Json special_id(int64_t id, const TransformerConfig& config);

// The shortest number that reads back as the same float (1e-05 as such, not its binary neighbour in double).
double exact_double(float value);

}  // namespace strand
