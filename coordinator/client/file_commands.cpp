// Commands that read a run directory: logs, metrics, checkpoints.
#include <algorithm>
#include <map>
#include <thread>

#include "coordinator/client/commands.h"
#include "coordinator/client/tables.h"
#include "coordinator/run_directory.h"
#include "shared/base/text.h"

namespace strand {
namespace {

constexpr Duration kPoll = std::chrono::milliseconds(300);
constexpr size_t kChunk = size_t{1} << 20;

void print(const CommandOptions& options, CommandStreams streams, const Json& json, const std::string& table) {
  streams.out << (options.json ? dump_json(json, 2) + "\n" : table) << std::flush;
}

Result<std::string> run_directory_of(const CommandOptions& options, const std::string& job,
                                     const std::string& run_directory) {
  if (!run_directory.empty()) return run_directory;
  if (job.empty()) return bad_input("name a job, or a run directory");
  STRAND_ASSIGN(const auto client, connect_client(options));
  STRAND_ASSIGN(const Json show, client->request("show", {{"job", job}}));
  return show.at("run_directory").get<std::string>();
}

// What has been added to the logs of a run since the last call.
class LogReader {
 public:
  LogReader(FileSystem& fs, std::string directory) : fs_(fs), directory_(std::move(directory)) {}

  Status copy_new(std::ostream& out) {
    if (!fs_.exists(directory_)) return {};
    STRAND_ASSIGN(const auto names, fs_.list_directory(directory_));
    for (const std::string& name : names) {
      if (name.ends_with(".log")) STRAND_TRY(copy_file(name, out));
    }
    out << std::flush;
    return {};
  }
  bool found_any() const { return !offsets_.empty(); }

 private:
  Status copy_file(const std::string& name, std::ostream& out) {
    uint64_t& at = offsets_[name];
    while (true) {
      STRAND_ASSIGN(const std::string text, fs_.read_range(directory_ + "/" + name, at, kChunk));
      if (text.empty()) return {};
      if (current_ != name) out << "==> " << name << " <==\n";
      current_ = name;
      out << text;
      at += text.size();
    }
  }

