// strand finetune: writes a job from a model and tables, and runs it as `strand run` does.
#include <algorithm>
#include <cmath>
#include <filesystem>

#include "cli/commands.h"
#include "cli/run_command.h"
#include "dataserver/tables/table_file.h"
#include "shared/base/text.h"
#include "shared/formats/json.h"
#include "shared/fs/file_system.h"
#include "worker/weights/commands.h"
#include "worker/weights/model_directory.h"

namespace strand {
namespace {

constexpr size_t kMostClasses = 1000;
constexpr int64_t kRowsPerStep = 32;  // lanes x micro batch of the job that is written

struct FinetuneCommand {
  std::string model, tokenizer, name = "finetuned";
  std::string train, dev, test, kind = "classify", sequence = "sequence", label = "label";
  std::vector<std::string> labels, classes;
  double dev_fraction = 0.1, passes = 3;
  int64_t folds = 0, fold = 0;
  RunOptions run;  // directory, resume, threads, json; sets
};

// As TOML has it; JSON's escapes are TOML's.
std::string quoted(const std::string& text) {
  return dump_json(Json(text));
}
std::string list_of(const std::vector<std::string>& items) {
  std::vector<std::string> texts;
  for (const std::string& item : items) texts.push_back(quoted(item));
  return concat("[", join(texts, ", "), "]");
}
std::string absolute(const std::string& path) {
  return std::filesystem::absolute(path).lexically_normal().string();
}

bool is_preset(const std::string& model) {
  const auto names = preset_names();
  return std::ranges::find(names, model) != names.end();
}

// [model] and [tokenizer]: of a preset from random weights, or of a directory with weights.
Result<std::string> model_text(FileSystem& fs, const FinetuneCommand& c) {
  std::string model, tokenizer = c.tokenizer;
  if (is_preset(c.model)) {
    model = concat("[model]\npreset = ", quoted(c.model), "\n");
    if (tokenizer.empty()) tokenizer = "nucleotide";
  } else {
    auto directory = load_model_directory(fs, c.model);
    if (!directory.ok()) {
      const std::string nearest = nearest_name(c.model, preset_names());
      return bad_input(concat("--model: ", directory.error().message(), "; or name a preset",
                              nearest.empty() ? "" : concat("; did you mean ", nearest, "?")));
    }
    model = model_section(directory->config, absolute(c.model));
    if (tokenizer.empty()) tokenizer = directory->tokenizer_directory;
    if (tokenizer.empty()) return bad_input(concat(c.model, ": has no tokenizer beside it; name one with --tokenizer"));
    // What a run keeps there is one file; published ones may be several.
    if (fs.exists(tokenizer + "/tokenizer.json")) tokenizer += "/tokenizer.json";
  }
  const bool by_name = tokenizer == "nucleotide" || tokenizer == "kmer";
  return concat(
      model, "\n[tokenizer]\n",
      by_name ? concat("kind = ", quoted(tokenizer)) : concat("kind = \"file\"\nfile = ", quoted(absolute(tokenizer))),
      "\n");
}

// classes = ...: as given, else what the training table's column holds.
Result<std::string> classes_text(const FinetuneCommand& c) {
  const bool whole = c.classes.size() == 1 && c.classes[0].find_first_not_of("0123456789") == std::string::npos;
  if (whole) return concat("classes = ", c.classes[0], "\n");
  if (!c.classes.empty()) return concat("classes = ", list_of(c.classes), "\n");
  if (c.kind != "classify") return std::string();
  auto found = distinct_values(c.train, c.label, kMostClasses, [](double) { return true; });
  if (!found.ok()) return found.error().with_context("to find out which classes there are (or give --classes)");
  const std::vector<std::string>& values = *found;
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i] != std::to_string(i)) return concat("classes = ", list_of(values), "\n");
  }
  return concat("classes = ", values.size(), "\n");
}

Result<std::string> task_text(FileSystem& fs, const FinetuneCommand& c) {
  std::string out = concat("[[task]]\nname = ", quoted(c.name), "\nkind = ", quoted(c.kind), "\n");
  for (const auto& [key, path] : {std::pair("train", &c.train), {"dev", &c.dev}, {"test", &c.test}}) {
    if (path->empty()) continue;
    const auto size = fs.file_size(*path);
    if (!size.ok()) return size.error().with_context(concat("--", key));
    out += concat(key, " = ", quoted(absolute(*path)), "\n");
  }
  out += concat("sequence = ", quoted(c.sequence), "\n");
  if (c.labels.empty()) {
    out += concat("label = ", quoted(c.label), "\n");
  } else {
    out += concat("labels = ", list_of(c.labels), "\n");
  }
  STRAND_ASSIGN(const std::string classes, classes_text(c));
  out += classes;
  if (c.folds > 0) out += concat("folds = ", c.folds, "\nfold = ", c.fold, "\n");
  if (c.folds == 0 && c.dev.empty() && c.dev_fraction > 0) out += concat("dev_fraction = ", c.dev_fraction, "\n");
  return out;
}

