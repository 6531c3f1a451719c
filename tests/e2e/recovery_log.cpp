#include "tests/e2e/recovery_log.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <set>

#include "shared/base/text.h"

namespace strand::e2e {

bool GenerationSeen::complete(int stages) const {
  std::map<int, std::set<int>> replicas;
  for (const auto& [name, member] : members) replicas[member.replica].insert(member.stage);
  return !replicas.empty() &&
         std::ranges::all_of(replicas, [&](const auto& r) { return static_cast<int>(r.second.size()) == stages; });
}

RecoveryLog::RecoveryLog(const std::string& logs, const std::string& run_directory, int stages) : stages_(stages) {
  for (const auto& entry : std::filesystem::directory_iterator(logs)) {
    const std::string name = entry.path().stem().string();
    if (entry.path().extension() != ".log") continue;
    if (name == "coordinator") read_coordinator(entry.path().string());
    if (name.starts_with("worker")) read_worker(name, entry.path().string());
  }
  read_steps(run_directory);
}

void RecoveryLog::read_coordinator(const std::string& path) {
  for (const LogLine& line : log_lines(path)) {
    const auto text = line.fields.find("text");
    if (line.event != "job_event" || text == line.fields.end()) continue;
    if (!text->second.starts_with("checkpoint ")) said_ += concat(format_number(line.time, 3), " ", text->second, "\n");
    const size_t at = text->second.find("generation ");
    if (at == std::string::npos) continue;
    const int number = std::atoi(text->second.c_str() + at + 11);
    if (number > 0) generations_[number].begun = line.time;
  }
}

void RecoveryLog::read_worker(const std::string& name, const std::string& path) {
  int heard = 0;
  for (const LogLine& line : log_lines(path)) {
    const int number = static_cast<int>(line.number("generation"));
    if (line.event == "assigned") heard = number;
    if (line.event == "checkpoint_chosen") generations_[heard].from_checkpoint = true;
    if (line.event == "recovery_decided") {
      double& decided = generations_[number].decided;
      decided = decided == 0 ? line.time : std::min(decided, line.time);
    }
    if (line.event != "group_ready") continue;
    GenerationSeen& seen = generations_[number];
    seen.base = static_cast<int>(line.number("step"));
    seen.ready = std::max(seen.ready, line.time);
    seen.members[name] = {line.time, static_cast<int>(line.number("replica")), static_cast<int>(line.number("stage")),
                          seen.base};
  }
}

void RecoveryLog::read_steps(const std::string& run_directory) {
  std::vector<double> seconds;
  for (const Json& record : step_records(run_directory)) {
    GenerationSeen& seen = generations_[record["generation"].get<int>()];
    if (seen.first_step == 0) seen.first_step = record["time"].get<double>();
    seen.newest_step = std::max(seen.newest_step, record["step"].get<int>());
    seconds.push_back(record["step_seconds"].get<double>());
  }
  if (seconds.empty()) return;
  std::ranges::sort(seconds);
  median_step_ = seconds[seconds.size() / 2];
  longest_step_ = seconds.back();
}

std::string RecoveryLog::story() const {
  std::string text;
  for (const auto& [number, seen] : generations_) {
    text += concat("generation ", number, ": begun ", format_number(seen.begun, 3), ", ready ",
                   format_number(seen.ready - seen.begun, 4), " s later at step ", seen.base, ", first step ",
                   format_number(seen.first_step - seen.begun, 4), ", newest ", seen.newest_step, ";");
    for (const auto& [name, member] : seen.members) text += concat(" ", name, " ", member.replica, ".", member.stage);
    text += "\n";
  }
  return text + said_;
}

std::optional<Recovery> RecoveryLog::recovery_after(const Kill& kill, const std::vector<Kill>& all) const {
  if (!kill.name.starts_with("worker")) return std::nullopt;
  for (const auto& [number, seen] : generations_) {
    if (seen.begun < kill.time) continue;
    if (seen.first_step == 0 || seen.base < 0) return std::nullopt;
    const auto before = generations_.find(number - 1);
    if (before == generations_.end() || !before->second.members.contains(kill.name)) return std::nullopt;  // a spare
    for (const Kill& other : all) {
      if (&other != &kill && other.time > before->second.ready && other.time < seen.first_step) return std::nullopt;
    }
    const double decided = seen.decided > 0 ? seen.decided : seen.begun;
    return Recovery{seen.begun - kill.time, decided - seen.begun, seen.ready - decided, seen.first_step - seen.ready};
  }
  return std::nullopt;
}

// Every process that held some stage's state in `held` was killed before `next` was under way.
bool RecoveryLog::no_holder_left(const GenerationSeen& held, const GenerationSeen& next,
                                 const std::vector<Kill>& kills) const {
  for (int stage = 0; stage < stages_; ++stage) {
    const bool one_lives = std::ranges::any_of(held.members, [&](const auto& entry) {
      const auto& [name, member] = entry;
      return member.stage == stage && std::ranges::none_of(kills, [&](const Kill& kill) {
               return kill.name == name && kill.time > member.time - 0.01 && kill.time < next.ready;
             });
    });
    if (!one_lives) return true;
  }
  return false;
}

std::vector<std::string> RecoveryLog::lost_steps(const std::vector<Kill>& kills) const {
  std::vector<std::string> lost;
  int newest = 0;
  const GenerationSeen* held = nullptr;
  for (const auto& [number, seen] : generations_) {
    if (seen.base >= 0 && seen.base < newest && held != nullptr && !no_holder_left(*held, seen, kills)) {
      lost.push_back(concat("generation ", number, " goes on from step ", seen.base, ", ", newest, " was committed"));
    }
    newest = std::max(seen.base < newest && seen.base >= 0 ? seen.base : newest, seen.newest_step);
    if (seen.complete(stages_)) held = &seen;
  }
  return lost;
}

double wall_seconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string recovery_table(const std::vector<Recovery>& recoveries) {
  if (recoveries.empty()) return "no recovery was measured\n";
  std::string table = concat(recoveries.size(), " recoveries; seconds, median and worst:\n");
  const auto row = [&](const char* name, const auto& part) {
    std::vector<double> seconds;
    for (const Recovery& recovery : recoveries) seconds.push_back(part(recovery));
    std::ranges::sort(seconds);
    char text[80];
    std::snprintf(text, sizeof text, "  %-10s %7.3f %7.3f\n", name, seconds[seconds.size() / 2], seconds.back());
    table += text;
  };
  row("detect", [](const Recovery& r) { return r.detect; });
  row("agree", [](const Recovery& r) { return r.agree; });
  row("move", [](const Recovery& r) { return r.move; });
  row("first step", [](const Recovery& r) { return r.first_step; });
  row("total", [](const Recovery& r) { return r.total(); });
  return table;
}

}  // namespace strand::e2e
