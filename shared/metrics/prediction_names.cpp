// The names of metrics, and their JSON form.
#include <cmath>

#include "shared/metrics/prediction_json.h"

namespace strand {
namespace {

struct Named {
  const char* overall;     // its name at the top
  const char* per_output;  // its name for one class, label or value
  double MetricValues::*value;
};

constexpr Named kDecisions[] = {
    {"accuracy", "accuracy", &MetricValues::accuracy},
    {"macro_precision", "precision", &MetricValues::precision},
    {"macro_recall", "recall", &MetricValues::recall},
    {"macro_f1", "f1", &MetricValues::f1},
    {"mcc", "mcc", &MetricValues::mcc},
    {"roc_auc", "roc_auc", &MetricValues::roc_auc},
    {"pr_auc", "pr_auc", &MetricValues::pr_auc},
};
constexpr Named kValues[] = {
    {"pearson", "pearson", &MetricValues::pearson},
    {"spearman", "spearman", &MetricValues::spearman},
    {"r2", "r2", &MetricValues::r2},
    {"mae", "mae", &MetricValues::mae},
    {"mse", "mse", &MetricValues::mse},
};
constexpr const char* kExactMatch = "exact_match";

std::span<const Named> table_of(PredictionKind kind) {
  if (kind == PredictionKind::kRegression) return kValues;
  return kDecisions;
}

// What a kind calls its outputs: "classes" and "per_class", and so on.
struct Words {
  const char *kind, *outputs, *per_output;
};
Words words_of(PredictionKind kind) {
  switch (kind) {
    case PredictionKind::kClassification: return {"classification", "classes", "per_class"};
    case PredictionKind::kMultiLabel: return {"multi_label", "labels", "per_label"};
    case PredictionKind::kRegression: return {"regression", "outputs", "per_output"};
  }
  return {"", "", ""};
}

}  // namespace

const char* prediction_kind_name(PredictionKind kind) {
  return words_of(kind).kind;
}

std::vector<std::string> metric_names(PredictionKind kind) {
  std::vector<std::string> names;
  for (const Named& metric : table_of(kind)) names.emplace_back(metric.overall);
  if (kind == PredictionKind::kMultiLabel) names.emplace_back(kExactMatch);
  return names;
}

std::optional<double> metric_value(const PredictionMetrics& metrics, std::string_view name) {
  for (const Named& metric : table_of(metrics.kind)) {
    if (name == metric.overall) return metrics.overall.*metric.value;
  }
  if (metrics.kind == PredictionKind::kMultiLabel && name == kExactMatch) return metrics.exact_match;
  return std::nullopt;
}

bool smaller_is_better(std::string_view name) {
  return name == "mae" || name == "mse";
}

Json prediction_metrics_json(const PredictionMetrics& metrics) {
  const Words words = words_of(metrics.kind);
  const auto number = [](double value) { return std::isnan(value) ? Json(nullptr) : Json(value); };
  Json json{{"kind", words.kind}, {"rows", metrics.rows}, {words.outputs, metrics.outputs}};
  for (const std::string& name : metric_names(metrics.kind)) json[name] = number(*metric_value(metrics, name));
  json["left_out"] = metrics.left_out;
  Json each = Json::array();
  for (const MetricValues& output : metrics.per_output) {
    Json one = Json::object();
    if (metrics.kind != PredictionKind::kRegression) one["positives"] = output.positives;
    for (const Named& metric : table_of(metrics.kind)) one[metric.per_output] = number(output.*metric.value);
    each.push_back(std::move(one));
  }
  json[words.per_output] = std::move(each);
  return json;
}

}  // namespace strand
