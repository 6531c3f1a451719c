#include <atomic>
#include <cstdio>

#include "cli/commands.h"
#include "cli/loaded_model.h"
#include "cli/progress.h"
#include "shared/base/clock.h"
#include "shared/base/text.h"
#include "shared/formats/json.h"
#include "worker/inference/vector_file.h"

namespace strand {
namespace {

struct EmbedCommand {
  ModelOptions model;
  InputOptions input;
  std::string out;
  std::string pooling = "mean";
  int64_t layer = ForwardPass::kFinal;
  bool json = false;
};

// "cls", "mean", "max" or "last".
PoolingKind pooling_kind(const std::string& name) {
  if (name == "cls") return PoolingKind::kCls;
  if (name == "max") return PoolingKind::kMax;
  return name == "last" ? PoolingKind::kLast : PoolingKind::kMean;
}

// What is known before anything is computed or written.
struct InputSurvey {
  int64_t sequences = 0, rows = 0, tokens = 0;
  std::vector<int64_t> own_tokens;  // of each sequence; only when every token has its vector
  std::string note;
};

class Embedding {
 public:
  Embedding(const EmbedCommand& command, LoadedModel model)
      : command_(command),
        model_(std::move(model)),
        fs_(make_posix_file_system()),
        bar_(clock_, command.json),
        each_token_(command.pooling == "none"),
        width_(model_.runner().config().hidden) {}

  Result<int> run() {
    STRAND_TRY(check());
    STRAND_TRY(survey());
    const std::string names_path = command_.out + ".names.tsv";
    STRAND_ASSIGN(VectorFile vectors, open_output());
    STRAND_ASSIGN(AtomicFile names, AtomicFile::create(*fs_, names_path));
    STRAND_TRY(append(names, "index\tname\ttokens\n"));
    begin_progress();
    SequenceRows rows(model_, command_.input.file, command_.input.choice());
    const Time begun = clock_.now();
    STRAND_TRY(for_windows(rows, command_.input.file, [&](SequenceWindow& window) -> Status {
      written_ += static_cast<int64_t>(window.sequences.size());
      if (written_ > survey_.sequences || rows.tokens() > survey_.tokens) return changed();
      STRAND_ASSIGN(const std::vector<float> values, each_token_ ? token_vectors(window) : pooled(window));
      STRAND_TRY(append(names, name_lines(window)));
      return vectors.append(values);
    }));
    const double seconds = static_cast<double>((clock_.now() - begun).count()) * 1e-9;
    bar_.finish();
    if (written_ != survey_.sequences || rows.tokens() != survey_.tokens) return changed();
    STRAND_TRY(names.commit());
    STRAND_TRY(vectors.commit());
    report(names_path, seconds);
    return 0;
  }

 private:
  static Status append(AtomicFile& file, const std::string& text) { return file.append(text.data(), text.size()); }
  Error changed() const {
    return bad_input(concat(command_.input.file.path, ": changed while it was read; run again"));
  }

  Status check() const {
    STRAND_ASSIGN(const VectorFormat format, vector_format(command_.out));
    if (each_token_ && format == VectorFormat::kNpy) {
      return bad_input(concat(command_.out,
                              ": --pooling none gives as many vectors a sequence as it has tokens, which ",
                              "are no one array; write a .safetensors"));
    }
    const int64_t layers = model_.runner().config().layers;
    if (command_.layer >= ForwardPass::kFinal && command_.layer <= layers) return {};
    return bad_input(concat("--layer ", command_.layer,
                            ": expected -1 (the final hidden states), 0 (the embeddings) or ", "a block from 1 to ",
                            layers));
  }

  Status survey() {
    SequenceRows rows(model_, command_.input.file, command_.input.choice());
    STRAND_TRY(for_windows(rows, command_.input.file, [&](SequenceWindow& window) -> Status {
      survey_.sequences += static_cast<int64_t>(window.sequences.size());
      survey_.rows += static_cast<int64_t>(window.rows.size());
      for (size_t s = 0; each_token_ && s < window.sequences.size(); ++s) {
        survey_.own_tokens.push_back(own_tokens(window, s));
      }
      return {};
    }));
    survey_.tokens = rows.tokens();
    survey_.note = rows.note();
    return {};
  }

  Result<VectorFile> open_output() {
    if (each_token_) return VectorFile::create_each(*fs_, command_.out, survey_.own_tokens, width_);
    return VectorFile::create(*fs_, command_.out, vector_format(command_.out).value(), survey_.sequences, width_);
  }

  void begin_progress() {
    const Time begun = clock_.now();
    model_.runner().on_progress([this, begun](size_t rows) {
      done_ += static_cast<int64_t>(rows);
      const double passed = static_cast<double>((clock_.now() - begun).count()) * 1e-9;
      bar_.update(rate_progress(done_, survey_.rows, "rows", passed));
      return !stop_on_signals().load();
    });
  }

  static int64_t own_tokens(const SequenceWindow& window, size_t sequence) {
    int64_t sum = 0;
    for (size_t r = window.first_row[sequence]; r < window.first_row[sequence + 1]; ++r) {
      sum += window.rows[r].end - window.rows[r].begin;
    }
    return sum;
  }

