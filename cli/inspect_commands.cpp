#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <thread>

#include "cli/commands.h"
#include "cli/doctor.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "dataserver/daemon.h"
#include "shared/base/text.h"
#include "shared/formats/json.h"
#include "shared/job_spec/parameter_table.h"
#include "shared/net/transport.h"
#include "shared/plan/stage_memory.h"
#include "worker/commands.h"

namespace strand {
namespace {

void print_json(const Json& json) {
  std::printf("%s\n", json.dump(-1, ' ', false, Json::error_handler_t::replace).c_str());
}

// --- strand job check
// -------------------------------------------------------------------------------------------------

Json sizes_json(const JobSpec& spec) {
  const int64_t parameters = job_parameter_count(spec);
  return {{"valid", true},
          {"parameters", parameters},
          {"trainable_parameters", parameters},
          {"memory_bytes", worker_memory_bytes(spec)},
          {"flops_per_token", job_flops_per_token(spec)},
          {"errors", Json::array()},
          {"job", effective_job_toml(spec)}};
}

Result<int> job_check(const std::string& path, const std::vector<std::string>& sets, bool json) {
  auto spec = load_job(path, sets);
  if (!spec.ok()) {
    if (!json) return spec.error();
    Json errors = Json::array();
    for (const std::string& line : split(spec.error().message(), '\n')) errors.push_back(line);
    print_json({{"valid", false},
                {"parameters", nullptr},
                {"trainable_parameters", nullptr},
                {"memory_bytes", nullptr},
                {"flops_per_token", nullptr},
                {"errors", errors}});
    return 2;
  }
  const Json sizes = sizes_json(*spec);
  if (json) {
    print_json(sizes);
    return 0;
  }
  std::printf("# %s is valid; with every default:\n\n%s\n", path.c_str(), effective_job_toml(*spec).c_str());
  std::printf("# parameters       %s\n", with_thousands(job_parameter_count(*spec)).c_str());
  std::printf("# memory           %s on each worker\n", human_bytes(worker_memory_bytes(*spec)).c_str());
  std::printf("# FLOPs per token  %.4g\n", job_flops_per_token(*spec));
  std::printf("# tokens per step  %s\n", with_thousands(spec->train.rows_per_step() * spec->data.segment).c_str());
  return 0;
}

void add_job_check(CLI::App& app, Chosen* chosen) {
  CLI::App* job = add_command(app, "job", "Look at a job file", "strand job check examples/ecoli/quickstart.toml");
  job->require_subcommand(1);
  struct Options {
    std::string path;
    std::vector<std::string> sets;
  };
  auto options = std::make_shared<Options>();
  CLI::App* check =
      add_command(*job, "check", "Every error with line and column; else the effective job with all defaults",
                  "strand job check job.toml --set train.steps=500");
  check->add_option("job", options->path, "the job file")->required();
  check->add_option("--set", options->sets, "key=value, over the job file; may be repeated")->allow_extra_args(false);
  add_json_flag(check, chosen);
  check->callback([options, chosen] {
    chosen->run = [options, json = chosen->json] { return job_check(options->path, options->sets, json); };
  });
}

// --- strand digest
// ----------------------------------------------------------------------------------------------------

void add_digest(CLI::App& app, Chosen* chosen) {
  struct Options {
    std::string directory;
    Step step = -1;
  };
  auto options = std::make_shared<Options>();
  CLI::App* command = add_command(app, "digest", "The digests of a checkpoint, computed from its verified bytes",
                                  "strand digest runs/ecoli-quickstart");
  command->add_option("run", options->directory, "a run directory")->required();
  command->add_option("--step", options->step, "which checkpoint; default: the newest valid one, of a task the best");
  add_json_flag(command, chosen);
  command->callback([options, chosen] {
    chosen->run = [options, json = chosen->json]() -> Result<int> {
      STRAND_ASSIGN(const LoadedCheckpoint loaded, digest_checkpoint(options->directory, options->step));
      if (json) {
        print_json({{"step", loaded.manifest.step},
                    {"digest", loaded.digest.hex()},
                    {"state_digest", loaded.state_digest.hex()}});
      } else {
        std::printf("step %lld\ndigest       %s\nstate digest %s\n", static_cast<long long>(loaded.manifest.step),
                    loaded.digest.hex().c_str(), loaded.state_digest.hex().c_str());
      }
      return 0;
    };
  });
}

// --- strand evaluate
// ----------------------------------------------------------------------------------------------------

// A data server of our own, on a thread, for as long as the object lives.
class OwnDataServer {
 public:
  explicit OwnDataServer(const std::string& run_directory) {
    std::string pattern = (std::filesystem::temp_directory_path() / "strand-XXXXXX").string();
    if (mkdtemp(pattern.data()) != nullptr) folder_ = pattern;
    options_.endpoint = endpoint();
    options_.run_directory = run_directory;
    options_.stop = &stop_;
    thread_ = std::thread([this] {
      status_ = run_dataserver(options_);
      ended_.store(true);
    });
  }
  ~OwnDataServer() {
    (void)end();
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  std::string endpoint() const { return "ipc://" + folder_ + "/d"; }
  const std::atomic<bool>& ended() const { return ended_; }
  // Why it ended, when that was not our wish.
  Status end() {
    stop_.store(true);
    if (thread_.joinable()) thread_.join();
    return status_;
  }

 private:
  std::string folder_;
  DataServerOptions options_;
  std::atomic<bool> stop_{false}, ended_{false};
  Status status_;
  std::thread thread_;
};

struct EvaluateCommand {
  std::string directory;
  Step step = -1;
  int threads = 0;
  bool json = false;
};

Result<int> print_task_evaluation(const CheckpointEvaluation& e, bool json) {
  STRAND_ASSIGN(const Json dev, parse_json(e.dev.empty() ? "null" : e.dev, "metrics"));
  STRAND_ASSIGN(const Json test, parse_json(e.test.empty() ? "null" : e.test, "metrics"));
  if (json) {
    print_json({{"step", e.step}, {"dev", dev}, {"test", test}, {"digest", e.digest.hex()}});
    return 0;
  }
  std::printf("  step                 %lld\n%s  digest               %s\n", static_cast<long long>(e.step),
              task_table(dev, test).c_str(), e.digest.hex().c_str());
  return 0;
}

Result<int> evaluate(const EvaluateCommand& command) {
  OwnDataServer server(command.directory);
  const SystemClock clock;
  ProgressBar bar(clock, command.json);
  EvaluateOptions options;
  options.run_directory = command.directory;
  options.step = command.step;
  options.data_endpoint = server.endpoint();
  options.threads = command.threads;
  options.make_transport = [] { return make_zmq_transport(); };
  options.progress = [&](uint64_t done, uint64_t total) {
    bar.update({static_cast<int64_t>(done), static_cast<int64_t>(total), concat("row ", done, "/", total), -1});
  };
  options.stop = &server.ended();
  auto evaluated = evaluate_checkpoint(options);
  bar.finish();
  STRAND_TRY(server.end());
  STRAND_ASSIGN(const CheckpointEvaluation e, std::move(evaluated));
  if (!e.dev.empty() || !e.test.empty()) return print_task_evaluation(e, command.json);
  if (command.json) {
    print_json({{"step", e.step},
                {"eval_loss", e.result.loss},
                {"perplexity", std::exp(e.result.loss)},
                {"bits_per_base", e.result.bits_per_base},  // NaN is written as null
                {"eval_bases", e.result.bases},
                {"markov_bits_per_base", e.markov_bits_per_base},
                {"markov_order", e.markov_order},
                {"digest", e.digest.hex()}});
    return 0;
  }
  std::printf("step              %lld\n", static_cast<long long>(e.step));
  std::printf("held-out loss     %.6f nats per token, perplexity %.4f\n", e.result.loss, std::exp(e.result.loss));
  if (std::isnan(e.result.bits_per_base)) {
    std::printf("targets           %s bases under masks\n", with_thousands(e.result.bases).c_str());
    return 0;
  }
  std::printf("bits per base     %.6f over %s bases\n", e.result.bits_per_base, with_thousands(e.result.bases).c_str());
  std::printf("best Markov model %.6f (order %d)\n", e.markov_bits_per_base, e.markov_order);
  return 0;
}

void add_evaluate(CLI::App& app, Chosen* chosen) {
  auto options = std::make_shared<EvaluateCommand>();
  CLI::App* command = add_command(app, "evaluate",
                                  "The whole held-out set, or a task's dev and test, through the model of a checkpoint",
                                  "strand evaluate runs/ecoli-quickstart");
  command->add_option("run", options->directory, "a run directory")->required();
  command->add_option("--step", options->step, "which checkpoint; default: the newest valid one, of a task the best");
  command->add_option("--threads", options->threads, "compute threads; default: all cores")
      ->check(CLI::NonNegativeNumber);
  add_json_flag(command, chosen);
  command->callback([options, chosen] {
    options->json = chosen->json;
    chosen->run = [options] { return evaluate(*options); };
  });
}

// --- strand doctor
// ------------------------------------------------------------------------------------------------------

void add_doctor(CLI::App& app, Chosen* chosen) {
  CLI::App* command =
      add_command(app, "doctor", "Devices, instruction sets, libraries, limits: what works here and what does not",
                  "strand doctor");
  add_json_flag(command, chosen);
  command->callback([chosen] {
    chosen->run = [json = chosen->json]() -> Result<int> {
      const std::vector<DoctorLine> lines = doctor();
      if (json) {
        Json document = Json::array();
        for (const auto& line : lines) {
          document.push_back({{"what", line.what}, {"found", line.found}, {"ok", line.ok}, {"mend", line.mend}});
        }
        print_json(document);
      } else {
        for (const auto& line : lines) {
          std::printf("%-4s %-18s %s\n", line.ok ? "ok" : "no", line.what.c_str(), line.found.c_str());
          if (!line.mend.empty()) std::printf("     %-18s mend: %s\n", "", line.mend.c_str());
        }
      }
      return 0;
    };
  });
}

}  // namespace

void add_inspect_commands(CLI::App& app, Chosen* chosen) {
  add_job_check(app, chosen);
  add_digest(app, chosen);
  add_evaluate(app, chosen);
  add_doctor(app, chosen);
}

}  // namespace strand
