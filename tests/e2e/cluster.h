// A cluster of real processes that nobody looks after: a coordinator, data servers and workers, each started, killed
// and started again by the test. Sockets lie in the test's folder, logs in cluster/logs, the run in run.
#pragma once

#include <map>
#include <string>

#include "tests/e2e/group_job.h"

namespace strand::e2e {

class Cluster {
 public:
  // `folder` holds job.toml (write_group_job). Starts the coordinator and so many data servers.
  Cluster(const std::string& folder, int data_servers);

  void start_coordinator();
  void start_data(int number);     // from 1
  void start_worker(int id);       // from 1; its log: worker-ID.log
  void start_workers(int number);  // 1 to number
  Process& coordinator() { return processes_.at("coordinator"); }
  Process& data(int number) { return processes_.at("data-" + std::to_string(number)); }
  Process& worker(int id) { return processes_.at("worker-" + std::to_string(id)); }

  // Where the worker of that id listens, or a data server ("data-1"), or the coordinator: a path of a socket.
  std::string socket(const std::string& name) const { return folder_ + "/" + name + ".sock"; }
  std::string logs() const { return folder_ + "/cluster/logs"; }
  std::string run_directory() const { return folder_ + "/run"; }

  // job.toml with these --set key=value; whether it was taken.
  bool submit(const Words& options);
  Json show() const;  // of the job; null when the coordinator does not answer
  bool reaches(int step) const;
  // Waits for the end of the job; empty digests unless it is done.
  Digests end();

 private:
  void start(const std::string& name, Words arguments);

  std::string folder_;
  Words data_options_;
  std::map<std::string, Process> processes_;
};

}  // namespace strand::e2e
