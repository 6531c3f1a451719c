#include "cli/run_directory.h"

#include <filesystem>

#include "shared/base/text.h"

namespace strand {
namespace {

bool holds_run(FileSystem& fs, const std::string& path) {
  return fs.exists(path + "/job.toml");
}
bool is_finished(FileSystem& fs, const std::string& path) {
  return fs.exists(path + "/result.json");
}

std::string numbered(const std::string& base, int n) {
  return n == 1 ? base : concat(base, "-", n);
}

// The newest directory of this name that holds a run; empty when none does.
std::string newest_run(FileSystem& fs, const std::string& base) {
  std::string newest;
  for (int n = 1; holds_run(fs, numbered(base, n)); ++n) newest = numbered(base, n);
  return newest;
}

Result<std::string> choose_new(FileSystem& fs, const std::string& base, bool explicit_choice) {
  if (explicit_choice) {
    if (!holds_run(fs, base)) return base;
    return bad_input(concat(base, " already holds a run; continue it (strand run JOB --resume --dir ", base,
                            "), or choose another --dir"));
  }
  int n = 1;
  while (holds_run(fs, numbered(base, n))) {
    if (!is_finished(fs, numbered(base, n))) {
      return bad_input(concat(numbered(base, n),
                              " holds an unfinished run; continue it (strand run JOB --resume), or choose",
                              " another --dir"));
    }
    ++n;
  }
  return numbered(base, n);
}

Result<std::string> choose_resume(FileSystem& fs, const std::string& base, bool explicit_choice, const JobSpec& spec) {
  const std::string path = explicit_choice ? base : newest_run(fs, base);
  if (path.empty() || !holds_run(fs, path)) {
    return bad_input(concat(base, " holds no run to resume; start one without --resume, or name its --dir"));
  }
  STRAND_ASSIGN(const JobSpec old, load_job(path + "/job.toml", {}));
  const auto differences = resume_differences(old, spec);
  if (!differences.empty()) {
    return bad_input(
        concat("--resume may change only [parallel], [checkpoint], [evaluate], priority and retries, but: ",
               join(differences, "; "), "; undo that, or start a new run with another --dir"));
  }
  return path;
}

}  // namespace

Result<RunDirectory> claim_run_directory(FileSystem& fs, const JobSpec& spec, const std::string& wanted, bool resume) {
  std::error_code ignored;
  const std::string base =
      std::filesystem::absolute(wanted.empty() ? "runs/" + spec.job.name : wanted, ignored).lexically_normal().string();
  RunDirectory run;
  STRAND_ASSIGN(run.path,
                resume ? choose_resume(fs, base, !wanted.empty(), spec) : choose_new(fs, base, !wanted.empty()));
  run.existing = resume;
  run.made = !fs.exists(run.path);
  if (!run.made) {
    STRAND_ASSIGN(const std::vector<std::string> names, fs.list_directory(run.path));
    run.before.insert(names.begin(), names.end());
  }
  STRAND_TRY(fs.make_directories(run.path + "/logs"));
  STRAND_ASSIGN(run.lock, lock_file(run.path + "/lock"));
  STRAND_TRY(write_file_atomically(fs, run.path + "/job.toml", effective_job_toml(spec)));
  return run;
}

Status forget_run(FileSystem& fs, const RunDirectory& run) {
  if (run.existing) return {};
  if (run.made) return fs.remove_tree(run.path);
  STRAND_ASSIGN(const std::vector<std::string> names, fs.list_directory(run.path));
  for (const std::string& name : names) {
    if (!run.before.contains(name)) STRAND_TRY(fs.remove_tree(concat(run.path, "/", name)));
  }
  return {};
}

}  // namespace strand
