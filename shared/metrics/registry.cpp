#include <charconv>
#include <cmath>
#include <map>
#include <utility>
#include <variant>

#include "shared/base/check.h"
#include "shared/base/text.h"
#include "shared/metrics/metrics.h"

namespace strand {
namespace {

// {"strand_requests_total", "path=\"/jobs\""} of strand_requests_total{path="/jobs"}: metrics of one name stand
// together.
using SeriesName = std::pair<std::string, std::string>;

SeriesName split_name(const std::string& name) {
  const size_t brace = name.find('{');
  const std::string base = name.substr(0, brace);
  const bool plain =
      base.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_:") == std::string::npos;
  STRAND_CHECK(!base.empty() && plain && (base[0] < '0' || base[0] > '9'), "not a metric name: ", name);
  if (brace == std::string::npos) return {base, ""};
  STRAND_CHECK(name.back() == '}', "labels of a metric end with a brace: ", name);
  return {base, name.substr(brace + 1, name.size() - brace - 2)};
}

std::string number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  char buffer[40];
  return {buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr};
}

std::string escaped(const std::string& help) {
  std::string out;
  for (const char c : help) {
    if (c == '\\') out += "\\\\";
    if (c == '\n') out += "\\n";
    if (c != '\\' && c != '\n') out += c;
  }
  return out;
}

std::string series(const std::string& base, const std::string& labels, const std::string& more = "") {
  const std::string all = labels + (labels.empty() || more.empty() ? "" : ",") + more;
  return all.empty() ? base : concat(base, "{", all, "}");
}

}  // namespace

struct MetricsRegistry::State {
  struct Metric {
    std::string help;
    std::variant<std::monostate, Counter, Gauge, Histogram> value;
  };
  mutable std::mutex mutex;
  std::map<SeriesName, std::unique_ptr<Metric>> metrics;

  template <class T>
  T& find(const std::string& name, const std::string& help) {
    const std::lock_guard lock(mutex);
    auto& metric = metrics[split_name(name)];
    if (!metric) {
      metric = std::make_unique<Metric>();
      metric->help = help;
      metric->value.template emplace<T>();
    }
    T* value = std::get_if<T>(&metric->value);
    STRAND_CHECK(value != nullptr, "the metric ", name, " has another kind already");
    return *value;
  }
};

MetricsRegistry::MetricsRegistry() : state_(std::make_unique<State>()) {}
MetricsRegistry::~MetricsRegistry() = default;

Counter& MetricsRegistry::counter(const std::string& name, const std::string& help) {
  return state_->find<Counter>(name, help);
}
Gauge& MetricsRegistry::gauge(const std::string& name, const std::string& help) {
  return state_->find<Gauge>(name, help);
}
Histogram& MetricsRegistry::histogram(const std::string& name, const std::string& help) {
  return state_->find<Histogram>(name, help);
}

std::string MetricsRegistry::prometheus_text() const {
  const std::lock_guard lock(state_->mutex);
  std::string out, previous;
  for (const auto& [name, metric] : state_->metrics) {
    const auto& [base, labels] = name;
    static constexpr const char* kKinds[] = {"untyped", "counter", "gauge", "summary"};
    if (base != previous) {
      out += concat("# HELP ", base, " ", escaped(metric->help), "\n");
      out += concat("# TYPE ", base, " ", kKinds[metric->value.index()], "\n");
      previous = base;
    }
    if (const auto* counter = std::get_if<Counter>(&metric->value)) {
      out += concat(series(base, labels), " ", counter->value(), "\n");
    } else if (const auto* gauge = std::get_if<Gauge>(&metric->value)) {
      out += concat(series(base, labels), " ", number(gauge->value()), "\n");
    } else if (const auto* histogram = std::get_if<Histogram>(&metric->value)) {
      for (const char* q : {"0.5", "0.99", "0.999"}) {
        out += concat(series(base, labels, concat("quantile=\"", q, "\"")), " ",
                      number(histogram->quantile_seconds(std::stod(q))), "\n");
      }
      out += concat(series(base + "_sum", labels), " ", number(histogram->sum_seconds()), "\n");
      out += concat(series(base + "_count", labels), " ", histogram->count(), "\n");
    }
  }
  return out;
}

}  // namespace strand
