#include "coordinator/run_directory.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "shared/base/row_audit.h"
#include "shared/base/text.h"
#include "shared/formats/json.h"

namespace strand {
namespace {

constexpr size_t kChunk = size_t{8} << 20;
constexpr uint64_t kTail = 64 << 10;  // a metrics line is far shorter

std::string step_directory(const std::string& run_directory, Step step) {
  return concat(run_directory, "/checkpoints/step-", step);
}

std::optional<Step> step_of(const std::string& name) {
  constexpr std::string_view kPrefix = "step-";
  if (!name.starts_with(kPrefix)) return std::nullopt;
  Step step = 0;
  const char* end = name.data() + name.size();
  const auto parsed = std::from_chars(name.data() + kPrefix.size(), end, step);
  if (parsed.ec != std::errc() || parsed.ptr != end || step < 0) return std::nullopt;
  return step;
}

Status check_sizes(FileSystem& fs, const std::string& run_directory, const Manifest& manifest) {
  for (const ManifestPart& part : manifest.parts) {
    const std::string path = run_directory + "/checkpoints/" + part.file;
    const auto size = fs.file_size(path);
    if (!size.ok()) return corrupt(concat(path, ": a part of the checkpoint is missing"));
    if (*size != part.bytes) return corrupt(concat(path, ": ", *size, " bytes, the manifest says ", part.bytes));
  }
  return {};
}

Result<Manifest> read_manifest_of(FileSystem& fs, const std::string& run_directory, Step step) {
  const std::string path = step_directory(run_directory, step) + "/manifest";
  STRAND_ASSIGN(const std::string bytes, fs.read_file(path));
  auto manifest = decode_manifest(bytes);
  if (!manifest.ok()) return manifest.error().with_context(path);
  if (manifest->step != step) return corrupt(concat(path, ": is the manifest of step ", manifest->step));
  const Status sizes = check_sizes(fs, run_directory, *manifest);
  if (!sizes.ok()) return sizes.error();
  return manifest;
}

Status write_if_different(FileSystem& fs, const std::string& path, const std::string& content) {
  const auto present = fs.read_file(path);
  if (present.ok() && *present == content) return {};
  return write_file_atomically(fs, path, content);
}

Status create_run(FileSystem& fs, const PrepareRun& run, const std::string& fresh_token) {
  STRAND_TRY(fs.make_directories(run.run_directory + "/checkpoints"));
  const std::string token_path = run.run_directory + "/token";
  const auto token = fs.read_file(token_path);
  if (!token.ok() || trim(*token).empty()) STRAND_TRY(write_file_atomically(fs, token_path, fresh_token + "\n"));
  return write_if_different(fs, run.run_directory + "/job.toml", run.toml);
}

// Where the last coordinator stopped recording. Metrics are not precious: what cannot be read is not there.
void read_metrics_tail(FileSystem& fs, const std::string& run_directory, RunPrepared* result) {
  const std::string path = run_directory + "/metrics.jsonl";
  const auto size = fs.file_size(path);
  if (!size.ok()) return;
  const auto tail = fs.read_range(path, *size > kTail ? *size - kTail : 0, kTail);
  if (!tail.ok()) return;
  bool first = true;
  for (const std::string& line : split(*tail, '\n')) {
    const auto json = parse_json(line, path);
    if (!json.ok() || !json->is_object()) continue;
    const auto whole = [&](const char* key) { return json->contains(key) && (*json)[key].is_number_integer(); };
    if (!whole("generation") || !whole("step") || !whole("total_tokens") || !whole("tokens")) continue;
    const auto seconds = [&](const char* key) {
      return json->contains(key) && (*json)[key].is_number() ? (*json)[key].get<double>() : 0.0;
    };
    const Generation generation{(*json)["generation"].get<uint64_t>()};
    const auto step = (*json)["step"].get<Step>();
    const JobTotals own{seconds("step_seconds"), (*json)["tokens"].get<int64_t>()};
    if (generation != result->recorded.generation()) {  // versions before wrote no base
      result->recorded.go_on(generation, whole("base") ? (*json)["base"].get<Step>() : step - 1);
    }
    if (std::exchange(first, false) && *size > kTail) {
      result->recorded.know_through(step - 1, {seconds("productive_seconds") - own.productive_seconds,
                                               (*json)["total_tokens"].get<int64_t>() - own.tokens});
    }
    (void)result->recorded.add(step, own);
  }
}

}  // namespace

Result<CheckpointListing> list_checkpoints(FileSystem& fs, const std::string& run_directory) {
  CheckpointListing listing;
  const std::string directory = run_directory + "/checkpoints";
  if (!fs.exists(directory)) return listing;
  STRAND_ASSIGN(const auto names, fs.list_directory(directory));
  std::vector<Step> steps;
  for (const std::string& name : names) {
    if (const auto step = step_of(name)) steps.push_back(*step);
  }
  std::sort(steps.begin(), steps.end());
  for (const Step step : steps) {
    if (!fs.exists(step_directory(run_directory, step) + "/manifest")) {
      listing.unfinished.push_back(step);
      continue;
    }
    auto manifest = read_manifest_of(fs, run_directory, step);
    if (manifest.ok()) {
      listing.manifests.push_back(std::move(manifest).value());
    } else {
      listing.damaged.push_back({step, manifest.error().message()});
    }
  }
  return listing;
}

RunPrepared prepare_run(FileSystem& fs, const PrepareRun& run, const std::string& fresh_token) {
  RunPrepared result;
  result.job = run.job;
  result.generation = run.generation;
  result.create = run.create;
  if (run.create) result.status = create_run(fs, run, fresh_token);
  if (!result.status.ok()) return result;
  auto listing = list_checkpoints(fs, run.run_directory);
  if (!listing.ok()) {
    result.status = listing.error();
    return result;
  }
  result.manifests = std::move(listing->manifests);
  result.damaged = std::move(listing->damaged);
  if (run.create) {
    // Left behind by a generation that is over: no manifest will ever name them. Newer ones than the newest checkpoint
    // stay, since a worker that goes on may still be writing there; the next try has other names and finishes them.
    const Step newest = result.manifests.empty() ? 0 : result.manifests.back().step;
    for (const Step step : listing->unfinished) {
      if (step > newest) continue;
      static_cast<void>(fs.remove_tree(step_directory(run.run_directory, step)));
    }
    const auto token = fs.read_file(run.run_directory + "/token");
    if (!token.ok()) {
      result.status = token.error();
      return result;
    }
    result.token = std::string(trim(*token));
  }
  read_metrics_tail(fs, run.run_directory, &result);
  return result;
}

Status write_manifest(FileSystem& fs, const WriteManifest& action) {
  STRAND_TRY(check_sizes(fs, action.run_directory, action.manifest));
  return write_file_atomically(fs, step_directory(action.run_directory, action.manifest.step) + "/manifest",
                               encode_manifest(action.manifest));
}

Status remove_checkpoint(FileSystem& fs, const std::string& run_directory, Step step) {
  const std::string directory = step_directory(run_directory, step);
  if (!fs.exists(directory)) return {};
  STRAND_TRY(fs.remove(directory + "/manifest"));
  STRAND_TRY(fs.sync_directory(directory));
  return fs.remove_tree(directory);
}

Status verify_checkpoint(FileSystem& fs, const std::string& run_directory, Step step) {
  STRAND_ASSIGN(const Manifest manifest, read_manifest_of(fs, run_directory, step));
  for (const ManifestPart& part : manifest.parts) {
    const std::string path = run_directory + "/checkpoints/" + part.file;
    Hasher128 hasher;
    for (uint64_t at = 0; at < part.bytes;) {
      STRAND_ASSIGN(const std::string chunk, fs.read_range(path, at, kChunk));
      if (chunk.empty()) return corrupt(concat(path, ": ends at byte ", at, " of ", part.bytes));
      hasher.update(chunk.data(), chunk.size());
      at += chunk.size();
    }
    if (hasher.digest() != part.checksum) {
      return corrupt(concat(path, ": its checksum is ", hasher.digest().hex(), ", the manifest says ",
                            part.checksum.hex(), "; training goes on from an older checkpoint"));
    }
  }
  return {};
}

Json step_json(Step step, const StepReport& r) {
  return {{"step", step},
          {"loss", r.loss},
          {"gradient_norm", r.gradient_norm},
          {"learning_rate", r.learning_rate},
          {"tokens", r.tokens},
          {"step_seconds", static_cast<double>(r.step_nanoseconds) * 1e-9},
          {"data_wait_seconds", static_cast<double>(r.data_wait_nanoseconds) * 1e-9},
          {"checkpoint_wait_seconds", static_cast<double>(r.checkpoint_wait_nanoseconds) * 1e-9}};
}

Json metrics_json(const StepReport& report) {
  Json json{{"loss", report.eval_loss}};
  for (const NamedMetric& metric : report.metrics) json[metric.name] = metric.value;  // NaN is written as null
  return json;
}

std::string metrics_line(const RecordStep& record) {
  const StepReport& r = record.report;
  Json json = step_json(record.step, r);
  json["generation"] = record.generation.value;
  json["base"] = r.base;
  json["time"] = static_cast<double>(record.wall_nanoseconds) * 1e-9;
  json["total_tokens"] = record.totals.tokens;
  json["productive_seconds"] = record.totals.productive_seconds;
  json["audit"] = hex64(r.audit);
  if (r.evaluated) {
    json["eval_loss"] = r.eval_loss;
    json["eval_bits_per_base"] = r.eval_bits_per_base;
  }
  if (!r.metrics.empty()) {
    json["dev"] = metrics_json(r);
    json["best_step"] = r.best.step;
  }
  return dump_json(json);
}

}  // namespace strand
