#include "tests/e2e/group_job.h"

#include <cstdlib>
#include <ctime>
#include <fstream>
#include <thread>

#include "shared/base/text.h"

namespace strand::e2e {
namespace {

constexpr const char* kJob = R"(
[job]
name = "small"
retries = 10
[model]
preset = "omni-dna-20m"
layers = 8
hidden = 32
heads = 4
mlp_hidden = 64
vocabulary = 16
[tokenizer]
kind = "nucleotide"
[data]
files = ["small.fa"]
segment = 64
[data.holdout]
fraction = 0.05
[train]
lanes = 4
micro_batch = 2
micro_batches_per_lane = 4
warmup = 5
seed = 7
[parallel]
threads = 1
[checkpoint]
every = 20
[evaluate]
every = 25
batches = 5
)";

// 2026-01-02T03:04:05.678Z
double seconds_of(const std::string& stamp) {
  std::tm tm{};
  const char* rest = strptime(stamp.c_str(), "%Y-%m-%dT%H:%M:%S", &tm);
  if (rest == nullptr) return 0;
  return static_cast<double>(timegm(&tm)) + std::strtod(rest, nullptr);
}

// key=value or key="a value with blanks", from `at` on.
void read_fields(const std::string& line, size_t at, std::map<std::string, std::string>* fields) {
  while (at < line.size()) {
    const size_t equals = line.find('=', at);
    if (equals == std::string::npos) return;
    const bool quoted = equals + 1 < line.size() && line[equals + 1] == '"';
    const size_t begin = equals + (quoted ? 2 : 1), end = std::min(line.find(quoted ? '"' : ' ', begin), line.size());
    (*fields)[line.substr(at, equals - at)] = line.substr(begin, end - begin);
    at = end + (quoted ? 2 : 1);
  }
}

}  // namespace

void write_group_job(const std::string& folder, int steps) {
  std::string job = kJob;
  const std::string train = "[train]\n";
  job.insert(job.find(train) + train.size(), concat("steps = ", steps, "\n"));
  write_file(folder + "/job.toml", job);
  write_file(folder + "/small.fa", small_fasta(100000, 1));
}

Words shape(int stages, int replicas) {
  return {"--stages", std::to_string(stages), "--replicas", std::to_string(replicas)};
}

Words operator+(Words first, const Words& more) {
  first.insert(first.end(), more.begin(), more.end());
  return first;
}

void PrintTo(const Digests& d, std::ostream* out) {
  *out << d.digest << " / " << d.state;
}

Digests digests_of(const Process& process) {
  const Json json = process.json();
  if (process.exit_code() != 0 || !json.is_object() || !json.contains("digest") || !json["digest"].is_string()) {
    return {};
  }
  return {json["digest"].get<std::string>(), json["state_digest"].get<std::string>()};
}

bool within(std::chrono::milliseconds limit, const std::function<bool()>& holds) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return true;
}

std::vector<Json> step_records(const std::string& run_directory) {
  std::vector<Json> found;
  for (const std::string& line : split(read_file(run_directory + "/metrics.jsonl"), '\n')) {
    const auto json = parse_json(line, "metrics");
    if (json.ok() && json->is_object()) found.push_back(*json);
  }
  return found;
}

int newest_step(const std::string& run_directory) {
  std::ifstream file(run_directory + "/metrics.jsonl");
  std::string line, last;
  while (std::getline(file, line)) {
    if (!file.eof()) last = line;  // one without its end is being written
  }
  const auto json = parse_json(last, "metrics");
  return json.ok() && json->is_object() ? json->at("step").get<int>() : 0;
}

bool reaches(Process& process, const std::string& run_directory, int step) {
  for (int seen = -1, now = newest_step(run_directory); now < step; now = newest_step(run_directory)) {
    if (now == seen) return false;
    seen = now;
    within(std::chrono::seconds(60),
           [&] { return newest_step(run_directory) != seen || process.wait(std::chrono::milliseconds(0)); });
  }
  return process.running();
}

double LogLine::number(const std::string& field) const {
  const auto found = fields.find(field);
  return found == fields.end() ? -1 : std::strtod(found->second.c_str(), nullptr);
}

std::vector<LogLine> log_lines(const std::string& path) {
  std::vector<LogLine> lines;
  for (const std::string& text : split(read_file(path), '\n')) {
    const size_t level = text.find(' '), role = text.find(' ', level + 1), event = text.find(' ', role + 1);
    if (level == std::string::npos || role == std::string::npos || event == std::string::npos) continue;
    const size_t end = std::min(text.find(' ', event + 1), text.size());
    LogLine line{seconds_of(text.substr(0, level)),
                 text.substr(role + 1, event - role - 1),
                 text.substr(event + 1, end - event - 1),
                 {}};
    read_fields(text, end + 1, &line.fields);
    lines.push_back(std::move(line));
  }
  return lines;
}

std::string coordinator_endpoint(const std::string& run_directory) {
  const std::string folder(trim(read_file(run_directory + "/sockets")));
  return folder.empty() ? "" : "ipc://" + folder + "/c";
}

Process join_run(const std::string& folder, const std::string& run_directory, const std::string& name, int id) {
  const std::string coordinator = coordinator_endpoint(run_directory);
  const std::string bind = coordinator.substr(0, coordinator.rfind('/') + 1) + name;
  return Process(folder, name,
                 {"worker", "--coordinator", coordinator, "--dir", run_directory, "--name", name, "--id",
                  std::to_string(id), "--bind", bind, "--threads", "1"});
}

}  // namespace strand::e2e
