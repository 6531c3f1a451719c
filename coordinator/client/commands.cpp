#include "coordinator/client/commands.h"

#include <thread>

#include "coordinator/client/tables.h"
#include "shared/base/text.h"
#include "shared/job_spec/job_spec.h"

namespace strand {
namespace {

constexpr Duration kPoll = std::chrono::milliseconds(300);
constexpr Duration kPatience = std::chrono::minutes(2);  // a coordinator that is being restarted

void print(const CommandOptions& options, CommandStreams streams, const Json& json, const std::string& table) {
  streams.out << (options.json ? dump_json(json, 2) + "\n" : table) << std::flush;
}

Result<int> ask_and_print(const CommandOptions& options, const std::string& command, const Json& arguments,
                          std::string (*table)(const Json&), CommandStreams streams) {
  STRAND_ASSIGN(const auto client, connect_client(options));
  STRAND_ASSIGN(const Json answer, client->request(command, arguments));
  print(options, streams, answer, table(answer));
  return 0;
}

std::string one_line(const Json& job) {
  return concat("job ", job.at("id").get<uint64_t>(), " (", job.at("job").get<std::string>(), ") is ",
                job.at("state").get<std::string>(), ", ", job.at("run_directory").get<std::string>(), "\n");
}

// The newest events of one job, once each.
Status print_events(CoordinatorClient& client, uint64_t job, uint64_t* last, std::ostream& out) {
  STRAND_ASSIGN(const Json answer, client.request("events", {{"after", *last}, {"job", job}}));
  for (const Json& event : answer.at("events")) out << event.at("text").get<std::string>() << "\n";
  out << std::flush;
  *last = answer.at("last").get<uint64_t>();
  return {};
}

std::string step_line(const Json& show) {
  const Json& latest = show.at("latest");
  if (latest.is_null()) return {};
  return concat("step ", show.at("step").get<int64_t>(), "/", show.at("steps").get<int64_t>(), " loss ",
                latest.at("loss").is_number() ? format_number(latest.at("loss").get<double>(), 4) : "-");
}

}  // namespace

Result<std::unique_ptr<CoordinatorClient>> connect_client(const CommandOptions& options) {
  ClientOptions client;
  client.endpoint = options.endpoint;
  client.timeout = options.timeout;
  client.make_transport = options.make_transport;
  if (client.endpoint.empty()) {
    if (options.directory.empty()) return bad_input("which coordinator? name its directory (--dir) or its endpoint");
    STRAND_ASSIGN(client.endpoint, find_coordinator(*make_posix_file_system(), options.directory));
  }
  return CoordinatorClient::connect(client);
}

Result<Json> wait_for_job(CoordinatorClient& client, const CommandOptions& options, uint64_t job, Duration poll,
                          Duration patience, const std::function<void(const Json& show)>& each) {
  SystemClock clock;
  Time heard = clock.now();
  while (true) {
    if (options.stop && options.stop->load()) {
      return Error(ErrorCode::kStopped, "waiting was stopped; the job goes on");
    }
    const auto show = client.request("show", {{"job", job}});
    if (show.ok()) {
      heard = clock.now();
      if (each) each(*show);
      if (!show->at("exit_code").is_null()) return show;
    } else if (show.error().code() != ErrorCode::kUnavailable || clock.now() - heard > patience) {
      return show.error();
    }
    std::this_thread::sleep_for(poll);
  }
}

Result<int> submit_command(const SubmitOptions& options, CommandStreams streams) {
  STRAND_ASSIGN(const JobSpec spec, load_job(options.job_file, options.sets));
  STRAND_ASSIGN(const auto client, connect_client(options.common));
  Json arguments = {{"toml", effective_job_toml(spec)}, {"resume", options.resume}, {"submission", submission_token()}};
  if (!options.run_directory.empty()) arguments["run_directory"] = options.run_directory;
  STRAND_ASSIGN(Json job, client->request("submit", arguments));
  if (!options.follow) {
    print(options.common, streams, job, one_line(job));
    return 0;
  }
  streams.progress << one_line(job);
  uint64_t last = 0;
  std::string line;
  const auto each = [&](const Json& show) {
    (void)print_events(*client, show.at("id").get<uint64_t>(), &last, streams.progress);
    const std::string now = step_line(show);
    if (now != line && !now.empty()) streams.progress << now << std::endl;
    line = now;
  };
  STRAND_ASSIGN(job, wait_for_job(*client, options.common, job.at("id").get<uint64_t>(), std::chrono::seconds(1),
                                  kPatience, each));
  print(options.common, streams, job, job_table(job));
  return job.at("exit_code").get<int>();
}

Result<int> jobs_command(const CommandOptions& options, CommandStreams streams) {
  return ask_and_print(options, "jobs", Json::object(), jobs_table, streams);
}

Result<int> workers_command(const CommandOptions& options, CommandStreams streams) {
  return ask_and_print(options, "workers", Json::object(), workers_table, streams);
}

Result<int> show_command(const CommandOptions& options, const std::string& job, CommandStreams streams) {
  return ask_and_print(options, "show", {{"job", job}}, job_table, streams);
}

Result<int> wait_command(const CommandOptions& options, const std::string& job, CommandStreams streams) {
  STRAND_ASSIGN(const auto client, connect_client(options));
  STRAND_ASSIGN(const Json found, client->request("show", {{"job", job}}));
  STRAND_ASSIGN(const Json show,
                wait_for_job(*client, options, found.at("id").get<uint64_t>(), kPoll, kPatience, nullptr));
  print(options, streams, show, job_table(show));
  return show.at("exit_code").get<int>();
}

Result<int> change_command(const CommandOptions& options, const std::string& command, const std::string& job,
                           CommandStreams streams) {
  return ask_and_print(options, command, {{"job", job}}, one_line, streams);
}

Result<int> priority_command(const CommandOptions& options, const std::string& job, int64_t priority,
                             CommandStreams streams) {
  return ask_and_print(options, "priority", {{"job", job}, {"priority", priority}}, one_line, streams);
}

Result<int> shutdown_command(const ShutdownOptions& options, CommandStreams streams) {
  const auto words = [](const Json&) -> std::string { return "the coordinator is shutting down\n"; };
  return ask_and_print(options.common, "shutdown", {{"stop_jobs", !options.leave_jobs}}, words, streams);
}

}  // namespace strand
