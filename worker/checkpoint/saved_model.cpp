#include "worker/checkpoint/saved_model.h"

#include <algorithm>
#include <charconv>
#include <vector>

#include "shared/base/log.h"
#include "shared/base/text.h"
#include "shared/job_spec/parameter_table.h"
#include "worker/checkpoint/checkpoint_reader.h"

namespace strand {
namespace {

// Steps with a directory of their own, newest first.
Result<std::vector<Step>> checkpoint_steps(FileSystem& fs, const std::string& directory) {
  auto names = fs.list_directory(directory);
  if (!names.ok())
    return not_found(concat(directory, ": no checkpoints here; name a run directory (--dir of strand run)"));
  std::vector<Step> steps;
  for (const std::string& name : *names) {
    Step step = 0;
    if (!name.starts_with("step-")) continue;
    const auto [end, error] = std::from_chars(name.data() + 5, name.data() + name.size(), step);
    if (error == std::errc() && end == name.data() + name.size()) steps.push_back(step);
  }
  std::sort(steps.rbegin(), steps.rend());
  return steps;
}

Result<SavedModel> load_one(FileSystem& fs, const std::string& directory, Step step) {
  SavedModel loaded;
  STRAND_ASSIGN(loaded.manifest, read_manifest(fs, directory, step));
  ParsedJob parsed = parse_job(loaded.manifest.job_toml, "the checkpoint's job", directory, {});
  if (!parsed.errors.empty()) return job_errors("the checkpoint's job", parsed.errors);
  loaded.spec = std::move(parsed.spec);
  loaded.shard = std::make_unique<ParamShard>(job_parameter_table(loaded.spec), loaded.spec.train, /*bf16_copy=*/false);
  STRAND_TRY(load_parts(fs, directory, loaded.manifest, *loaded.shard));
  return loaded;
}

}  // namespace

Result<SavedModel> load_saved_model(FileSystem& fs, const std::string& run_directory, Step wanted) {
  const std::string directory = run_directory + "/checkpoints";
  if (wanted >= 0) return load_one(fs, directory, wanted);
  STRAND_ASSIGN(const auto steps, checkpoint_steps(fs, directory));
  for (const Step step : steps) {
    auto loaded = load_one(fs, directory, step);
    const BestEvaluation best = loaded.ok() ? loaded->manifest.best : BestEvaluation();
    if (!best.metric.empty() && best.step != step) loaded = load_one(fs, directory, best.step);
    if (loaded.ok()) return loaded;
    log_warning("checkpoint_passed_over", {{"step", step}, {"reason", loaded.error().message()}});
  }
  return not_found(concat(directory, ": holds no valid checkpoint"));
}

}  // namespace strand
