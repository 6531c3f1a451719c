#include <algorithm>
#include <atomic>
#include <cstdio>

#include "cli/commands.h"
#include "cli/loaded_model.h"
#include "cli/progress.h"
#include "dataserver/variants/variant_file.h"
#include "shared/base/clock.h"
#include "shared/base/text.h"
#include "shared/formats/json.h"
#include "worker/inference/cached_decoder.h"
#include "worker/inference/generator.h"

namespace strand {
namespace {

struct GenerateCommand {
  ModelOptions model;
  std::string prompt;
  bool has_prompt = false;
  SequenceFile input;
  GenerateOptions options;
  int64_t count = 1;
  std::string out;  // empty: stdout
  bool json = false;
};

struct Prompt {
  std::string name, text;
};

const char* ending_name(Ending ending) {
  switch (ending) {
    case Ending::kStop: return "stop";
    case Ending::kTokens: return "tokens";
    case Ending::kRow: return "row";
  }
  return "";
}

class Generate {
 public:
  Generate(const GenerateCommand& command, LoadedModel model)
      : command_(command),
        model_(std::move(model)),
        options_(command.options),
        fs_(make_posix_file_system()),
        bar_(clock_, command.json) {}

  Result<int> run() {
    STRAND_TRY(CachedDecoder::supports(model_.runner().config()));
    if (command_.count < 1) return bad_input(concat("--count ", command_.count, ": expected at least 1"));
    STRAND_TRY(read_prompts());
    set_tokens();
    std::vector<std::vector<int32_t>> rows;
    for (const Prompt& prompt : prompts_) {
      std::vector<int32_t> row = model_.frame().prefix;
      for (const int32_t id : model_.encode(prompt.text)) row.push_back(id);
      if (row.empty()) {
        return bad_input(concat(command_.has_prompt ? "--prompt" : concat(command_.input.path, ": ", prompt.name),
                                ": no tokens, and the model's tokenizer puts none in front; ",
                                "expected at least one base or word"));
      }
      TokenRow checked{row, 0, static_cast<int64_t>(row.size())};
      if (const Status fits = model_.runner().check_row(checked); !fits.ok()) {
        return bad_input(concat(command_.has_prompt ? "--prompt" : concat(command_.input.path, ": ", prompt.name), ": ",
                                fits.error().message(), "; shorten it, or allow longer rows (--max-tokens)"));
      }
      rows.insert(rows.end(), static_cast<size_t>(command_.count), row);
    }
    const Time begun = clock_.now();
    STRAND_ASSIGN(texts_, generate(model_.runner(), rows, options_, [&](int64_t done, int64_t total) {
                    bar_.update(rate_progress(done, total, "tokens", seconds_since(begun)));
                    return !stop_on_signals().load();
                  }));
    const double seconds = seconds_since(begun);
    bar_.finish();
    return write(seconds);
  }

 private:
  double seconds_since(Time begun) const { return static_cast<double>((clock_.now() - begun).count()) * 1e-9; }

  Status read_prompts() {
    if (command_.has_prompt == !command_.input.path.empty()) {
      return bad_input("expected --prompt TEXT or --input FILE; see strand generate --help");
    }
    if (!command_.has_prompt) {
      return read_sequences(
          command_.input,
          [&](NamedSequence sequence) -> Status {
            prompts_.push_back({sequence.name, std::move(sequence.bases)});
            return {};
          },
          [](double) { return !stop_on_signals().load(); });
    }
    prompts_.push_back({"prompt", command_.prompt});
    if (model_.is_text()) return {};
    const Status bases = normalise_bases(&prompts_[0].text);
    return bases.ok() ? bases : Status(bases.error().with_context("--prompt"));
  }

  // What ends a text, and what never comes: special tokens, ids that the tokenizer has no text for, and, of a tokenizer
  // of bases, whatever is not bases ([UNUSED1], RNA's U), so that what is made reads as sequences again.
  void set_tokens() {
    const SpecialTokens specials = model_.tokenizer().specials();
    std::vector<int32_t> stop = {specials.eos};
    if (!model_.frame().suffix.empty()) stop.push_back(model_.frame().suffix.front());
    std::erase(stop, -1);
    std::vector<bool>& never = options_.sampling.never;
    never.assign(static_cast<size_t>(model_.runner().config().vocabulary), false);
    for (size_t id = static_cast<size_t>(model_.tokenizer().vocabulary()); id < never.size(); ++id) never[id] = true;
    for (int32_t id = 0; !model_.is_text() && id < model_.tokenizer().vocabulary(); ++id) {
      if (std::ranges::find(stop, id) != stop.end()) continue;
      if (!is_bases(std::string(trim(model_.tokenizer().decode({id}))))) never[static_cast<size_t>(id)] = true;
    }
    for (const int32_t id : {specials.unknown, specials.cls, specials.sep, specials.pad, specials.mask, specials.bos}) {
      if (id >= 0 && std::ranges::find(stop, id) == stop.end()) never[static_cast<size_t>(id)] = true;
    }
    options_.stop = stop;
  }

