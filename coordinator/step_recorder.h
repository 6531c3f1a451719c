// Step records of all jobs: <run directory>/metrics.jsonl and TensorBoard files. Kept open while their job runs.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "coordinator/event.h"
#include "shared/metrics/metrics.h"

namespace strand {

class StepRecorder {
 public:
  explicit StepRecorder(FileSystem& fs) : fs_(fs) {}
  // A failure is the caller's to report: metrics are lost, the job is not.
  Status record(const RecordStep& record);
  void close(JobId job) { files_.erase(job); }

 private:
  struct Files {
    std::unique_ptr<MetricsFile> lines;
    std::unique_ptr<TensorBoardFile> board;
  };
  Result<Files*> files_of(const RecordStep& record);

  FileSystem& fs_;
  std::map<JobId, Files> files_;
};

}  // namespace strand
