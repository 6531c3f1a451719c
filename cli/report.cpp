#include "cli/report.h"

#include <algorithm>

#include "shared/base/text.h"

namespace strand {
namespace {

double number(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_number() ? found->get<double>() : 0.0;
}

std::string text(const Json& json, const char* key) {
  const auto found = json.find(key);
  if (found == json.end() || found->is_null()) return "-";
  return found->is_string() ? found->get<std::string>() : found->dump();
}

}  // namespace

Json run_result(const Json& show) {
  Json result = Json::object();
  for (const char* key :
       {"job", "state", "step", "train_loss", "eval_loss", "bits_per_base", "markov_bits_per_base", "tokens",
        "tokens_per_second", "flops_utilization", "goodput", "checkpoint", "digest", "state_digest"}) {
    const auto found = show.find(key);
    result[key] = found == show.end() ? Json(nullptr) : *found;
  }
  for (const char* key : {"markov_order", "eval_bases", "reason", "metric", "best_step", "best_value", "dev", "test"}) {
    if (show.contains(key)) result[key] = show[key];
  }
  return result;
}

std::string task_table(const Json& dev, const Json& test) {
  const auto shown = [](const Json& set, const std::string& name) {
    const bool there = set.is_object() && set.contains(name) && set[name].is_number();
    if (!there) return std::string("-");
    return set[name].is_number_integer() ? set[name].dump() : format_number(set[name].get<double>(), 4);
  };
  const auto padded = [](std::string text, size_t width) {
    return text + std::string(width - std::min(width, text.size()), ' ');
  };
  if (!dev.is_object() && !test.is_object()) return "";
  Json known = dev.is_object() ? dev : test;
  if (test.is_object()) known.update(test);  // what only one of them says comes last
  std::string out = concat("  ", padded("", 21), padded("dev", 10), "test\n");
  for (const auto& [name, value] : known.items()) {
    if (!value.is_number() && !value.is_null()) continue;  // "kind", and the metrics of each class
    out += concat("  ", padded(name, 21), padded(shown(dev, name), 10), shown(test, name), "\n");
  }
  return out;
}

// Of a finetuned model: what was chosen, and how good it is.
static std::string task_report(const Json& result) {
  std::string out;
  if (result["best_step"].is_number()) {
    out += concat("  chosen               step ", text(result, "best_step"), ", the best ", text(result, "metric"),
                  " on dev\n");
  }
  return out + task_table(result["dev"], result["test"]);
}

// Of a pretrained one: bits per base beside the Markov model.
static std::string held_out_report(const Json& result, const Json& show) {
  if (!result.contains("eval_loss") || !result["eval_loss"].is_number()) {
    return "  held-out loss        none: the job holds nothing out (data.holdout)\n";
  }
  std::string out;
  const double model = number(result, "bits_per_base");
  const double markov = number(result, "markov_bits_per_base");
  out += concat("  held-out loss        ", format_number(number(result, "eval_loss"), 4), " nats per token\n");
  if (model > 0) {  // null for a masked model, which sees both sides of what it predicts
    out += concat("  bits per base        ", format_number(model, 4), "  (",
                  with_thousands(static_cast<int64_t>(number(show, "eval_bases"))),
                  " held-out bases, each predicted once)\n");
  }
  if (markov > 0) {
    out += concat("  best Markov model    ", format_number(markov, 4), "  (order ", text(show, "markov_order"),
                  ", same training bases, both strands): ", model < markov ? "beaten by " : "not beaten, behind by ",
                  format_number(model < markov ? markov - model : model - markov, 4), "\n");
  }
  return out;
}

std::string run_report(const Json& result, const Json& show, const std::string& run_directory) {
  std::string out =
      concat("\n", text(result, "job"), " ", text(result, "state"), " at step ", text(result, "step"), "\n");
  if (text(result, "state") == "done") {
    out += result.contains("dev") ? task_report(result) : held_out_report(result, show);
    out += concat("  speed                ", with_thousands(static_cast<int64_t>(number(result, "tokens_per_second"))),
                  " tokens/s, ", format_number(100 * number(result, "flops_utilization"), 1),
                  "% of this machine's measured matrix rate\n");
  }
  out += concat("  goodput              ", format_number(100 * number(result, "goodput"), 1), "%\n");
  const bool chosen = result.contains("best_step") && result["best_step"].is_number();
  out +=
      concat("  digest               ", text(result, "digest"), chosen ? "  (of the chosen step's weights)" : "", "\n");
  out += concat("  state digest         ", text(result, "state_digest"), chosen ? "  (of the last step)" : "", "\n");
  out += concat("  checkpoint           ", text(result, "checkpoint"), "\n");
  out += concat("  everything           ", run_directory, "\n");
  return out;
}

}  // namespace strand
