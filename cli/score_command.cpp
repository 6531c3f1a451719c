#include "cli/score_command.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <numbers>

#include "shared/base/text.h"
#include "shared/formats/json.h"
#include "worker/inference/likelihood.h"

namespace strand {
namespace {

// Likelihoods of sequences, a line each; split ones are the sum of their rows.
class SequenceScores {
 public:
  SequenceScores(const ScoreCommand& command, LoadedModel& model, ScoreOutput& output, int64_t* total)
      : command_(command), model_(model), output_(output), total_(total) {}

  Status run() {
    if (!model_.runner().config().causal) {
      STRAND_ASSIGN(mask_id_, model_.mask_id());
    }
    // Everything is checked before anything is computed or written.
    SequenceRows checked(model_, command_.input.file, command_.input.choice());
    STRAND_TRY(for_windows(checked, command_.input.file, [&](SequenceWindow& window) -> Status {
      for (const TokenRow& row : window.rows) *total_ += rows_to_compute(row);
      return {};
    }));
    SequenceRows rows(model_, command_.input.file, command_.input.choice());
    STRAND_TRY(output_.begin("name\ttokens\tbases\tlog_likelihood\tbits_per_base\n"));
    STRAND_TRY(for_windows(rows, command_.input.file, [&](SequenceWindow& window) { return score(window); }));
    output_.note(rows.note());
    return {};
  }

 private:
  // A masked model reads a row once for each of its own tokens.
  int64_t rows_to_compute(const TokenRow& row) const {
    return model_.runner().config().causal ? 1 : row.end - row.begin;
  }

  Status score(const SequenceWindow& window) {
    const bool causal = model_.runner().config().causal;
    STRAND_ASSIGN(const std::vector<RowLikelihood> scored,
                  causal ? causal_likelihood(model_.runner(), window.rows)
                         : pseudo_likelihood(model_.runner(), window.rows, mask_id_));
    for (size_t s = 0; s < window.sequences.size(); ++s) {
      double nats = 0;
      int64_t tokens = 0, bases = 0;
      for (size_t r = window.first_row[s]; r < window.first_row[s + 1]; ++r) {
        nats += scored[r].nats;
        tokens += std::max<int64_t>(0, window.rows[r].end - scored[r].begin);
        bases += model_.characters(window.rows[r], scored[r].begin);
      }
      const double bits = bases > 0 ? -nats / (std::numbers::ln2 * static_cast<double>(bases)) : NAN;
      STRAND_TRY(output_.line({window.sequences[s].name, tokens, bases, nats, bits}));
      output_.count(1, nats, bases);
    }
    return {};
  }

