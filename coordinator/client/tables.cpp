#include "coordinator/client/tables.h"

#include <algorithm>
#include <vector>

#include "shared/base/text.h"

namespace strand {
namespace {

std::string cell(const Json& json, const char* key, int decimals = -1) {
  const auto found = json.find(key);
  if (found == json.end() || found->is_null()) return "-";
  if (found->is_string()) return found->get<std::string>();
  if (found->is_number_float() && decimals >= 0) return format_number(found->get<double>(), decimals);
  return dump_json(*found);
}

double number(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_number() ? found->get<double>() : 0;
}

// Columns as wide as their widest cell; the first row is the heading.
std::string table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths(rows.front().size(), 0);
  for (const auto& row : rows) {
    for (size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], row[c].size());
  }
  std::string out;
  for (const auto& row : rows) {
    for (size_t c = 0; c < row.size(); ++c) {
      out += row[c];
      if (c + 1 < row.size()) out += std::string(widths[c] - row[c].size() + 2, ' ');
    }
    out += "\n";
  }
  return out;
}

std::string worker_line(const Json& worker) {
  std::string line = concat(cell(worker, "worker"), " ", cell(worker, "host"), " ", cell(worker, "state"));
  if (cell(worker, "replica") != "-") {
    line += concat(", replica ", cell(worker, "replica"), ", stage ", cell(worker, "stage"));
  } else {
    line += ", leaving";
  }
  line += concat(", generation ", cell(worker, "generation"), ", step ", cell(worker, "step"));
  if (number(worker, "work_seconds") > 0) line += concat(", works ", cell(worker, "work_seconds", 3), " s a step");
  return line;
}

}  // namespace

std::string jobs_table(const Json& jobs) {
  std::vector<std::vector<std::string>> rows = {{"ID", "JOB", "STATE", "PRIORITY", "STEP", "LOSS", "DIRECTORY"}};
  for (const Json& job : jobs.at("jobs")) {
    rows.push_back({cell(job, "id"), cell(job, "job"), cell(job, "state"), cell(job, "priority"),
                    concat(cell(job, "step"), "/", cell(job, "steps")), cell(job, "train_loss", 4),
                    cell(job, "run_directory")});
  }
  return rows.size() == 1 ? "no jobs; submit one with `strand submit JOB.toml`\n" : table(rows);
}

std::string workers_table(const Json& workers) {
  std::vector<std::vector<std::string>> rows = {{"WORKER", "HOST", "PID", "STATE", "JOB", "STEP", "NUMERICS"}};
  for (const Json& w : workers.at("workers")) {
    rows.push_back({cell(w, "worker"), cell(w, "host"), cell(w, "pid"), cell(w, "state"), cell(w, "job"),
                    cell(w, "step"), cell(w, "numerics")});
  }
  return rows.size() == 1 ? "no workers; start one with `strand worker`\n" : table(rows);
}

std::string checkpoints_table(const Json& checkpoints) {
  std::vector<std::vector<std::string>> rows = {{"STEP", "STATE", "SIZE", "STATE DIGEST", "REASON"}};
  for (const Json& c : checkpoints.at("checkpoints")) {
    rows.push_back({cell(c, "step"), cell(c, "state"), human_bytes(static_cast<uint64_t>(number(c, "bytes"))),
                    cell(c, "state_digest"), cell(c, "reason")});
  }
  return rows.size() == 1 ? "no checkpoints yet\n" : table(rows);
}

std::string metrics_table(const Json& records) {
  std::vector<std::vector<std::string>> rows = {{"STEP", "LOSS", "NORM", "RATE", "TOKENS/S", "WAIT", "EVAL BITS/BASE"}};
  for (const Json& r : records) {
    const double seconds = number(r, "step_seconds");
    const double wait = seconds > 0 ? 100 * number(r, "data_wait_seconds") / seconds : 0;
    rows.push_back({cell(r, "step"), cell(r, "loss", 4), cell(r, "gradient_norm", 3), cell(r, "learning_rate", 6),
                    with_thousands(static_cast<int64_t>(seconds > 0 ? number(r, "tokens") / seconds : 0)),
                    format_number(wait, 1) + "%", cell(r, "eval_bits_per_base", 4)});
  }
  return rows.size() == 1 ? "no steps recorded yet\n" : table(rows);
}

std::string job_table(const Json& show) {
  std::vector<std::vector<std::string>> rows = {{"job", concat(cell(show, "job"), " (", cell(show, "id"), ")")}};
  const auto add = [&](const char* title, const std::string& value) {
    if (value != "-" && !value.empty()) rows.push_back({title, value});
  };
  const std::string target = cell(show, "target");
  add("state", cell(show, "state") + (target == "-" ? "" : ", to be " + target));
  add("waiting", cell(show, "waiting"));
  add("reason", cell(show, "reason"));
  add("warning", cell(show, "warning"));
  add("step", concat(cell(show, "step"), " of ", cell(show, "steps")));
  add("training loss", cell(show, "train_loss", 4));
  add("held-out loss", cell(show, "eval_loss", 4));
  add("bits per base", cell(show, "bits_per_base", 4));
  add("best Markov model", cell(show, "markov_bits_per_base", 4));
  add("tokens", with_thousands(static_cast<int64_t>(number(show, "tokens"))));
  if (number(show, "tokens_per_second") > 0) {
    add("tokens per second", with_thousands(static_cast<int64_t>(number(show, "tokens_per_second"))));
  }
  add("goodput", format_number(100 * number(show, "goodput"), 1) + "%");
  std::string seconds;
  for (const auto& [state, value] : show.at("seconds").items()) {
    if (value.get<double>() < 0.05) continue;
    seconds += concat(seconds.empty() ? "" : ", ", state, " ", human_seconds(value.get<double>()));
  }
  add("time", seconds);
  add("generation",
      concat(cell(show, "generation"), ", ", cell(show, "replicas"), " of ", cell(show, "wanted_replicas"),
             " replicas x ", cell(show, "stages"), " stages, ", cell(show, "restarts"), " restarts"));
  for (const Json& worker : show.at("workers")) add("worker", worker_line(worker));
  for (const Json& slow : show.at("stragglers")) {
    add("straggler", concat("worker ", cell(slow, "worker"), " works ", cell(slow, "work_seconds", 3),
                            " s a step, the median of the others ", cell(slow, "median_of_others", 3), " s"));
  }
  add("backup", cell(show, "backup"));
  add("priority", cell(show, "priority"));
  add("run directory", cell(show, "run_directory"));
  add("digest", cell(show, "digest"));
  add("state digest", cell(show, "state_digest"));
  std::string dropped;
  for (const char* key : {"undecodable", "unknown_sender", "unknown_job", "stale_generation", "unexpected"}) {
    const double count = number(show.at("counters"), key);
    if (count > 0) dropped += concat(dropped.empty() ? "" : ", ", key, " ", static_cast<int64_t>(count));
  }
  add("messages dropped", dropped);
  return table(rows) + "\n" + checkpoints_table(show);
}

}  // namespace strand
