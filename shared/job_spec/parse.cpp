#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "shared/base/text.h"
#include "shared/fs/file_system.h"
#include "shared/fs/glob.h"
#include "shared/job_spec/fields.h"
#include "shared/job_spec/job_spec.h"
#include "shared/job_spec/toml_reader.h"
#include "shared/job_spec/validate.h"

namespace strand {
namespace {

// "train" of "train.steps": a table that holds known keys.
bool is_section(const std::string& name) {
  const auto& fields = job_fields();
  return std::any_of(fields.begin(), fields.end(), [&](const Field& f) { return f.key.starts_with(name + "."); });
}

std::string unknown_key(const std::string& found) {
  const std::string key = list_key(found) ? plain_key(found) : found;
  const std::string head = key.substr(0, key.find('.'));
  if (head == "adapter") return "[adapter] is not part of this version: remove it";
  if (head.starts_with("task[")) {
    return "a job has one [[task]]; training on several at once needs a vocabulary expanded by their answers, which is "
           "not part of this version: give each task a job of its own";
  }
  std::vector<std::string> names, sections;
  for (const Field& field : job_fields()) {
    names.push_back(field.key);
    const std::string section = field.key.substr(0, field.key.rfind('.'));
    if (sections.empty() || sections.back() != section) sections.push_back(section);
    // The right key in the wrong table, or in none.
    if (field.key.substr(field.key.rfind('.')) == "." + key.substr(key.rfind('.') + 1)) {
      return concat("unknown key; did you mean ", field.key, "?");
    }
  }
  std::string nearest = nearest_name(key, names);
  if (nearest.empty() && key == head) nearest = nearest_name(key, sections);
  return concat("unknown key",
                nearest.empty() ? "; docs/job_file.md lists all keys" : concat("; did you mean ", nearest, "?"));
}

// Takes one entry into the spec; what is wrong with it, or nothing.
std::string take(const TomlEntry& entry, bool from_set, JobSpec* spec) {
  const std::optional<Field> field = find_field(entry.key);
  if (field) {
    std::string problem = field->set(spec, entry.value);
    // A shell user writes job.name=2024 without quotes.
    if (!problem.empty() && from_set && field->type == "string" && !entry.text.empty()) {
      problem = field->set(spec, {entry.text, "string"});
    }
    return problem;
  }
  if (const auto element = list_key(entry.key); element && is_list(plain_key(entry.key))) {
    grow_list(*element, spec);
    if (entry.value.type == "table") return "";
  }
  if (!is_section(list_key(entry.key) ? plain_key(entry.key) : entry.key)) return unknown_key(entry.key);
  if (entry.value.type == "table") return "";  // an empty [section]
  return concat("expected a table, found ", entry.value.type);
}

std::string absolute_from(const std::string& base, const std::string& path) {
  const std::filesystem::path p(path);
  return (p.is_absolute() ? p : std::filesystem::path(base) / p).lexically_normal().string();
}

std::string source_files_key(size_t i) {
  return i == 0 ? "data.source.files" : concat("data.source[", i, "].files");
}

// One parse: the spec, the errors, and where each key stood.
class JobParser {
 public:
  ParsedJob parsed;

  // `fs`: where wildcards in names of files of sequences are looked up; none: they are taken as they are.
  void parse(const std::string& text, const std::string& base_directory, const std::vector<std::string>& sets,
             FileSystem* fs = nullptr) {
    entries_ = read_toml(text, &parsed.errors);
    if (!parsed.errors.empty()) return;  // with no entries, everything else would be called missing
    of_file_ = entries_.size();
    for (const std::string& set : sets) add_set(set);
    take_preset();
    for (size_t i = 0; i < entries_.size(); ++i) {
      const TomlEntry& entry = entries_[i];
      if (below_wrong_table(entry.key)) continue;
      if (const std::string problem = take(entry, i >= of_file_, &parsed.spec); !problem.empty()) {
        report(entry.key, problem, &entry);
      }
    }
    make_absolute(base_directory);
    if (fs != nullptr) expand_wildcards(*fs);
    take_task_segment();
    validate_job(parsed.spec,
                 [&](const std::string& key, const std::string& message) { report(key, message, nullptr); });
    sort();
  }

