// What a job learns: the objective of pretraining, and the labelled task of finetuning. docs/tasks.md explains both.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace strand {

enum class ObjectiveKind {
  kAuto,       // masked for a bidirectional model, else next token
  kNextToken,  // token i + 1 is the target of token i
  kMasked      // some tokens are hidden and are their own targets
};
enum class RandomIds { kAll, kNoSpecials };
enum class MaskRounding { kNearest, kDown };  // halves go up; what is behind the point is cut off

// Masking (Devlin et al., 2019). What the sources leave open is a field; each default names its source in
// docs/tasks.md.
struct ObjectiveSpec {
  ObjectiveKind kind = ObjectiveKind::kAuto;
  double ratio = 0.15;         // max(1, round(ratio x tokens)) of the tokens that are no specials are targets
  bool count_special = false;  // special tokens count among these tokens; they are no targets either way
  MaskRounding rounding = MaskRounding::kNearest;
  double mask = 0.8;    // share of the targets that become the mask token
  double random = 0.1;  // share that becomes a random token; the others stay what they are
  RandomIds random_ids = RandomIds::kAll;
  int64_t max_ngram = 1;  // targets come in spans of 1 to max_ngram tokens, P(n) proportional to 1 / n
  bool operator==(const ObjectiveSpec&) const = default;
};

enum class TaskKind {
  kClassify,       // one of several classes a sequence
  kMultiLabel,     // any number of yes or no labels a sequence
  kRegress,        // one or more numbers a sequence
  kClassifyTokens  // one of several classes a token
};
enum class TooLong { kCut, kRefuse };
enum class PoolingChoice {
  kAuto,  // the last token of a causal model, else the first
  kCls,   // the first token
  kMean,  // of the real tokens
  kMax,
  kLast  // the last real token
};
enum class HeadActivation { kTanh, kGelu, kRelu };

struct TaskSpec {
  std::string name;
  TaskKind kind = TaskKind::kClassify;
  // Tables (dataserver/tables/table_file.h has the formats); made absolute by parse. dev and test may be empty.
  std::string train, dev, test;
  std::string sequence = "sequence";     // the column of the sequences
  std::string label = "label";           // the column of the labels
  std::vector<std::string> labels;       // multi-label and regress: one column a label, in place of `label`
  int64_t classes = 0;                   // how many: labels are 0 to classes - 1 (multi-label: labels in the list)
  std::vector<std::string> class_names;  // or their names
  double dev_fraction = 0;               // of the training rows, when there is no dev table
  int64_t folds = 0, fold = 0;           // k-fold over one table: part `fold` of `folds` tests; 0: off
  uint64_t split_seed = 1;               // of dev_fraction and folds
  bool standardize = true;               // regress: labels less their mean, over their deviation, both of training rows
  std::string prefix, suffix;            // text around every sequence, tokenised together with it
  bool special_tokens = true;            // the tokenizer's frame stands around every row
  bool reverse_complement = false;       // half of the training rows from the other strand
  bool sort_by_length = false;           // rows of a step go to its micro batches by their lengths
  TooLong too_long = TooLong::kCut;
  PoolingChoice pooling = PoolingChoice::kAuto;
  std::vector<int64_t> head;  // widths of hidden layers; none: one linear layer
  HeadActivation head_activation = HeadActivation::kTanh;
  bool head_bias = true;
  double head_dropout = 0;
  bool operator==(const TaskSpec&) const = default;
};

// Outputs of the head: classes, or labels a sequence. 0 when the task does not say.
int64_t task_outputs(const TaskSpec& task);
// Their names, task_outputs of them: class names or "0", "1", ...; columns of several labels.
std::vector<std::string> task_output_names(const TaskSpec& task);
const char* task_kind_name(TaskKind kind);  // "classify", ... as in the job file

}  // namespace strand