  FileSystem& fs_;
  std::string directory_, current_;
  std::map<std::string, uint64_t> offsets_;
};

// One record a step: of lines for the same step the last counts (a replay after a reload).
Result<Json> read_metrics(FileSystem& fs, const std::string& path) {
  STRAND_ASSIGN(const std::string text, fs.read_file(path));
  std::map<int64_t, Json> records;
  for (const std::string& line : split(text, '\n')) {
    auto json = parse_json(line, path);
    if (!json.ok() || !json->is_object() || !json->contains("step")) continue;  // a tail cut by a crash
    const Json& step = (*json)["step"];
    if (step.is_number_integer()) records.insert_or_assign(step.get<int64_t>(), std::move(json).value());
  }
  Json list = Json::array();
  for (auto& [step, record] : records) list.push_back(std::move(record));
  return list;
}

Json checkpoint_json(const std::string& run_directory, const Manifest& manifest) {
  uint64_t bytes = 0;
  for (const ManifestPart& part : manifest.parts) bytes += part.bytes;
  return {{"step", manifest.step},
          {"state", "present"},
          {"path", concat(run_directory, "/checkpoints/step-", manifest.step)},
          {"bytes", bytes},
          {"parts", manifest.parts.size()},
          {"generation", manifest.generation.value},
          {"digest", manifest.digest.hex()},
          {"state_digest", manifest.state_digest.hex()},
          {"reason", ""}};
}

// As the coordinator's `checkpoints`, from the disk alone.
Result<Json> checkpoints_on_disk(FileSystem& fs, const std::string& run_directory) {
  if (!fs.exists(run_directory)) return not_found(concat("no run directory ", run_directory));
  STRAND_ASSIGN(const CheckpointListing listing, list_checkpoints(fs, run_directory));
  std::map<Step, Json, std::greater<>> rows;
  for (const Manifest& manifest : listing.manifests) {
    rows.insert_or_assign(manifest.step, checkpoint_json(run_directory, manifest));
  }
  for (const DamagedCheckpoint& damaged : listing.damaged) {
    rows.insert_or_assign(damaged.step, Json{{"step", damaged.step},
                                             {"state", "damaged"},
                                             {"path", concat(run_directory, "/checkpoints/step-", damaged.step)},
                                             {"bytes", 0},
                                             {"parts", 0},
                                             {"generation", nullptr},
                                             {"digest", nullptr},
                                             {"state_digest", nullptr},
                                             {"reason", damaged.reason}});
  }
  Json list = Json::array();
  for (auto& [step, row] : rows) list.push_back(std::move(row));
  return Json{{"run_directory", run_directory}, {"checkpoints", list}};
}

}  // namespace

Result<int> logs_command(const LogsOptions& options, CommandStreams streams) {
  STRAND_ASSIGN(const std::string directory, run_directory_of(options.common, options.job, options.run_directory));
  const auto fs = make_posix_file_system();
  LogReader reader(*fs, directory + "/logs");
  std::unique_ptr<CoordinatorClient> client;
  if (options.follow && !options.job.empty()) {
    STRAND_ASSIGN(client, connect_client(options.common));
  }
  while (true) {
    bool over = !options.follow || (options.common.stop && options.common.stop->load());
    if (client) {
      const auto show = client->request("show", {{"job", options.job}});
      over = over || (show.ok() && !show->at("exit_code").is_null());
    }
    STRAND_TRY(reader.copy_new(streams.out));
    if (over && !reader.found_any()) {
      return Error(
          ErrorCode::kNotFound,
          concat(directory, "/logs: no log there; `strand run` keeps its logs with the run, a daemon started by hand ",
                 "in the logs folder of its own --dir"));
    }
    if (over) return 0;
    std::this_thread::sleep_for(kPoll);
  }
}

Result<int> metrics_command(const MetricsOptions& options, CommandStreams streams) {
  if (options.job.empty() && options.run_directory.empty()) {
    STRAND_ASSIGN(const auto client, connect_client(options.common));
    STRAND_ASSIGN(const Json counters, client->request("metrics", Json::object()));
    std::string lines;
    for (const auto& [name, value] : counters.items()) lines += concat(name, " ", dump_json(value), "\n");
    print(options.common, streams, counters, lines);
    return 0;
  }
  STRAND_ASSIGN(const std::string directory, run_directory_of(options.common, options.job, options.run_directory));
  STRAND_ASSIGN(Json records, read_metrics(*make_posix_file_system(), directory + "/metrics.jsonl"));
  const int64_t shown = options.last > 0 || options.common.json ? options.last : 20;
  const auto count = static_cast<int64_t>(records.size());
  if (shown > 0 && count > shown) records.erase(records.begin(), records.begin() + (count - shown));
  print(options.common, streams, {{"run_directory", directory}, {"records", records}}, metrics_table(records));
  return 0;
}

Result<int> checkpoint_list_command(const CheckpointOptions& options, CommandStreams streams) {
  Json listing;
  if (options.run_directory.empty()) {
    STRAND_ASSIGN(const auto client, connect_client(options.common));
    STRAND_ASSIGN(listing, client->request("checkpoints", {{"job", options.job}}));
  } else {
    STRAND_ASSIGN(listing, checkpoints_on_disk(*make_posix_file_system(), options.run_directory));
  }
  print(options.common, streams, listing, checkpoints_table(listing));
  return 0;
}

Result<int> checkpoint_verify_command(const CheckpointOptions& options, CommandStreams streams) {
  STRAND_ASSIGN(const std::string directory, run_directory_of(options.common, options.job, options.run_directory));
  const auto fs = make_posix_file_system();
  STRAND_ASSIGN(Json listing, checkpoints_on_disk(*fs, directory));
  Json kept = Json::array();
  bool damaged = false;
  for (Json& checkpoint : listing["checkpoints"]) {
    const Step step = checkpoint["step"].get<Step>();
    if (options.step >= 0 && step != options.step) continue;
    if (checkpoint["state"] == "present") {
      const Status verified = verify_checkpoint(*fs, directory, step);
      checkpoint["state"] = verified.ok() ? "verified" : "damaged";
      if (!verified.ok()) checkpoint["reason"] = verified.error().message();
    }
    damaged = damaged || checkpoint["state"] == "damaged";
    kept.push_back(checkpoint);
  }
  if (kept.empty()) {
    return not_found(options.step >= 0 ? concat(directory, " holds no checkpoint of step ", options.step)
                                       : concat(directory, " holds no checkpoint"));
  }
  listing["checkpoints"] = kept;
  listing["valid"] = !damaged;
  print(options.common, streams, listing, checkpoints_table(listing));
  return damaged ? 2 : 0;
}

}  // namespace strand
