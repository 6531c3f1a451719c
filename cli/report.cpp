#include "cli/report.h"

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
  for (const char* key : {"markov_order", "eval_bases", "reason"}) {
    if (show.contains(key)) result[key] = show[key];
  }
  return result;
}

std::string run_report(const Json& result, const Json& show, const std::string& run_directory) {
  std::string out =
      concat("\n", text(result, "job"), " ", text(result, "state"), " at step ", text(result, "step"), "\n");
  if (text(result, "state") == "done") {
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
    out += concat("  speed                ", with_thousands(static_cast<int64_t>(number(result, "tokens_per_second"))),
                  " tokens/s, ", format_number(100 * number(result, "flops_utilization"), 1),
                  "% of this machine's measured matrix rate\n");
  }
  out += concat("  goodput              ", format_number(100 * number(result, "goodput"), 1), "%\n");
  out += concat("  digest               ", text(result, "digest"), "\n");
  out += concat("  state digest         ", text(result, "state_digest"), "\n");
  out += concat("  checkpoint           ", text(result, "checkpoint"), "\n");
  out += concat("  everything           ", run_directory, "\n");
  return out;
}

}  // namespace strand
