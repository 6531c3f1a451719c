#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "shared/base/text.h"
#include "shared/job_spec/fields.h"
#include "shared/job_spec/job_spec.h"
#include "shared/job_spec/toml_reader.h"
#include "shared/job_spec/validate.h"

namespace strand {
namespace {

std::string unknown_key(const std::string& key) {
  const std::string head = key.substr(0, key.find('.'));
  if (head == "task" || head == "adapter") {
    return concat("[", head, "] is not part of this version: only pretraining jobs are built");
  }
  std::vector<std::string> names;
  for (const Field& field : job_fields()) names.push_back(field.key);
  const std::string nearest = nearest_name(key, names);
  return concat("unknown key",
                nearest.empty() ? "; docs/job_file.md lists all keys" : concat("; did you mean ", nearest, "?"));
}

std::string absolute_from(const std::string& base, const std::string& path) {
  const std::filesystem::path p(path);
  return (p.is_absolute() ? p : std::filesystem::path(base) / p).lexically_normal().string();
}

// Entries of the file, then those of --set, which win.
std::vector<TomlEntry> gather(const std::string& text, const std::vector<std::string>& sets,
                              std::vector<SpecError>* errors) {
  std::vector<TomlEntry> entries = read_toml(text, errors);
  for (const std::string& set : sets) {
    const size_t equals = set.find('=');
    if (equals == std::string::npos || equals == 0) {
      errors->push_back({0, 0, set, concat("--set ", set, ": expected key=value, as in --set train.steps=500")});
      continue;
    }
    entries.push_back({std::string(trim(set.substr(0, equals))), read_toml_value(set.substr(equals + 1)), 0, 0});
  }
  return entries;
}

}  // namespace

ParsedJob parse_job(const std::string& toml_text, const std::string& origin, const std::string& base_directory,
                    const std::vector<std::string>& sets) {
  (void)origin;  // places are line and column; job_errors puts the origin in front
  ParsedJob parsed;
  const std::vector<TomlEntry> entries = gather(toml_text, sets, &parsed.errors);
  std::map<std::string, std::pair<int, int>> places;
  // The preset first: every other model key overrides it.
  for (const TomlEntry& entry : entries) {
    places[entry.key] = {entry.line, entry.column};
    if (entry.key == "model.preset") find_field(entry.key)->set(&parsed.spec, entry.value);
  }
  if (auto preset = preset_config(parsed.spec.model.preset); preset.ok()) {
    parsed.spec.model.config = *preset;
  } else {
    const auto place = places["model.preset"];
    parsed.errors.push_back({place.first, place.second, "model.preset", preset.error().message()});
  }
  std::set<std::string> wrong;
  for (const TomlEntry& entry : entries) {
    const Field* field = find_field(entry.key);
    const std::string problem = field == nullptr ? unknown_key(entry.key) : field->set(&parsed.spec, entry.value);
    if (problem.empty()) continue;
    parsed.errors.push_back({entry.line, entry.column, entry.key, problem});
    wrong.insert(entry.key);
  }
  auto& data = parsed.spec.data;
  for (auto& file : data.files) file = absolute_from(base_directory, file);
  for (auto& file : data.holdout.files) file = absolute_from(base_directory, file);
  if (!parsed.spec.tokenizer.file.empty()) {
    parsed.spec.tokenizer.file = absolute_from(base_directory, parsed.spec.tokenizer.file);
  }
  // What a key says badly is reported once, not again for what follows from its default.
  validate_job(parsed.spec, [&](const std::string& key, const std::string& message) {
    if (wrong.contains(key)) return;
    const auto place = places.contains(key) ? places[key] : std::pair<int, int>{0, 0};
    parsed.errors.push_back({place.first, place.second, key, message});
  });
  std::stable_sort(parsed.errors.begin(), parsed.errors.end(), [](const SpecError& a, const SpecError& b) {
    return std::pair(a.line, a.column) < std::pair(b.line, b.column);
  });
  return parsed;
}

Error job_errors(const std::string& origin, const std::vector<SpecError>& errors) {
  std::vector<std::string> lines;
  for (const SpecError& error : errors) {
    const std::string place = error.line > 0 ? concat(":", error.line, ":", error.column) : "";
    lines.push_back(concat(origin, place, ": ", error.key.empty() ? "" : error.key + ": ", error.message));
  }
  return bad_input(join(lines, "\n"));
}

Result<JobSpec> load_job(const std::string& path, const std::vector<std::string>& sets) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  if (!in || !(text << in.rdbuf())) {
    return not_found(concat(path, ": cannot be read; name a job file (examples/ecoli/quickstart.toml is one)"));
  }
  std::error_code ignored;
  const std::string base = std::filesystem::absolute(path, ignored).parent_path().string();
  ParsedJob parsed = parse_job(text.str(), path, base, sets);
  std::vector<std::string> files = parsed.spec.data.files;
  files.insert(files.end(), parsed.spec.data.holdout.files.begin(), parsed.spec.data.holdout.files.end());
  if (!parsed.spec.tokenizer.file.empty()) files.push_back(parsed.spec.tokenizer.file);
  for (const std::string& file : files) {
    if (std::ifstream(file).good()) continue;
    parsed.errors.push_back(
        {0, 0, "data.files", concat(file, " cannot be read; relative paths start at the job file's folder, ", base)});
  }
  if (!parsed.errors.empty()) return job_errors(path, parsed.errors);
  return std::move(parsed.spec);
}

std::string effective_job_toml(const JobSpec& spec) {
  std::string out, section;
  for (const Field& field : job_fields()) {
    const std::string value = field.get(spec);
    if (value.empty()) continue;
    const size_t dot = field.key.rfind('.');
    if (field.key.substr(0, dot) != section) {
      section = field.key.substr(0, dot);
      out += concat(out.empty() ? "" : "\n", "[", section, "]\n");
    }
    out += concat(field.key.substr(dot + 1), " = ", value, "\n");
  }
  return out;
}

std::vector<std::string> resume_differences(const JobSpec& run, const JobSpec& wanted) {
  std::vector<std::string> differences;
  for (const Field& field : job_fields()) {
    const std::string section = field.key.substr(0, field.key.find('.'));
    const bool free = section == "parallel" || section == "checkpoint" || section == "evaluate" ||
                      field.key == "job.priority" || field.key == "job.retries";
    if (free || field.get(run) == field.get(wanted)) continue;
    const auto shown = [](const std::string& value) { return value.empty() ? std::string("(none)") : value; };
    differences.push_back(concat(field.key, ": ", shown(field.get(run)), " -> ", shown(field.get(wanted))));
  }
  return differences;
}

}  // namespace strand