  const ScoreCommand& command_;
  LoadedModel& model_;
  ScoreOutput& output_;
  int64_t* total_;
  int32_t mask_id_ = 0;
};

}  // namespace

ScoreOutput::ScoreOutput(const ScoreCommand& command, const LoadedModel& model)
    : command_(command),
      model_(model),
      fs_(make_posix_file_system()),
      bar_(clock_, command.json),
      begun_(clock_.now()) {}

Status ScoreOutput::begin(const std::string& header) {
  columns_ = split(std::string(trim(header)), '\t');
  begun_ = clock_.now();
  if (!command_.out.empty()) {
    STRAND_ASSIGN(AtomicFile file, AtomicFile::create(*fs_, command_.out));
    file_ = std::make_unique<AtomicFile>(std::move(file));
  }
  return text(header);
}

Status ScoreOutput::text(const std::string& text) {
  if (file_ != nullptr) return file_->append(text.data(), text.size());
  if (!command_.json) bar_.finish(), std::fwrite(text.data(), 1, text.size(), stdout);
  return {};
}

Status ScoreOutput::line(const std::vector<Json>& fields) {
  if (file_ == nullptr && command_.json) {
    Json object = Json::object();
    for (size_t i = 0; i < fields.size(); ++i) object[columns_[i]] = fields[i];
    rows_.push_back(std::move(object));
    return {};
  }
  std::vector<std::string> texts;
  for (const Json& field : fields) {
    if (field.is_string()) {
      texts.push_back(tsv_field(field.get<std::string>()));
    } else if (field.is_number_float()) {
      const auto value = field.get<double>();
      texts.push_back(std::isnan(value) ? "." : format_number(value, 6));
    } else {
      texts.push_back(field.dump());
    }
  }
  return text(join(texts, "\t") + "\n");
}

void ScoreOutput::count(int64_t lines, double nats, int64_t bases) {
  lines_ += lines;
  nats_ += nats;
  bases_ += bases;
}

void ScoreOutput::progress(size_t rows, int64_t total) {
  done_ += static_cast<int64_t>(rows);
  const double passed = static_cast<double>((clock_.now() - begun_).count()) * 1e-9;
  bar_.update(rate_progress(done_, total, "rows", passed));
}

Result<int> ScoreOutput::finish(const char* what) {
  bar_.finish();
  if (file_ != nullptr) STRAND_TRY(file_->commit());
  const double seconds = static_cast<double>((clock_.now() - begun_).count()) * 1e-9;
  const double bits = bases_ > 0 ? -nats_ / (std::numbers::ln2 * static_cast<double>(bases_)) : NAN;
  if (command_.json) {
    Json document = {{"model", model_.origin()}, {what, lines_}, {"seconds", seconds}, {"note", note_}};
    if (bases_ > 0) document["bits_per_base"] = bits;
    if (file_ != nullptr) {
      document["out"] = command_.out;
    } else {
      document["scores"] = rows_;
    }
    std::printf("%s\n", dump_json(document).c_str());
    return 0;
  }
  const std::string tail = bases_ > 0 ? concat(", ", format_number(bits, 4), " bits per base in all") : "";
  std::fprintf(stderr, "%s %s scored by %s in %s%s%s%s\n", with_thousands(lines_).c_str(), what,
               model_.origin().c_str(), human_seconds(seconds).c_str(), tail.c_str(), note_.empty() ? "" : "; ",
               note_.c_str());
  if (file_ != nullptr) std::fprintf(stderr, "written to %s\n", command_.out.c_str());
  return 0;
}

Status score_sequences(const ScoreCommand& command, LoadedModel& model, ScoreOutput& output, int64_t* total) {
  return SequenceScores(command, model, output, total).run();
}

static Status check_options(const ScoreCommand& command) {
  const bool variants = !command.variants.empty() || !command.genome.empty();
  if (!variants && !command.input.file.path.empty()) return {};
  if (variants && command.input.file.path.empty() && !command.variants.empty() && !command.genome.empty()) {
    if (command.context >= 0) return {};
    return bad_input(concat("--context ", command.context, ": expected at least 1 base"));
  }
  return bad_input("expected --input FILE, or --genome FASTA with --variants FILE; see strand score --help");
}

static Result<int> run_score(const ScoreCommand& command) {
  STRAND_TRY(check_options(command));
  (void)stop_on_signals();
  STRAND_ASSIGN(LoadedModel model, LoadedModel::open(command.model));
  STRAND_TRY(model.needs_token_head());
  ScoreOutput output(command, model);
  int64_t total = 0;
  model.runner().on_progress([&](size_t rows) {
    output.progress(rows, total);
    return !stop_on_signals().load();
  });
  if (command.variants.empty()) {
    STRAND_TRY(score_sequences(command, model, output, &total));
    return output.finish("sequences");
  }
  STRAND_TRY(score_variants(command, model, output, &total));
  return output.finish("variants");
}

void add_score_command(CLI::App& app, Chosen* chosen) {
  auto command = std::make_shared<ScoreCommand>();
  CLI::App* score = add_command(app, "score", "Likelihoods of sequences, or of variants against the reference",
                                "strand score runs/ecoli-quickstart --genome ecoli.fa --variants calls.vcf.gz --out "
                                "scores.tsv");
  add_model_options(score, &command->model);
  add_input_options(score, &command->input)->required(false);
  score->add_option("--genome", command->genome, "FASTA that the variants were called on");
  score->add_option("--variants", command->variants, ".vcf, .vcf.gz, or a table with CHROM, POS, REF and ALT");
  score->add_option("--context", command->context,
                    "bases around a variant that the model sees; default: 512, or what a row of the model holds");
  score->add_flag("--both-strands", command->both_strands, "the mean of both strands' scores of a variant");
  score->add_option("--out", command->out, "a TSV; default: stdout");
  add_json_flag(score, chosen);
  score->callback([command, chosen] {
    command->json = chosen->json;
    chosen->run = [command] { return run_score(*command); };
  });
}

}  // namespace strand