  // What follows from a value that is already called wrong is not reported again: the first error of a key stands.
  void report(const std::string& key, const std::string& message, const TomlEntry* entry) {
    if (!wrong_.insert(key).second) return;
    if (entry == nullptr) entry = last_entry(key);
    const bool from_set = entry != nullptr && entry >= entries_.data() + of_file_;
    parsed.errors.push_back({entry == nullptr ? 0 : entry->line, entry == nullptr ? 0 : entry->column, key,
                             concat(from_set ? "--set: " : "", message)});
  }

  void sort() {
    std::stable_sort(parsed.errors.begin(), parsed.errors.end(), [](const SpecError& a, const SpecError& b) {
      return std::pair(a.line, a.column) < std::pair(b.line, b.column);
    });
  }

 private:
  void add_set(const std::string& set) {
    const size_t equals = set.find('=');
    const std::string key(trim(std::string_view(set).substr(0, equals)));
    if (equals == std::string::npos || key.empty()) {
      parsed.errors.push_back({0, 0, "", concat("--set ", set, ": expected key=value, as in --set train.steps=500")});
      return;
    }
    for (TomlEntry& entry : read_toml_setting(key, set.substr(equals + 1))) entries_.push_back(std::move(entry));
  }

  // What stands in a second [[task]], which is called wrong as a whole.
  bool below_wrong_table(const std::string& key) const {
    const size_t end = key.find("].");
    return end != std::string::npos && wrong_.contains(key.substr(0, end + 1));
  }

  // The preset first: every other model key overrides it. Then model.bias, which the other two biases follow unless
  // their own keys stand in the file.
  void take_preset() {
    take_early("model.preset");
    const auto preset = preset_config(parsed.spec.model.preset);
    if (preset.ok()) {
      parsed.spec.model.config = *preset;
    } else {
      report("model.preset", preset.error().message(), nullptr);
    }
    TransformerConfig& config = parsed.spec.model.config;
    if (take_early("model.bias")) config.mlp_up_bias = config.mlp_down_bias = config.bias;
  }

  // Whether `key` is there; its last value is taken. What is wrong with it is reported when its turn comes.
  bool take_early(const std::string& key) {
    bool found = false;
    for (const TomlEntry& entry : entries_) {
      if (entry.key == key && find_field(key)->set(&parsed.spec, entry.value).empty()) found = true;
    }
    return found;
  }

  // A task's rows are as long as its sequences need, up to what the model takes; only pretraining cuts a genome.
  void take_task_segment() {
    if (parsed.spec.job.kind != "finetune" || last_entry("data.segment") != nullptr) return;
    parsed.spec.data.segment = std::clamp<int64_t>(parsed.spec.model.config.max_sequence, 2, 65535);
  }

  // The entry that decided `key`, or one below it ("data.holdout" stands where its first key does).
  const TomlEntry* last_entry(const std::string& key) const {
    const TomlEntry* found = nullptr;
    for (const TomlEntry& entry : entries_) {
      if (entry.key == key || (found == nullptr && entry.key.starts_with(key + "."))) found = &entry;
    }
    return found;
  }

  void make_absolute(const std::string& base) {
    for (auto& file : parsed.spec.data.files) file = absolute_from(base, file);
    for (SourceSpec& source : parsed.spec.data.sources) {
      for (auto& file : source.files) file = absolute_from(base, file);
    }
    for (auto& file : parsed.spec.data.holdout.files) file = absolute_from(base, file);
    for (auto& file : parsed.spec.data.exclude.files) file = absolute_from(base, file);
    std::string& init = parsed.spec.model.init;
    if (init != "random" && !init.empty()) init = absolute_from(base, init);
    TaskSpec& task = parsed.spec.task;
    for (std::string* file : {&parsed.spec.tokenizer.file, &task.train, &task.dev, &task.test}) {
      if (!file->empty()) *file = absolute_from(base, *file);
    }
  }

  void expand_wildcards(FileSystem& fs) {
    const auto expand_list = [&](const std::string& key, std::vector<std::string>* files) {
      auto found = expand_globs(fs, *files);
      if (found.ok()) {
        *files = *std::move(found);
      } else {
        report(key, found.error().message(), nullptr);
      }
    };
    DataSpec& data = parsed.spec.data;
    expand_list("data.files", &data.files);
    for (size_t i = 0; i < data.sources.size(); ++i) expand_list(source_files_key(i), &data.sources[i].files);
    expand_list("data.holdout.files", &data.holdout.files);
  }

