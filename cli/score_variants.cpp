#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>

#include "cli/score_command.h"
#include "dataserver/corpus/alphabet.h"
#include "dataserver/variants/genome_variants.h"
#include "shared/base/text.h"
#include "worker/inference/likelihood.h"

namespace strand {
namespace {

constexpr int64_t kContext = 512;

// log p(alternative) - log p(reference) of every allele of every variant; docs/inference.md has the rules.
class VariantScores {
 public:
  VariantScores(const ScoreCommand& command, LoadedModel& model, ScoreOutput& output, int64_t* total)
      : command_(command), model_(model), output_(output), total_(total), causal_(model.runner().config().causal) {}

  Status run() {
    if (!causal_) {
      STRAND_ASSIGN(mask_id_, model_.mask_id());
    }
    STRAND_ASSIGN(variants_, read_variants(command_.variants));
    for (const Variant& variant : variants_) {
      first_score_.push_back(scores_.size());
      scores_.resize(scores_.size() + variant.alternatives.size(), std::numeric_limits<double>::quiet_NaN());
    }
    // Everything is checked before anything is computed or written.
    STRAND_TRY(visit([&](const Question& question) {
      *total_ += question.rows_to_compute(causal_);
      return Status();
    }));
    STRAND_TRY(output_.begin("CHROM\tPOS\tREF\tALT\tscore\n"));
    STRAND_TRY(visit([&](const Question& question) { return ask(question); }));
    STRAND_TRY(flush());
    return write();
  }

 private:
  // One allele on one strand. `masked`: one forward with the variant's token under the mask, else both windows whole.
  struct Question {
    size_t score = 0;
    TokenRow reference, alternative;
    bool masked = false;
    MaskedChoice choice;

    int64_t rows_to_compute(bool causal) const {
      if (masked) return 1;
      return causal ? 2 : reference.end - reference.begin + alternative.end - alternative.begin;
    }
  };

  Status visit(const std::function<Status(const Question&)>& use) {
    const auto record = [&](const RecordVariants& at) -> Status {
      for (const size_t v : at.variants) {
        for (size_t a = 0; a < variants_[v].alternatives.size(); ++a) STRAND_TRY(questions(at, v, a, use));
      }
      return {};
    };
    return visit_variants(command_.genome, command_.variants, variants_, record,
                          [](double) { return !stop_on_signals().load(); });
  }

  Status questions(const RecordVariants& record, size_t v, size_t a,
                   const std::function<Status(const Question&)>& use) {
    const Variant& variant = variants_[v];
    const std::string& allele = variant.alternatives[a];
    if (!is_bases(allele)) return {};  // a symbol, a breakend or no allele: its score stays missing
    const AlleleWindow window = allele_window(record.letters, variant, allele, context(variant, allele));
    for (int strand = 0; strand < (command_.both_strands ? 2 : 1); ++strand) {
      const Question question = make_question(first_score_[v] + a, window, variant, allele, strand == 1);
      for (const TokenRow* row : {&question.reference, &question.alternative}) {
        const Status fits = model_.runner().check_row(*row);
        if (fits.ok()) continue;
        return bad_input(concat(command_.variants, ": line ", variant.line, ": ", variant.chromosome, ":",
                                variant.position, " ", allele, ": ", fits.error().message(), "; lower --context from ",
                                context(variant, allele)));
      }
      STRAND_TRY(use(question));
    }
    return {};
  }

  // --context, else 512 bases, or fewer where a row of one base a token could not hold the longer allele.
  int64_t context(const Variant& variant, const std::string& allele) const {
    if (command_.context > 0) return command_.context;
    const auto specials = static_cast<int64_t>(model_.frame().prefix.size() + model_.frame().suffix.size());
    const int64_t longer = std::max<int64_t>(0, std::ssize(allele) - std::ssize(variant.reference));
    return std::clamp<int64_t>(model_.runner().longest_row() - specials - longer, 1, kContext);
  }