// Steps of so many passes over the training rows.
Result<int64_t> steps_of(const FinetuneCommand& c) {
  class Count final : public TableSink {
   public:
    Status row(TableRow) override {
      ++rows;
      return {};
    }
    int64_t rows = 0;
  } count;
  STRAND_TRY(read_table(c.train, {c.sequence}, &count, [](double) { return true; }));
  double share = c.dev.empty() ? 1 - c.dev_fraction : 1;
  if (c.folds > 2) share = static_cast<double>(c.folds - 2) / static_cast<double>(c.folds);
  const double steps = std::ceil(static_cast<double>(count.rows) * share * c.passes / kRowsPerStep);
  return std::clamp<int64_t>(static_cast<int64_t>(steps), 1, 1'000'000'000);
}

Result<std::string> job_text(FileSystem& fs, const FinetuneCommand& c) {
  STRAND_ASSIGN(const std::string task, task_text(fs, c));
  STRAND_ASSIGN(const std::string model, model_text(fs, c));
  STRAND_ASSIGN(const int64_t steps, steps_of(c));
  return concat("[job]\nname = ", quoted(c.name), "\nkind = \"finetune\"\n\n", model, "\n", task,
                "\n[train]\nlanes = 4\nmicro_batch = ", kRowsPerStep / 4, "\nsteps = ", steps,
                "\nwarmup = ", steps / 10, "\nlearning_rate = ", is_preset(c.model) ? "1e-3" : "1e-4",
                "\nschedule = \"linear\"\nfinal_fraction = 0.0\nweight_decay = 0.01\n"
                "\n[checkpoint]\nevery = 0\nkeep = 1\n\n[evaluate]\nevery = 0\n");
}

Result<int> finetune(const FinetuneCommand& command) {
  const auto fs = make_posix_file_system();
  STRAND_ASSIGN(const std::string text, job_text(*fs, command));
  ParsedJob parsed = parse_job(text, "strand finetune", std::filesystem::current_path().string(), command.run.sets);
  for (SpecError& error : parsed.errors) error.line = error.column = 0;  // nobody has seen that text
  if (!parsed.errors.empty()) return job_errors("strand finetune", parsed.errors);
  return run_job(command.run, std::move(parsed.spec));
}

void add_table_options(CLI::App* command, FinetuneCommand* c) {
  command->add_option("--train", c->train, "the table to train on (docs/tasks.md)")->required();
  command->add_option("--dev", c->dev, "the table that chooses the best checkpoint");
  command->add_option("--test", c->test, "the table that is reported on once, at the end");
  command->add_option("--dev-fraction", c->dev_fraction, "without --dev: this share of the training rows")
      ->capture_default_str();
  command->add_option("--folds", c->folds, "cut --train into so many parts instead: train, dev and test");
  command->add_option("--fold", c->fold, "which part tests");
  command->add_option("--kind", c->kind, "of the task")
      ->check(CLI::IsMember({"classify", "multi-label", "regress", "classify-tokens"}))
      ->capture_default_str();
  command->add_option("--sequence", c->sequence, "the column of the sequences")->capture_default_str();
  command->add_option("--label", c->label, "the column of the labels")->capture_default_str();
  command->add_option("--labels", c->labels, "one column a label, separated by commas")->delimiter(',');
  command->add_option("--classes", c->classes, "how many, or their names; default for classify: those in the table")
      ->delimiter(',');
}

}  // namespace

void add_finetune_command(CLI::App& app, Chosen* chosen) {
  auto options = std::make_shared<FinetuneCommand>();
  CLI::App* command = add_command(app, "finetune", "Finetune a model on labelled tables: writes a job file and runs it",
                                  "strand finetune --model runs/ecoli-quickstart --train train.csv --dev dev.csv"
                                  " --test test.csv --dir runs/promoters");
  command
      ->add_option("--model", options->model, "a run, an import, published weights; or a preset, from random weights")
      ->required();
  add_table_options(command, options.get());
  command->add_option("--tokenizer", options->tokenizer,
                      "nucleotide, kmer or a file; default: the model's, for a preset nucleotide");
  command->add_option("--passes", options->passes, "over the training rows")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--name", options->name, "of job and task")->capture_default_str();
  RunOptions* run = &options->run;
  command->add_option("--set", run->sets, "key=value, over the job that is written; may be repeated")
      ->allow_extra_args(false);
  command->add_option("--dir", run->directory, "the run directory; default runs/NAME");
  command->add_option("--threads", run->threads, "compute threads; default: all cores")->check(CLI::NonNegativeNumber);
  add_json_flag(command, chosen);
  command->callback([options, chosen] {
    options->run.json = chosen->json;
    chosen->run = [options] { return finetune(*options); };
  });
}

}  // namespace strand
