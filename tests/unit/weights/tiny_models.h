// Small models of every family, with weights that are all different, and directories of published weights in memory.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "shared/base/hash.h"
#include "shared/base/rng.h"
#include "shared/formats/json.h"
#include "shared/formats/safetensors.h"
#include "shared/job_spec/parameter_table.h"
#include "tests/support/faulty_file_system.h"
#include "worker/model/families/family.h"
#include "worker/model/families/published_weights.h"
#include "worker/params/digest.h"

namespace strand {

struct TinyModel {
  TransformerConfig config;
  std::vector<ParameterInfo> table;
  std::vector<float> weights;

  Digest128 digest() const { return model_digest(table, weights); }
  const ParameterInfo& parameter(const std::string& name) const {
    for (const ParameterInfo& info : table) {
      if (info.name == name) return info;
    }
    ADD_FAILURE() << "no parameter " << name;
    return table.front();
  }
  std::span<float> values(const std::string& name) {
    const ParameterInfo& info = parameter(name);
    return std::span(weights).subspan(static_cast<size_t>(info.first_element), static_cast<size_t>(info.elements));
  }
};

// A preset's architecture, two blocks of width 16.
inline TransformerConfig shrunk(const std::string& preset) {
  TransformerConfig config = preset_config(preset).value();
  if (config.projected()) config.embedding_width = 8;
  config.layers = 2;
  config.hidden = 16;
  config.heads = 4;
  config.mlp_hidden = 12;
  config.vocabulary = 37;
  config.max_sequence = 20;
  return config;
}

inline TinyModel model_of(const TransformerConfig& config) {
  TinyModel model{config, parameter_table(config), {}};
  model.weights.resize(static_cast<size_t>(parameter_count(config)));
  const PhiloxKey key = philox_key(3, Purpose::kTest);
  for (size_t i = 0; i < model.weights.size(); ++i) {
    model.weights[i] = unit_float(random_word(key, i / 4, 0, static_cast<uint32_t>(i % 4))) - 0.5f;
  }
  return model;
}
inline TinyModel tiny_model(const std::string& preset) {
  return model_of(shrunk(preset));
}

inline const Family& family_named(const std::string& name) {
  for (const Family& family : families()) {
    if (name == family.name) return family;
  }
  ADD_FAILURE() << "no family " << name;
  return families().front();
}

inline void put_text(FileSystem& fs, const std::string& path, const std::string& text) {
  const Status written = write_file_atomically(fs, path, text);
  ASSERT_TRUE(written.ok()) << written.error().message();
}

// The tensors of `model` under the names of `family`.
inline std::vector<TensorToWrite> published(const TinyModel& model, const Family& family) {
  auto tensors = tensors_to_write(family, model.config, model.table, model.weights);
  EXPECT_TRUE(tensors.ok()) << tensors.error().message();
  return std::move(tensors).value();
}

// config.json and model.safetensors of `model` in `directory`.
inline void put_published(FileSystem& fs, const std::string& directory, const TinyModel& model, const Family& family) {
  ASSERT_TRUE(fs.make_directories(directory).ok());
  put_text(fs, directory + "/config.json", dump_json(family.write_config(model.config, family.ids)));
  ASSERT_TRUE(write_safetensors(fs, directory + "/model.safetensors", published(model, family)).ok());
}

}  // namespace strand
