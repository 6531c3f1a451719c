// Published model families: a map between our parameter names (parameter_table.h) and theirs, and their config.json.
// docs/weights_format.md lists the names. A family is data and two functions; published_weights.h does the work.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "shared/base/result.h"
#include "shared/formats/json.h"
#include "shared/job_spec/job_spec.h"

namespace strand {

class ConfigReader;

// Which rows of our parameter a published tensor holds, from the top.
enum class TensorRows : uint8_t {
  kAll,
  kQuery,           // first third
  kKey,             // second third
  kValue,           // last third
  kLinearHalf,      // first half of mlp.up
  kGateHalf,        // second half of mlp.up
  kGateThenLinear,  // both halves, exchanged
};

// "blocks.N.mlp.down" stands for its .weight and its .bias, whichever the model has, and N for every block; a name with
// the ending stands for that parameter alone and comes before the shorter one.
struct NameRule {
  const char* ours;
  const char* theirs;
  TensorRows rows = TensorRows::kAll;
};

// A published tensor that repeats a parameter of ours: not written, not needed; when a file has it, it must be equal.
// Holds only while the model has no parameter `unless` (null: always).
struct NameAlias {
  const char* theirs;
  const char* ours;  // full name
  const char* unless = nullptr;
};

// A tensor that the family's Python class has and our model does not: written as zeros so that the library draws no
// random ones and gives no warning; passed over when read.
struct ZeroTensor {
  std::string name;
  std::vector<int64_t> shape;
};

// Ids that config.json names; -1: none. Defaults are the published tokenizer's.
struct SpecialIds {
  int64_t pad = -1, bos = -1, eos = -1, mask = -1;
};

struct Family {
  const char* name;          // "opt"
  const char* architecture;  // of config.json: "OPTForCausalLM"
  std::vector<NameRule> rules;
  // What stands at the front of the rules' names, then what other files have there instead ("" counts).
  std::vector<std::string> prefixes;
  std::vector<NameAlias> aliases;
  // Files of this family may be read but are not written.
  bool import_only = false;

  bool (*recognises)(const Json& config);
  // Our configuration of a config.json; the reader keeps every problem.
  TransformerConfig (*read_config)(ConfigReader* reader);
  Json (*write_config)(const TransformerConfig& config, const SpecialIds& ids);
  // Why a model of this configuration is none of the family's; empty when it is one.
  std::vector<std::string> (*misfits)(const TransformerConfig& config);
  std::vector<ZeroTensor> (*zeros)(const TransformerConfig& config) = nullptr;  // null: none
  SpecialIds ids = {};
};

Family opt_family();          // OPT (opt.cpp)
Family olmo_native_family();  // Omni-DNA as published, import only (olmo.cpp)
Family olmo_family();         // OlmoForCausalLM (olmo.cpp)
Family llama_family();        // LlamaForCausalLM (olmo.cpp)
Family esm_family();          // ESM, Nucleotide Transformer v1 and v2 (esm.cpp)
Family dnabert_2_family();    // MosaicBERT with ALiBi (bert.cpp)
Family aido_dna_family();     // RNABert: AIDO.DNA, DNA FM (bert.cpp)

const std::vector<Family>& families();
// The family of a config.json and our configuration of it; kBadInput naming model_type and the known ones, or every
// problem of the file.
struct FamilyConfig {
  const Family* family = nullptr;
  TransformerConfig config;
  std::vector<std::string> notes;  // what the file asks of training that Strand does without
};
Result<FamilyConfig> read_family_config(const Json& config, const std::string& origin);
// The family to write a model as; kBadInput with what each one misses.
Result<const Family*> family_for_export(const TransformerConfig& config);

}  // namespace strand
