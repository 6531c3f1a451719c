// A cluster of real processes that nobody looks after: a coordinator, data servers and workers, each started, killed
// and started again by the test. Logs lie in cluster/logs of the test's folder, runs in run and run-NAME.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "tests/e2e/group_job.h"
#include "tests/e2e/site.h"

namespace strand::e2e {

class Cluster {
 public:
  // What write_group_job calls its job.
  static constexpr const char* kJob = "small";

  // `folder` holds job.toml (write_group_job). Starts the coordinator and so many data servers. Without a site:
  // sockets in the folder.
  Cluster(const std::string& folder, int data_servers, std::shared_ptr<const Site> site = nullptr);

  void start_coordinator();
  void start_data(int number);     // from 1
  void start_worker(int id);       // from 1; its log: worker-ID.log
  void start_workers(int number);  // 1 to number
  Process& coordinator() { return processes_.at("coordinator"); }
  Process& data(int number) { return processes_.at("data-" + std::to_string(number)); }
  Process& worker(int id) { return processes_.at("worker-" + std::to_string(id)); }

  std::string logs() const { return folder_ + "/cluster/logs"; }
  std::string run_directory(const std::string& job = kJob) const;

  // A command of the command line with these arguments, to its end.
  Process ask(const std::string& command, const Words& arguments) const;
  // job.toml with these --set key=value, under that name; whether it was taken.
  bool submit(const Words& options, const std::string& job = kJob);
  Json show(const std::string& job = kJob) const;  // null when the coordinator does not answer
  std::string state(const std::string& job = kJob) const;
  // Within a minute.
  bool reaches(int step, const std::string& job = kJob) const;
  // Waits for the end of the job; empty digests unless it is done.
  Digests end(const std::string& job = kJob);

 private:
  Process launch(const std::string& name, const std::string& tag, const Words& arguments) const;
  void start(const std::string& name, const Words& arguments);

  std::string folder_;
  std::shared_ptr<const Site> site_;
  Words data_options_;
  std::map<std::string, Process> processes_;
};

}  // namespace strand::e2e