  std::vector<TomlEntry> entries_;  // of the file, then of --set: the later one wins
  size_t of_file_ = 0;
  std::set<std::string> wrong_;
};

void check_files_exist(FileSystem& fs, const std::string& base, JobParser* parser) {
  const auto check = [&](const std::string& key, const std::vector<std::string>& files) {
    for (const std::string& file : files) {
      const auto size = fs.file_size(file);
      if (size.ok()) continue;
      parser->report(key, concat(size.error().message(), "; relative paths start at the job file's folder, ", base),
                     nullptr);
    }
  };
  const JobSpec& spec = parser->parsed.spec;
  const std::string& init = spec.model.init;
  if (init != "random" && !init.empty() && !fs.list_directory(init).ok()) {
    parser->report("model.init",
                   concat(init,
                          ": is no directory here; expected \"random\" or a directory of weights"
                          " (relative paths start at the job file's folder, ",
                          base, ")"),
                   nullptr);
  }
  check("data.files", spec.data.files);
  for (size_t i = 0; i < spec.data.sources.size(); ++i) {
    check(source_files_key(i), spec.data.sources[i].files);
  }
  check("data.holdout.files", spec.data.holdout.files);
  check("data.exclude", spec.data.exclude.files);
  const std::pair<const char*, const std::string*> tables[] = {
      {"task.train", &spec.task.train}, {"task.dev", &spec.task.dev}, {"task.test", &spec.task.test}};
  for (const auto& [key, table] : tables) {
    if (!table->empty()) check(key, {*table});
  }
  const std::string& tokenizer = spec.tokenizer.file;  // a file, or the folder of a model's tokenizer files
  if (spec.tokenizer.kind == TokenizerKind::kFile && !tokenizer.empty() && !fs.list_directory(tokenizer).ok()) {
    check("tokenizer.file", {tokenizer});
  }
  parser->sort();
}

}  // namespace

ParsedJob parse_job(const std::string& toml_text, const std::string& origin, const std::string& base_directory,
                    const std::vector<std::string>& sets) {
  (void)origin;  // errors hold line and column; job_errors puts the origin in front
  JobParser parser;
  parser.parse(toml_text, base_directory, sets);
  return std::move(parser.parsed);
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
  const auto fs = make_posix_file_system();
  const auto text = fs->read_file(path);
  if (!text.ok()) return text.error().with_context("the job file");
  const std::string base = std::filesystem::absolute(path).parent_path().string();
  JobParser parser;
  parser.parse(*text, base, sets, fs.get());
  parser.sort();
  check_files_exist(*fs, base, &parser);
  if (!parser.parsed.errors.empty()) return job_errors(path, parser.parsed.errors);
  return std::move(parser.parsed.spec);
}

std::string effective_job_toml(const JobSpec& spec) {
  std::string out, section;
  for (const Field& field : job_fields(spec)) {
    const std::string value = field.get(spec);
    const size_t dot = field.key.rfind('.');
    const bool task = field.key.starts_with("task.");
    if (value.empty() || (task && spec.job.kind != "finetune")) continue;
    if (field.key.substr(0, dot) != section) {
      section = field.key.substr(0, dot);
      const std::string name = plain_key(section);
      const bool one_of_list = task || is_list(name);
      out += concat(out.empty() ? "" : "\n", one_of_list ? "[[" : "[", name, one_of_list ? "]]\n" : "]\n");
    }
    out += concat(field.key.substr(dot + 1), " = ", value, "\n");
  }
  return out;
}

std::vector<std::string> resume_differences(const JobSpec& run, const JobSpec& wanted) {
  std::vector<std::string> differences;
  JobSpec longer = run;  // with every element that either has
  longer.data.sources.resize(std::max(run.data.sources.size(), wanted.data.sources.size()));
  longer.data.mixture.resize(std::max(run.data.mixture.size(), wanted.data.mixture.size()));
  for (const Field& field : job_fields(longer)) {
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
