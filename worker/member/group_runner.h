// Trains one job as a member of its group, through all its generations, on a thread of its own: computes the lanes of
// its replica at its stage, evaluates, reports. What is held and committed is the session's (group_session.h).
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "worker/batch_fetcher.h"
#include "worker/checkpoint/checkpoint_writer.h"
#include "worker/member/group_session.h"
#include "worker/runner.h"
#include "worker/stage_model.h"

namespace strand {

class GroupRunner final : public Runner {
 public:
  // `threads` overrides the job's when positive. `hub` outlives it and has no other client.
  GroupRunner(RunnerSeams seams, WorkerIdentity identity, StartTraining start, int threads, PeerHub* hub);
  ~GroupRunner() override;

  void stop(bool checkpoint) override;
  bool go_on(const StartTraining& start) override;

 private:
  struct PendingReport {
    Step step = 0;
    StepReport report;
  };

  struct Evaluated {
    Step after = 0;
    EvaluationResult result;
  };

  void run();
  Status train();
  Status open_job();
  Status open_session();
  Status open_dataset();

  Status on(const GroupReady& ready);
  Status on(const ComputeStep& compute);
  Status on(const StepDone& done);
  Status on(const AllStepsDone& all);
  Status on(const SessionFailed& failed);

  Status compute(Step step);
  Result<EvaluationResult> evaluate(Step step, uint64_t rows);
  Status evaluate_after(Step step);
  void say_pending(bool evaluated_or_not);
  Status finish();
  // A pass of this stage: `error` ends the job, or was only the end of a pass that nobody wants any more.
  Status outcome(const Status& error);
  ExecutorOptions executor_options() const;
  AwaitRanges await_version(Step version);
  StageLink* open_link(Step step, uint32_t pass, const PipelineShape& shape);
  bool evaluates_after(Step step) const;
  bool is_last_stage() const { return self_.stage + 1 == static_cast<int32_t>(spec_.parallel.stages); }
  Status write_failure();

  int64_t save(const GroupPlan& plan, Step step, const std::vector<uint32_t>& led);
  void on_part(Step step, Result<PartSaved> part);
  void say(Step step, decltype(TrainingReport::body) body, int64_t work_nanoseconds = 0);

  RunnerSeams seams_;
  const WorkerIdentity identity_;
  const JobId job_;
  const int threads_wanted_;
  PeerHub* hub_;
  std::string checkpoint_directory_;

  // The training thread only.
  JobSpec spec_;
  bool bf16_ = false, elsewhere_ = false, finished_ = false;
  int threads_ = 1;
  PipelineKind schedule_kind_ = PipelineKind::kOneForwardOneBackward;
  DatasetStatus dataset_;
  std::unique_ptr<BatchFetcher> fetcher_;
  std::unique_ptr<StageState> state_;
  std::unique_ptr<ThreadPool> pool_, copy_pool_;
  std::unique_ptr<Workspace> workspace_;
  OpContext context_;
  std::unique_ptr<StageModel> model_;
  GroupPlan plan_;    // of the newest GroupReady
  GroupMember self_;  // in it
  LaneRun lanes_;
  int64_t computed_nanoseconds_ = 0, data_wait_nanoseconds_ = 0;  // of the last pass
  std::optional<PendingReport> pending_;                          // waits for its evaluation
  std::optional<Evaluated> evaluated_;                            // the newest of this generation
  Step base_ = 0, committed_ = 0;
  Time last_commit_;
  double last_loss_ = 0;
  int64_t tokens_ = 0, training_nanoseconds_ = 0;

  // Between the threads.
  std::mutex mutex_;
  StartTraining start_;  // newest; guarded by mutex_
  std::unique_ptr<CheckpointWriter> writer_;
  std::unique_ptr<GroupSession> session_;         // set once, guarded by mutex_ until then
  std::optional<Error> write_failure_;            // guarded by mutex_
  std::vector<FingerprintField> dataset_fields_;  // guarded by mutex_
  Generation saving_;                             // guarded by mutex_: of the part that is being written
  std::atomic<uint64_t> generation_{0};           // of what is said
  std::atomic<bool> stop_{false}, checkpoint_on_stop_{false}, ended_{false};
  std::thread thread_;
};

}  // namespace strand
