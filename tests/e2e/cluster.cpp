#include "tests/e2e/cluster.h"

#include <thread>

#include "shared/base/text.h"

namespace strand::e2e {

using std::chrono::seconds;

Cluster::Cluster(const std::string& folder, int data_servers) : folder_(folder) {
  for (int i = 1; i <= data_servers; ++i) {
    data_options_ = data_options_ + Words{"--data", "ipc://" + socket(concat("data-", i))};
    start_data(i);
  }
  start_coordinator();
}

void Cluster::start(const std::string& name, Words arguments) {
  processes_.erase(name);
  processes_.emplace(name, Process(folder_, name, std::move(arguments)));
}

void Cluster::start_coordinator() {
  start("coordinator", Words{"coordinator", "--bind", "ipc://" + socket("c"), "--dir", "cluster"} + data_options_);
}

void Cluster::start_data(int number) {
  const std::string name = concat("data-", number);
  start(name, {"dataserver", "--bind", "ipc://" + socket(name), "--dir", "cluster", "--name", name});
}

void Cluster::start_worker(int id) {
  const std::string name = concat("worker-", id);
  start(name, {"worker", "--coordinator", "ipc://" + socket("c"), "--dir", "cluster", "--name", name, "--id",
               std::to_string(id), "--bind", "ipc://" + socket(name), "--threads", "1"});
}

void Cluster::start_workers(int number) {
  for (int id = 1; id <= number; ++id) start_worker(id);
}

bool Cluster::submit(const Words& options) {
  Words arguments = {"submit", "job.toml", "--run-dir", "run", "--json", "--coordinator", "ipc://" + socket("c")};
  for (const std::string& option : options) arguments = arguments + Words{"--set", option};
  const Process submitted = run(folder_, "submit", arguments, seconds(20));
  return submitted.exit_code() == 0;
}

Json Cluster::show() const {
  const Process shown =
      run(folder_, "show", {"show", "small", "--json", "--coordinator", "ipc://" + socket("c")}, seconds(20));
  return shown.exit_code() == 0 ? shown.json() : Json();
}

bool Cluster::reaches(int step) const {
  return within(seconds(60), [&] { return newest_step(run_directory()) >= step; });
}

Digests Cluster::end() {
  Json last;
  within(std::chrono::minutes(5), [&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    last = show();
    const std::string state = last.is_object() ? last.value("state", "") : "";
    return state == "done" || state == "failed" || state == "stopped" || state == "cancelled";
  });
  if (!last.is_object() || last.value("state", "") != "done") return {};
  return {last.value("digest", ""), last.value("state_digest", "")};
}

}  // namespace strand::e2e