  Result<int> write(double seconds) const {
    int64_t tokens = 0;
    std::string lines;
    Json rows = Json::array();
    for (size_t i = 0; i < texts_.size(); ++i) {
      const Prompt& prompt = prompts_[i / static_cast<size_t>(command_.count)];
      const size_t copy = i % static_cast<size_t>(command_.count) + 1;
      const GeneratedText& text = texts_[i];
      const std::string made = model_.tokenizer().decode(text.ids);
      tokens += static_cast<int64_t>(text.ids.size());
      rows.push_back({{"prompt", prompt.name},
                      {"copy", copy},
                      {"text", made},
                      {"ids", text.ids},
                      {"ending", ending_name(text.ending)},
                      {"log_likelihood", text.nats}});
      lines += model_.is_text()
                   ? concat(prompt.text, made, "\n")
                   : concat(">", prompt.name, ".", copy, " prompt=", prompt.text.size(), " tokens=", text.ids.size(),
                            " ending=", ending_name(text.ending), " log_likelihood=", format_number(text.nats, 4), "\n",
                            prompt.text, made, "\n");
    }
    if (!command_.out.empty()) STRAND_TRY(write_file_atomically(*fs_, command_.out, lines));
    const double speed = static_cast<double>(tokens) / std::max(seconds, 1e-9);
    if (command_.json) {
      Json document = {{"model", model_.origin()}, {"seed", options_.sampling.seed}, {"tokens", tokens},
                       {"seconds", seconds},       {"tokens_per_second", speed},     {"texts", rows}};
      if (!command_.out.empty()) document["out"] = command_.out;
      std::printf("%s\n", dump_json(document).c_str());
      return 0;
    }
    if (command_.out.empty()) std::fwrite(lines.data(), 1, lines.size(), stdout);
    std::fprintf(stderr, "%s tokens in %s, %s tokens/s%s%s\n", with_thousands(tokens).c_str(),
                 human_seconds(seconds).c_str(), format_number(speed, 1).c_str(),
                 command_.out.empty() ? "" : "; written to ", command_.out.c_str());
    return 0;
  }

  const GenerateCommand& command_;
  LoadedModel model_;
  GenerateOptions options_;
  std::unique_ptr<FileSystem> fs_;
  SystemClock clock_;
  ProgressBar bar_;
  std::vector<Prompt> prompts_;
  std::vector<GeneratedText> texts_;
};

}  // namespace

void add_generate_command(CLI::App& app, Chosen* chosen) {
  auto command = std::make_shared<GenerateCommand>();
  CLI::App* generate = add_command(app, "generate", "Texts of a causal model behind prompts",
                                   "strand generate runs/ecoli-quickstart --prompt ATGAAACGC --tokens 100 --top-p 0.9");
  add_model_options(generate, &command->model);
  CLI::Option* prompt = generate->add_option("--prompt", command->prompt, "what the text begins with; may be empty");
  generate->add_option("--input", command->input.path, "prompts from a file of sequences, as strand embed reads them");
  generate->add_option("--column", command->input.column, "of the prompts in a table; default: sequence");
  generate->add_option("--names", command->input.name_column, "of the names in a table; default: rows are numbered");
  generate->add_option("--tokens", command->options.tokens, "to make at most; default: 100");
  SamplingOptions* sampling = &command->options.sampling;
  generate->add_option("--temperature", sampling->temperature, "logits are divided by it; default: 1");
  generate->add_option("--top-k", sampling->top_k, "only the k likeliest tokens; 0: all");
  generate->add_option("--top-p", sampling->top_p, "the likeliest tokens that have this probability together; 1: all");
  generate->add_option("--seed", sampling->seed, "of the draws; default: 1")->check(CLI::NonNegativeNumber);
  generate->add_flag("--greedy", sampling->greedy, "the likeliest token each time");
  generate->add_option("--count", command->count, "texts for each prompt; default: 1");
  generate->add_option("--out", command->out, "FASTA, or the texts a line each; default: stdout");
  add_json_flag(generate, chosen);
  generate->callback([command, chosen, prompt] {
    command->json = chosen->json;
    command->has_prompt = prompt->count() > 0;
    chosen->run = [command]() -> Result<int> {
      (void)stop_on_signals();
      STRAND_TRY(check_sampling(command->options.sampling));
      STRAND_ASSIGN(LoadedModel model, LoadedModel::open(command->model));
      STRAND_TRY(model.needs_token_head());
      return Generate(*command, std::move(model)).run();
    };
  });
}

}  // namespace strand