  std::string name_lines(const SequenceWindow& window) const {
    std::string lines;
    for (size_t s = 0; s < window.sequences.size(); ++s) {
      const int64_t index = written_ - static_cast<int64_t>(window.sequences.size() - s);
      lines += concat(index, "\t", tsv_field(window.sequences[s].name), "\t", own_tokens(window, s), "\n");
    }
    return lines;
  }

  Result<std::vector<float>> token_vectors(const SequenceWindow& window) {
    std::vector<std::vector<float>> of_rows;
    STRAND_TRY(model_.runner().token_vectors(window.rows, command_.layer, &of_rows));
    std::vector<float> values;
    for (const std::vector<float>& row : of_rows) values.insert(values.end(), row.begin(), row.end());
    return values;
  }

  Result<std::vector<float>> pooled(const SequenceWindow& window) {
    const PoolingKind kind = pooling_kind(command_.pooling);
    const auto width = static_cast<size_t>(width_);
    std::vector<float> of_rows(window.rows.size() * width);
    STRAND_TRY(model_.runner().pool(window.rows, kind, command_.layer, of_rows.data()));
    std::vector<float> values(window.sequences.size() * width);
    for (size_t s = 0; s < window.sequences.size(); ++s) {
      merge_rows(window, s, kind, of_rows.data(), values.data() + s * width);
    }
    return values;
  }

  // A split sequence's vector: as if pooled over the tokens of all its rows; cls of the first, last of the last.
  void merge_rows(const SequenceWindow& window, size_t sequence, PoolingKind kind, const float* of_rows,
                  float* out) const {
    const size_t first = window.first_row[sequence], end = window.first_row[sequence + 1];
    const auto value = [&](size_t row, int64_t c) { return of_rows[static_cast<int64_t>(row) * width_ + c]; };
    const auto tokens = static_cast<double>(own_tokens(window, sequence));
    for (int64_t c = 0; c < width_; ++c) {
      out[c] = value(kind == PoolingKind::kLast ? end - 1 : first, c);
      if (end - first == 1 || kind == PoolingKind::kCls || kind == PoolingKind::kLast) continue;
      double sum = 0;
      for (size_t r = first; r < end; ++r) {
        out[c] = std::max(out[c], value(r, c));
        sum +=
            static_cast<double>(window.rows[r].end - window.rows[r].begin) / tokens * static_cast<double>(value(r, c));
      }
      if (kind == PoolingKind::kMean) out[c] = static_cast<float>(sum);
    }
  }

  void report(const std::string& names_path, double seconds) const {
    const double speed = static_cast<double>(survey_.sequences) / std::max(seconds, 1e-9);
    if (command_.json) {
      const Json document = {{"model", model_.origin()},
                             {"sequences", survey_.sequences},
                             {"tokens", survey_.tokens},
                             {"dimensions", width_},
                             {"pooling", command_.pooling},
                             {"layer", command_.layer},
                             {"dtype", command_.model.dtype},
                             {"out", command_.out},
                             {"names", names_path},
                             {"note", survey_.note},
                             {"seconds", seconds},
                             {"sequences_per_second", speed}};
      std::printf("%s\n", dump_json(document).c_str());
      return;
    }
    std::printf("model       %s\nsequences   %s of %s tokens\nvectors     %lld numbers each, %s%s\n",
                model_.origin().c_str(), with_thousands(survey_.sequences).c_str(),
                with_thousands(survey_.tokens).c_str(), static_cast<long long>(width_), command_.pooling.c_str(),
                command_.layer == ForwardPass::kFinal ? "" : concat(", layer ", command_.layer).c_str());
    if (!survey_.note.empty()) std::printf("note        %s\n", survey_.note.c_str());
    std::printf("speed       %s sequences/s (%s)\nwritten     %s, names in %s\n", format_number(speed, 2).c_str(),
                human_seconds(seconds).c_str(), command_.out.c_str(), names_path.c_str());
  }

  const EmbedCommand& command_;
  LoadedModel model_;
  std::unique_ptr<FileSystem> fs_;
  SystemClock clock_;
  ProgressBar bar_;
  bool each_token_;
  int64_t width_;
  InputSurvey survey_;
  int64_t written_ = 0;  // sequences
  int64_t done_ = 0;     // rows
};

}  // namespace

void add_embed_command(CLI::App& app, Chosen* chosen) {
  auto command = std::make_shared<EmbedCommand>();
  CLI::App* embed = add_command(app, "embed", "One vector a sequence from a trained model",
                                "strand embed runs/ecoli-quickstart --input genes.fa --out genes.npy --pooling mean");
  add_model_options(embed, &command->model);
  add_input_options(embed, &command->input);
  embed->add_option("--out", command->out, "E.safetensors or E.npy; the names go to E....names.tsv")->required();
  embed
      ->add_option("--pooling", command->pooling,
                   "mean or max of the sequence's tokens, cls (the first token), last, or none: a vector for every one")
      ->check(CLI::IsMember({"mean", "max", "cls", "last", "none"}));
  embed->add_option("--layer", command->layer, "-1: the final hidden states; 0: the embeddings; N: behind block N");
  add_json_flag(embed, chosen);
  embed->callback([command, chosen] {
    command->json = chosen->json;
    chosen->run = [command]() -> Result<int> {
      (void)stop_on_signals();
      STRAND_ASSIGN(LoadedModel model, LoadedModel::open(command->model));
      return Embedding(*command, std::move(model)).run();
    };
  });
}

}  // namespace strand
