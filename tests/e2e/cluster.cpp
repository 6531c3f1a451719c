#include "tests/e2e/cluster.h"

#include <thread>

#include "shared/base/text.h"

namespace strand::e2e {

using std::chrono::seconds;

Cluster::Cluster(const std::string& folder, int data_servers, std::shared_ptr<const Site> site)
    : folder_(folder), site_(site ? std::move(site) : std::make_shared<SocketSite>(folder)) {
  for (int i = 1; i <= data_servers; ++i) {
    data_options_ = data_options_ + Words{"--data", site_->endpoint(concat("data-", i))};
    start_data(i);
  }
  start_coordinator();
}

Process Cluster::launch(const std::string& name, const std::string& tag, const Words& arguments) const {
  const Words program = {strand_program()};
  return Process::of(folder_, tag, site_->before(name) + program + arguments + site_->options(name));
}

void Cluster::start(const std::string& name, const Words& arguments) {
  processes_.erase(name);
  processes_.emplace(name, launch(name, name, arguments + Words{"--bind", site_->endpoint(name)}));
}

void Cluster::start_coordinator() {
  start("coordinator", Words{"coordinator", "--dir", "cluster"} + data_options_);
}

void Cluster::start_data(int number) {
  const std::string name = concat("data-", number);
  start(name, {"dataserver", "--dir", "cluster", "--name", name});
}

void Cluster::start_worker(int id) {
  const std::string name = concat("worker-", id);
  start(name, {"worker", "--coordinator", site_->endpoint("coordinator"), "--dir", "cluster", "--name", name, "--id",
               std::to_string(id), "--threads", "1"});
}

void Cluster::start_workers(int number) {
  for (int id = 1; id <= number; ++id) start_worker(id);
}

std::string Cluster::run_directory(const std::string& job) const {
  return folder_ + (job == kJob ? "/run" : "/run-" + job);
}

Process Cluster::ask(const std::string& command, const Words& arguments) const {
  const Words coordinator = {"--coordinator", site_->endpoint("coordinator")};
  Process process = launch("client", command, Words{command} + arguments + coordinator);
  process.wait(seconds(20));
  return process;
}

bool Cluster::submit(const Words& options, const std::string& job) {
  Words arguments = {"job.toml", "--run-dir", run_directory(job), "--json", "--set", "job.name=" + job};
  for (const std::string& option : options) arguments = arguments + Words{"--set", option};
  return ask("submit", arguments).exit_code() == 0;
}

Json Cluster::show(const std::string& job) const {
  const Process shown = ask("show", {job, "--json"});
  return shown.exit_code() == 0 ? shown.json() : Json();
}

std::string Cluster::state(const std::string& job) const {
  const Json json = show(job);
  return json.is_object() ? json.value("state", "") : "";
}

bool Cluster::reaches(int step, const std::string& job) const {
  return within(seconds(60), [&] { return newest_step(run_directory(job)) >= step; });
}

Digests Cluster::end(const std::string& job) {
  Json last;
  within(std::chrono::minutes(5), [&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    last = show(job);
    const std::string state = last.is_object() ? last.value("state", "") : "";
    return state == "done" || state == "failed" || state == "stopped" || state == "cancelled";
  });
  if (!last.is_object() || last.value("state", "") != "done") return {};
  return {last.value("digest", ""), last.value("state_digest", "")};
}

}  // namespace strand::e2e
