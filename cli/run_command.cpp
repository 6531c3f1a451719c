#include "cli/run_command.h"

#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <thread>

#include "cli/commands.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "cli/run_directory.h"
#include "cli/supervisor.h"
#include "coordinator/client/client.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/net/transport.h"

namespace strand {
namespace {

constexpr Duration kPoll = std::chrono::milliseconds(100);

// A short folder for ipc sockets (their paths may hold 107 bytes), removed with the object.
class SocketFolder {
 public:
  static Result<std::unique_ptr<SocketFolder>> make() {
    std::string pattern = (std::filesystem::temp_directory_path() / "strand-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) return unavailable(concat("cannot make a folder for sockets: ", pattern));
    return std::unique_ptr<SocketFolder>(new SocketFolder(pattern));
  }
  ~SocketFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string endpoint(const std::string& role) const { return "ipc://" + path_ + "/" + role; }
  const std::string& path() const { return path_; }

 private:
  explicit SocketFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

double number(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_number() ? found->get<double>() : 0.0;
}

std::string text(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_string() ? found->get<std::string>() : "";
}

int exit_code_of(const Json& show) {
  const auto code = show.find("exit_code");
  return code != show.end() && code->is_number_integer() ? code->get<int>() : 1;
}

Progress progress_of(const Json& show, int64_t steps) {
  Progress progress;
  progress.done = static_cast<int64_t>(number(show, "step"));
  progress.total = steps;
  progress.text = concat(text(show, "state"), "  step ", progress.done, "/", steps);
  if (progress.done > 0) {
    progress.text += concat("  loss ", format_number(number(show, "train_loss"), 4));
    const double bits = number(show, "bits_per_base");
    if (bits > 0) progress.text += concat("  held-out ", format_number(bits, 4), " bits/base");
    if (const auto best = show.find("best_value"); best != show.end() && best->is_number()) {
      progress.text += concat("  dev ", text(show, "metric"), " ", format_number(best->get<double>(), 4), " at ",
                              static_cast<int64_t>(number(show, "best_step")));
    }
    const double speed = number(show, "tokens_per_second");
    progress.text += concat("  ", with_thousands(static_cast<int64_t>(speed)), " tokens/s");
    // Not from the newest step alone, which may be ten times the mean where other programs run.
    const double tokens_a_step = number(show, "tokens") / static_cast<double>(progress.done);
    if (speed > 0) progress.seconds_left = static_cast<double>(steps - progress.done) * tokens_a_step / speed;
  }
  return progress;
}

// One `strand run` from the first child to the last word.
class Run {
 public:
  Run(const RunOptions& options, JobSpec spec, RunDirectory directory, std::unique_ptr<SocketFolder> sockets)
      : options_(options),
        spec_(std::move(spec)),
        directory_(std::move(directory)),
        sockets_(std::move(sockets)),
        supervisor_(clock_),
        bar_(clock_, options.json) {}

  Result<int> go() {
    STRAND_TRY(start_children());
    STRAND_ASSIGN(client_, CoordinatorClient::connect({sockets_->endpoint("c"), std::chrono::seconds(1), {}}));
    const Json job = {{"toml", effective_job_toml(spec_)},
                      {"run_directory", directory_.path},
                      {"resume", options_.resume},
                      {"submission", submission_token()}};
    STRAND_ASSIGN(const Json submitted, ask("submit", job));
    job_id_ = submitted.at("id");
    STRAND_ASSIGN(const Json show, follow());
    bar_.finish();
    supervisor_.stop(std::chrono::seconds(2));
    return conclude(show);
  }

 private:
  Status start_children() {
    const std::string& dir = directory_.path;
    const auto child = [&](const std::string& role, std::vector<std::string> arguments) {
      arguments.insert(arguments.begin(), role);
      return supervisor_.start({role, std::move(arguments), dir + "/logs/" + role + ".stderr"});
    };
    std::vector<std::string> coordinator = {"--bind", sockets_->endpoint("c"), "--dir", dir};
    for (int i = 1; i <= options_.data_servers; ++i) {
      coordinator.insert(coordinator.end(), {"--data", data_endpoint(i)});
    }
    if (!options_.http.empty()) coordinator.insert(coordinator.end(), {"--http", options_.http});
    STRAND_TRY(child("coordinator", coordinator));
    for (int i = 1; i <= options_.data_servers; ++i) {
      const std::string name = i == 1 ? "dataserver" : concat("dataserver-", i);
      STRAND_TRY(supervisor_.start({name,
                                    {"dataserver", "--bind", data_endpoint(i), "--dir", dir, "--name", name},
                                    dir + "/logs/" + name + ".stderr"}));
    }
    return start_workers();
  }

  // As many as the job's shape has, or --workers: more of them are spares. They share the cores.
  Status start_workers() {
    const ParallelSpec& parallel = spec_.parallel;
    const int count = options_.workers > 0 ? options_.workers : static_cast<int>(parallel.stages * parallel.replicas);
    const int cores = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
    int threads = options_.threads;
    if (threads == 0 && parallel.threads == 0 && count > 1) threads = std::max(1, cores / count);
    for (int i = 1; i <= count; ++i) {
      const std::string name = i == 1 ? "worker" : concat("worker-", i);
      STRAND_TRY(supervisor_.start(
          {name,
           {"worker", "--coordinator", sockets_->endpoint("c"), "--dir", directory_.path, "--name", name, "--id",
            std::to_string(i), "--bind", sockets_->endpoint(concat("w", i)), "--threads", std::to_string(threads)},
           concat(directory_.path, "/logs/", name, ".stderr")}));
    }
    return {};
  }

  std::string data_endpoint(int number) const { return sockets_->endpoint(concat("d", number)); }

  // A request that outlives restarts of the coordinator: children are looked after while it waits.
  Result<Json> ask(const std::string& command, const Json& arguments) {
    while (true) {
      STRAND_TRY(supervisor_.poll());
      auto reply = client_->request(command, arguments);
      if (reply.ok()) return reply;
      const ErrorCode code = reply.error().code();
      if (code != ErrorCode::kUnavailable && code != ErrorCode::kDeadline) return reply;
    }
  }

  Result<Json> follow() {
    const std::atomic<bool>& stop = stop_on_signals();
    bool stopping = false;
    while (true) {
      STRAND_ASSIGN(Json show, ask("show", {{"job", job_id_}}));
      const std::string state = text(show, "state");
      if (state == "done" || state == "failed" || state == "cancelled" || state == "stopped") return show;
      bar_.update(progress_of(show, spec_.train.steps));
      if (stop.load() && !stopping) {
        stopping = true;
        bar_.message("stopping: saving a checkpoint (Ctrl-C again to drop everything since the last one)");
        STRAND_ASSIGN(const Json ignored, ask("stop", {{"job", job_id_}}));
      }
      std::this_thread::sleep_for(kPoll);
    }
  }

  Result<int> conclude(const Json& show) {
    const Json result = run_result(show);
    const std::string document = result.dump(-1, ' ', false, Json::error_handler_t::replace);
    if (options_.json) std::printf("%s\n", document.c_str());
    const std::string state = text(show, "state");
    // A job refused for its input before it ever trained: there is nothing to report, and it leaves nothing behind.
    const bool refused = state == "failed" && number(show, "step") == 0 && exit_code_of(show) == 2;
    if (!refused) std::fprintf(stderr, "%s", run_report(result, show, directory_.path).c_str());
    if (state == "done") {
      const auto fs = make_posix_file_system();
      STRAND_TRY(write_file_atomically(*fs, directory_.path + "/result.json", document + "\n"));
      return 0;
    }
    if (state == "stopped") {
      const std::string job_file = options_.job_file.empty() ? directory_.path + "/job.toml" : options_.job_file;
      std::fprintf(stderr, "stopped with a checkpoint; continue with\n  strand run %s --resume --dir %s\n",
                   job_file.c_str(), directory_.path.c_str());
      return 3;
    }
    std::fprintf(stderr, "strand: %s\n", text(show, "reason").c_str());
    if (refused) STRAND_TRY(forget_run(*make_posix_file_system(), directory_));
    return exit_code_of(show);
  }

  const RunOptions& options_;
  SystemClock clock_;
  JobSpec spec_;
  RunDirectory directory_;
  std::unique_ptr<SocketFolder> sockets_;
  Supervisor supervisor_;
  std::unique_ptr<CoordinatorClient> client_;
  ProgressBar bar_;
  Json job_id_;
};

}  // namespace

Result<int> run_command(const RunOptions& options) {
  STRAND_ASSIGN(JobSpec spec, load_job(options.job_file, options.sets));
  return run_job(options, std::move(spec));
}

Result<int> run_job(const RunOptions& options, JobSpec spec) {
  const auto fs = make_posix_file_system();
  STRAND_ASSIGN(RunDirectory directory, claim_run_directory(*fs, spec, options.directory, options.resume));
  STRAND_ASSIGN(auto sockets, SocketFolder::make());
  STRAND_TRY(write_file_atomically(*fs, directory.path + "/sockets", sockets->path() + "\n"));
  init_log("run", directory.path + "/logs/run.log", LogLevel::kInfo, LogLevel::kError);
  stop_on_signals();
  Run run(options, std::move(spec), std::move(directory), std::move(sockets));
  return run.go();
}

void add_run_command(CLI::App& app, Chosen* chosen) {
  auto options = std::make_shared<RunOptions>();
  CLI::App* command =
      add_command(app, "run", "Train a job on this machine: starts everything, shows progress, ends with the result",
                  "strand run examples/ecoli/quickstart.toml --set train.steps=300");
  command->add_option("job", options->job_file, "the job file (docs/job_file.md)")->required();
  command->add_option("--set", options->sets, "key=value, over the job file; may be repeated")->allow_extra_args(false);
  command->add_option("--dir", options->directory, "the run directory; default runs/<job name>");
  command->add_flag("--resume", options->resume, "continue the run in that directory");
  command->add_option("--threads", options->threads, "compute threads; default: as the job says, else all cores")
      ->check(CLI::NonNegativeNumber);
  command
      ->add_option("--workers", options->workers,
                   "how many workers; default: stages x replicas. More than that are spares")
      ->check(CLI::Range(1, 1024));
  const auto shape = [&](const char* option, const char* key, const char* what) {
    command->add_option_function<int64_t>(
        option, [options, key](int64_t n) { options->sets.push_back(concat(key, "=", n)); }, what);
  };
  shape("--stages", "parallel.stages", "pipeline stages of each replica, over the job file's");
  shape("--replicas", "parallel.replicas", "copies of the model, over the job file's");
  command
      ->add_option("--data-servers", options->data_servers, "how many data servers; the run outlives the loss of one")
      ->check(CLI::Range(1, 16));
  command->add_option("--http", options->http, "serve metrics and job pages there, e.g. 127.0.0.1:9100");
  add_json_flag(command, chosen);
  command->callback([options, chosen] {
    options->json = chosen->json;
    chosen->run = [options] { return run_command(*options); };
  });
}

}  // namespace strand
