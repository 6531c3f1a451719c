// Training of one job on this worker, without any process around it: batches in, committed steps out.
// Not thread-safe: one training thread owns it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ops/core/context.h"
#include "shared/base/hash.h"
#include "shared/base/result.h"
#include "shared/job_spec/job_spec.h"
#include "shared/wire/messages.h"
#include "worker/params/param_shard.h"
#include "worker/predictions.h"

namespace strand {

// Rows of token ids, as they came from the data server. Valid until the next call for rows of the same set.
struct Batch {
  uint64_t first_row = 0;
  int64_t rows = 0;
  int64_t segment = 0;                // row stride in tokens
  const uint16_t* tokens = nullptr;   // [rows, segment], padded with 0
  const uint16_t* lengths = nullptr;  // [rows]
  // [rows, segment]: the id each token must be answered with (a class for token labels), 65535 where nothing is asked.
  // Null: without labels token i + 1 is the target of token i, with labels there are no targets.
  const uint16_t* targets = nullptr;
  const float* labels = nullptr;  // [rows, labels_per_row]: a class number, 0 or 1 each, or numbers; NaN: missing
  int64_t labels_per_row = 0;
  // [rows]: what each row is made from, by the dataset's own number. Null: the source does not say, 0 is taken.
  const uint64_t* samples = nullptr;
};

// Where batches come from; rows are asked for in rising order and prefetched behind the seam.
class BatchSource {
 public:
  virtual ~BatchSource() = default;
  // Blocks until rows [first_row, first_row + rows) are here. kStopped when asked to stop meanwhile.
  virtual Result<Batch> training_rows(uint64_t first_row, int64_t rows) = 0;
  virtual Result<Batch> held_out_rows(uint64_t first_row, int64_t rows) = 0;
  // Of a task.
  virtual Result<Batch> test_rows(uint64_t, int64_t) { return bad_input("this source has no test set"); }
};

struct StepResult {
  Step step = 0;             // now committed
  double loss = 0;           // mean over the predicted tokens, or the labels, of the global batch
  double gradient_norm = 0;  // of the mean gradient, before clipping
  double learning_rate = 0;
  int64_t tokens = 0;  // predicted; of a task those that were read
  int64_t data_wait_nanoseconds = 0;
  uint64_t audit = 0;  // sum over the rows given to the embedding (shared/base/row_audit.h)
};

struct EvaluationResult {
  double loss = 0;           // nats per predicted token
  double bits_per_base = 0;  // nats / (ln 2 x bases of the predicted tokens); NaN for a masked objective, which sees
                             // both sides of them and is not comparable
  int64_t tokens = 0, bases = 0;
};

struct TrainerOptions {
  int threads = 1;
  Backend backend = Backend::kCpu;
};

class Trainer {
 public:
  // token_bases: bases of each id (from the data server). kBadInput when the job asks for what is not built.
  static Result<std::unique_ptr<Trainer>> create(const JobSpec& spec, std::vector<uint8_t> token_bases,
                                                 const TrainerOptions& options);
  ~Trainer();

  void initialise();         // step 0: initial weights from the seed
  void restored(Step step);  // shard() was filled from a checkpoint of this step

  // One optimizer update. A non-finite loss or norm is an error (kBadInput: never retried) naming the step, lane and
  // micro batch, and commits nothing.
  Result<StepResult> step(BatchSource& source);
  // Pretraining: rows [0, rows) of the held-out set, in micro batches of the job's size. `progress` may be null.
  Result<EvaluationResult> evaluate(BatchSource& source, uint64_t rows,
                                    const std::function<void(uint64_t done)>& progress);

  // Of a task: what the model says of rows [0, rows) of its dev (kHeldOut) or test set.
  Result<Predictions> predict(BatchSource& source, RowSet set, uint64_t rows,
                              const std::function<void(uint64_t done)>& progress);

  Step current_step() const;
  uint64_t next_row() const;  // current_step x rows per step
  ParamShard& shard();
  Digest128 digest() const;
  Digest128 state_digest() const;
  bool bf16() const;  // resolved precision
  // FLOP/s of a large matrix product in the job's precision with its threads, measured once.
  double matrix_rate();

 private:
  struct Impl;
  explicit Trainer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// What a job's precision means on this machine.
bool trains_in_bf16(Precision precision);

// Build, library versions, backend and instruction set (DESIGN section 5, Kernels): "strand=0.1.0 onednn=2.6.3 ...".
std::string numerics_fingerprint();

}  // namespace strand
