#include "cli/loaded_model.h"

#include <algorithm>
#include <atomic>

#include "cli/commands.h"
#include "dataserver/tokenizer/open_tokenizer.h"
#include "shared/base/text.h"

namespace strand {
namespace {

constexpr int64_t kWindowTokens = int64_t{1} << 19;

}  // namespace

void add_model_options(CLI::App* command, ModelOptions* options) {
  command->add_option("model", options->directory, "a run directory, an import, or published weights")->required();
  command->add_option("--step", options->step, "which checkpoint of a run; default: the newest valid one");
  command->add_option("--tokenizer", options->tokenizer,
                      "nucleotide, kmer:K, or its file or folder; default: the one beside the model");
  command->add_option("--dtype", options->dtype, "f32, or bf16: of matrix products and activations")
      ->check(CLI::IsMember({"f32", "bf16"}));
  command->add_option("--threads", options->threads, "compute threads; default: all cores")
      ->check(CLI::NonNegativeNumber);
  command
      ->add_option("--max-tokens", options->max_tokens,
                   "longest row in tokens; default: model.max_sequence, which learned positions cannot exceed")
      ->check(CLI::PositiveNumber);
}

CLI::Option* add_input_options(CLI::App* command, InputOptions* options) {
  CLI::Option* input =
      command
          ->add_option("--input", options->file.path,
                       "sequences: .fa .fasta .fna, .csv .tsv .jsonl, or .txt with one a line; each also with .gz")
          ->required();
  command->add_option("--column", options->file.column, "of the sequences in a table; default: sequence");
  command->add_option("--names", options->file.name_column, "of the names in a table; default: rows are numbered");
  command->add_option("--too-long", options->too_long, "sequences beyond the model's longest row: refuse, cut or split")
      ->check(CLI::IsMember({"refuse", "cut", "split"}));
  return input;
}

Result<LoadedModel> LoadedModel::open(const ModelOptions& options) {
  const auto fs = make_posix_file_system();
  LoadedModel model;
  const RunnerOptions runner{options.dtype == "bf16" ? DType::kBF16 : DType::kF32, options.threads};
  STRAND_ASSIGN(model.runner_, ModelRunner::open(*fs, options.directory, options.step, runner));
  const std::string beside = model.runner_->model().tokenizer_directory;
  const std::string path = options.tokenizer.empty() ? beside : options.tokenizer;
  if (path.empty()) {
    return bad_input(concat(options.directory, ": no tokenizer.json, vocab.json or vocab.txt beside the weights; name",
                            " the tokenizer's file or folder, or nucleotide, or kmer:K (--tokenizer)"));
  }
  const bool named = !options.tokenizer.empty();
  STRAND_ASSIGN(model.tokenizer_, named ? open_named_tokenizer(*fs, path) : open_tokenizer(*fs, path));
  if (options.max_tokens > 0) STRAND_TRY(model.runner_->allow_rows(options.max_tokens));
  model.frame_ = model.tokenizer_->frame();
  const auto specials = static_cast<int64_t>(model.frame_.prefix.size() + model.frame_.suffix.size());
  if (model.runner_->longest_row() <= specials) {
    return bad_input(concat(options.directory, ": rows of ", model.runner_->longest_row(),
                            " tokens have no room for a ", "sequence beside ", specials, " special ones"));
  }
  model.find_base_ids();
  constexpr const char* kText = "Hello, world 42";
  model.is_text_ = model.tokenizer_->decode(model.encode(kText)) == kText;
  return model;
}

void LoadedModel::find_base_ids() {
  const std::string bases = "ACGT";
  const std::vector<int32_t> together = encode("ACGTNNACCGGGTTTT");
  for (const char base : bases) {
    const std::vector<int32_t> alone = encode(std::string(1, base));
    if (alone.size() != 1 || tokenizer_->characters(alone[0]) != 1) return base_ids_.clear();
    base_ids_.push_back(alone[0]);
  }
  if (together.size() != 16) base_ids_.clear();
}

Status LoadedModel::needs_token_head() const {
  if (runner_->has_token_head()) return {};
  return bad_input(concat(origin(),
                          ": is finetuned: it keeps the head of its task, none over the vocabulary; name the ",
                          "model it was finetuned from, or ask for its task (strand predict)"));
}

Result<int32_t> LoadedModel::mask_id() const {
  const int32_t id = tokenizer_->specials().mask;
  if (id >= 0) return id;
  return bad_input(concat(origin(), ": its tokenizer has no mask token, which a masked model is asked with; expected ",
                          "one called [MASK] or <mask> (--tokenizer)"));
}

std::vector<int32_t> LoadedModel::encode(const std::string& text) const {
  std::vector<int32_t> ids;
  tokenizer_->encode(text, &ids);
  return ids;
}

TokenRow LoadedModel::framed(const int32_t* begin, const int32_t* end) const {
  TokenRow row;
  row.ids = frame_.prefix;
  row.begin = static_cast<int64_t>(row.ids.size());
  row.ids.insert(row.ids.end(), begin, end);
  row.end = static_cast<int64_t>(row.ids.size());
  row.ids.insert(row.ids.end(), frame_.suffix.begin(), frame_.suffix.end());
  return row;
}

int64_t LoadedModel::characters(const TokenRow& row, int64_t begin) const {
  int64_t sum = 0;
  for (int64_t i = begin; i < row.end; ++i) sum += tokenizer_->characters(row.ids[static_cast<size_t>(i)]);
  return sum;
}

Result<std::vector<TokenRow>> SequenceRows::rows(const NamedSequence& sequence) {
  const std::vector<int32_t> ids = model_.encode(sequence.bases);
  const auto specials = model_.frame().prefix.size() + model_.frame().suffix.size();
  const auto longest = static_cast<size_t>(model_.runner().longest_row());
  const size_t room = longest - specials;
  const auto at = [&](const std::string& message) {
    return bad_input(concat(file_.path, ": line ", sequence.line, ": ", sequence.name, ": ", message));
  };
  std::vector<TokenRow> rows;
  size_t end = ids.size();
  if (end > room) {
    if (too_long_ == TooLongSequence::kRefuse) {
      return at(concat(end, " tokens and ", specials, " special ones, the model takes ", longest,
                       " a row; cut or split longer sequences (--too-long)"));
    }
    if (too_long_ == TooLongSequence::kCut) {
      cut_.add(sequence.name, room, end);
      end = room;
    } else {
      ++split_;
    }
  }
  for (size_t first = 0; first == 0 || first < end; first += room) {
    rows.push_back(model_.framed(ids.data() + first, ids.data() + std::min(end, first + room)));
    tokens_ += static_cast<int64_t>(rows.back().ids.size());
    const Status fits = model_.runner().check_row(rows.back());
    if (!fits.ok()) return at(fits.error().message());
  }
  return rows;
}

std::string SequenceRows::note() const {
  if (split_ > 0) return sequences_were(split_, "split into rows of the model's longest");
  return cut_.note("the model's longest row");
}

Status for_windows(SequenceRows& rows, const SequenceFile& file, const std::function<Status(SequenceWindow&)>& visit) {
  SequenceWindow window;
  int64_t tokens = 0;
  const auto flush = [&]() -> Status {
    window.first_row.push_back(window.rows.size());
    const Status status = window.sequences.empty() ? Status() : visit(window);
    window = SequenceWindow();
    tokens = 0;
    return status;
  };
  const auto add = [&](NamedSequence sequence) -> Status {
    STRAND_ASSIGN(std::vector<TokenRow> more, rows.rows(sequence));
    window.first_row.push_back(window.rows.size());
    for (TokenRow& row : more) {
      tokens += static_cast<int64_t>(row.ids.size());
      window.rows.push_back(std::move(row));
    }
    window.sequences.push_back(std::move(sequence));
    return tokens >= kWindowTokens ? flush() : Status();
  };
  STRAND_TRY(read_sequences(file, add, [](double) { return !stop_on_signals().load(); }));
  return flush();
}

std::string tsv_field(std::string text) {
  std::ranges::replace_if(
      text, [](char c) { return c == '\t' || c == '\n' || c == '\r'; }, ' ');
  return text;
}

}  // namespace strand
