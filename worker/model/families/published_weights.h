// A model's weights under a family's names: which published tensor holds which rows of ours, reading them from files
// with every disagreement told at once, and writing them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "shared/base/result.h"
#include "shared/formats/safetensors.h"
#include "shared/formats/tensor_source.h"
#include "shared/job_spec/parameter_table.h"
#include "worker/model/families/family.h"

namespace strand {

// A run of elements of one of our parameters.
struct ParameterPiece {
  size_t parameter = 0;  // index in the table
  int64_t first = 0, elements = 0;
};
struct PublishedTensor {
  std::string name;
  std::vector<int64_t> shape;
  std::vector<ParameterPiece> pieces;  // one after another, row-major
  bool optional = false;               // of the language-model head: a file may lack all of it
};

// Every published tensor of a model, in table order; together their pieces are the whole table, each element once.
// kBadInput when the family has no name for a parameter.
Result<std::vector<PublishedTensor>> published_tensors(const Family& family, const std::vector<ParameterInfo>& table);

struct ReadWeights {
  std::vector<float> weights;      // all elements of the table; those of an absent parameter are 0
  std::vector<bool> present;       // for each parameter: false when the file lacks the language-model head
  std::vector<std::string> notes;  // "kept out: score.weight [2, 512], a task's head", ...
};
// The weights of a file. One kBadInput lists the missing, surplus and misshapen tensors with expected and found, before
// anything of the model's size is allocated: `config` may be anything that Family::read_config lets through. A tied
// matrix that is stored twice must be equal. Non-finite weights are refused, naming tensor and element.
Result<ReadWeights> read_published_weights(const Family& family, const TransformerConfig& config,
                                           const std::vector<ParameterInfo>& table, TensorSource& source);

// The tensors of a file, each written once (tied matrices too). `weights` outlives the result.
Result<std::vector<TensorToWrite>> tensors_to_write(const Family& family, const TransformerConfig& config,
                                                    const std::vector<ParameterInfo>& table,
                                                    std::span<const float> weights);

}  // namespace strand