  Question make_question(size_t score, AlleleWindow window, const Variant& variant, const std::string& allele,
                         bool reverse) const {
    if (reverse) {
      window.offset = window.reference.size() - window.offset - variant.reference.size();
      reverse_complement(&window.reference);
      reverse_complement(&window.alternative);
    }
    Question question{score,
                      model_.framed(model_.encode(window.reference)),
                      model_.framed(model_.encode(window.alternative)),
                      false,
                      {}};
    const bool one_base = variant.reference.size() == 1 && allele.size() == 1;
    if (causal_ || !one_base || model_.base_ids().empty()) return question;
    question.masked = true;
    question.choice.position = question.reference.begin + static_cast<int64_t>(window.offset);
    const auto at = static_cast<size_t>(question.choice.position);
    question.choice.reference = question.reference.ids[at];
    question.choice.alternative = question.alternative.ids[at];
    return question;
  }

  Status ask(const Question& question) {
    constexpr size_t kAtATime = 256;
    (question.masked ? masked_ : whole_).push_back(question);
    return masked_.size() + whole_.size() >= kAtATime ? flush() : Status();
  }

  void add(const Question& question, double difference) {
    double& score = scores_[question.score];
    const double share = command_.both_strands ? 0.5 * difference : difference;
    score = std::isnan(score) ? share : score + share;
  }

  Status flush() {
    std::vector<TokenRow> rows;
    std::vector<MaskedChoice> choices;
    for (const Question& question : masked_) {
      rows.push_back(question.reference);
      choices.push_back(question.choice);
    }
    STRAND_ASSIGN(const std::vector<double> ratios, masked_log_ratios_or_none(rows, choices));
    for (size_t q = 0; q < masked_.size(); ++q) add(masked_[q], ratios[q]);
    rows.clear();
    for (const Question& question : whole_) {
      rows.push_back(question.reference);
      rows.push_back(question.alternative);
    }
    STRAND_ASSIGN(const std::vector<RowLikelihood> whole, causal_ ? causal_likelihood(model_.runner(), rows)
                                                                  : pseudo_likelihood(model_.runner(), rows, mask_id_));
    for (size_t q = 0; q < whole_.size(); ++q) add(whole_[q], whole[2 * q + 1].nats - whole[2 * q].nats);
    masked_.clear();
    whole_.clear();
    return {};
  }

  Result<std::vector<double>> masked_log_ratios_or_none(const std::vector<TokenRow>& rows,
                                                        const std::vector<MaskedChoice>& choices) {
    if (rows.empty()) return std::vector<double>();
    return masked_log_ratios(model_.runner(), rows, choices, mask_id_);
  }

  Status write() {
    int64_t missing = 0;
    for (size_t v = 0; v < variants_.size(); ++v) {
      const Variant& variant = variants_[v];
      for (size_t a = 0; a < variant.alternatives.size(); ++a) {
        const double score = scores_[first_score_[v] + a];
        missing += std::isnan(score) ? 1 : 0;
        STRAND_TRY(
            output_.line({variant.chromosome, variant.position, variant.reference, variant.alternatives[a], score}));
        output_.count(1, 0, 0);
      }
    }
    if (missing > 0) output_.note(concat(missing, " without bases for ALT (symbols, *, .) have no score"));
    return {};
  }

  const ScoreCommand& command_;
  LoadedModel& model_;
  ScoreOutput& output_;
  int64_t* total_;
  bool causal_;
  int32_t mask_id_ = 0;
  std::vector<Variant> variants_;
  std::vector<size_t> first_score_;  // of each variant's first allele
  std::vector<double> scores_;       // NaN: none
  std::vector<Question> masked_, whole_;
};

}  // namespace

Status score_variants(const ScoreCommand& command, LoadedModel& model, ScoreOutput& output, int64_t* total) {
  return VariantScores(command, model, output, total).run();
}

}  // namespace strand
