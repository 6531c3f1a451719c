// Prediction metrics equal to scikit-learn's and scipy's: tests/golden/prediction_metrics.json holds their values
// (tests/parity/make_metric_golden.py makes it). And what holds for any input.
#include "shared/metrics/prediction_metrics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>

#include "shared/base/rng.h"
#include "shared/base/text.h"
#include "shared/metrics/prediction_json.h"

namespace strand {
namespace {

constexpr const char* kGolden = "tests/golden/prediction_metrics.json";
constexpr double kTolerance = 1e-9;

Json read_golden() {
  std::ifstream in(kGolden, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  auto json = parse_json(text, kGolden);
  EXPECT_TRUE(json.ok()) << json.error().message();
  return json.ok() ? json.value() : Json();
}

void expect_equal(const Json& mine, const Json& wanted, const std::string& where) {
  if (wanted.is_object()) {
    ASSERT_TRUE(mine.is_object()) << where;
    EXPECT_EQ(mine.size(), wanted.size()) << where << ": " << dump_json(mine);
    for (const auto& [key, value] : wanted.items()) {
      ASSERT_TRUE(mine.contains(key)) << where << "." << key;
      expect_equal(mine.at(key), value, where + "." + key);
    }
  } else if (wanted.is_array()) {
    ASSERT_EQ(mine.size(), wanted.size()) << where;
    for (size_t i = 0; i < wanted.size(); ++i) expect_equal(mine[i], wanted[i], concat(where, "[", i, "]"));
  } else if (wanted.is_number()) {
    ASSERT_TRUE(mine.is_number()) << where << ": " << dump_json(mine);
    const double value = wanted.get<double>();
    EXPECT_NEAR(mine.get<double>(), value, kTolerance * std::max(1.0, std::abs(value))) << where;
  } else {
    EXPECT_EQ(mine, wanted) << where;
  }
}

Result<PredictionMetrics> metrics_of(const Json& test) {
  const Json& expected = test.at("expected");
  const std::string kind = expected.at("kind").get<std::string>();
  if (kind == "regression") {
    return regression_metrics(test.at("scores").get<std::vector<double>>(),
                              test.at("labels").get<std::vector<double>>(), expected.at("outputs").get<int64_t>());
  }
  const auto scores = test.at("scores").get<std::vector<float>>();
  if (kind == "multi_label") {
    return multi_label_metrics(scores, test.at("labels").get<std::vector<uint8_t>>(),
                               expected.at("labels").get<int64_t>(), test.at("threshold").get<float>());
  }
  return classification_metrics(scores, test.at("labels").get<std::vector<int32_t>>(),
                                expected.at("classes").get<int64_t>());
}

TEST(PredictionMetrics, EqualScikitLearn) {
  const Json golden = read_golden();
  ASSERT_TRUE(golden.contains("cases"));
  size_t kinds[3] = {};
  for (const Json& test : golden.at("cases")) {
    const std::string name =
        test.at("expected").at("kind").get<std::string>() + ", " + test.at("name").get<std::string>();
    const auto metrics = metrics_of(test);
    ASSERT_TRUE(metrics.ok()) << name << ": " << metrics.error().message();
    expect_equal(prediction_metrics_json(*metrics), test.at("expected"), name);
    ++kinds[static_cast<int>(metrics->kind)];
  }
  for (const size_t count : kinds) EXPECT_GE(count, 7u);
}

// ---- Properties, on random input ---------------------------------------------------------------------------------

constexpr uint64_t kSeed = 20260102;

double uniform(uint64_t stream, uint64_t index) {
  return unit_float(random_word(philox_key(kSeed, Purpose::kTest), stream, 0, static_cast<uint32_t>(index)));
}

struct Ranked {
  std::vector<uint8_t> truth;
  std::vector<double> scores;
};

// Scores in eighths, so that many are tied.
Ranked ranked(uint64_t stream) {
  Ranked out;
  for (uint64_t i = 0; i < 200; ++i) {
    out.truth.push_back(uniform(stream, 2 * i) < 0.3);
    out.scores.push_back(std::floor(8 * uniform(stream, 2 * i + 1) + 3 * out.truth.back()) / 8);
  }
  return out;
}

TEST(PredictionMetrics, RocAucCountsPairs) {
  const Ranked rows = ranked(1);
  double right = 0, pairs = 0;
  for (size_t p = 0; p < rows.truth.size(); ++p) {
    for (size_t n = 0; n < rows.truth.size(); ++n) {
      if (rows.truth[p] == 0 || rows.truth[n] != 0) continue;
      ++pairs;
      right += rows.scores[p] > rows.scores[n] ? 1 : rows.scores[p] == rows.scores[n] ? 0.5 : 0;
    }
  }
  EXPECT_DOUBLE_EQ(roc_auc(rows.truth, rows.scores), right / pairs);
}

TEST(PredictionMetrics, RankingsSeeOnlyTheOrder) {
  const Ranked rows = ranked(2);
  std::vector<double> stretched, negated;
  for (const double score : rows.scores) {
    stretched.push_back(std::exp(5 * score));
    negated.push_back(-score);
  }
  EXPECT_EQ(roc_auc(rows.truth, rows.scores), roc_auc(rows.truth, stretched));
  EXPECT_EQ(average_precision(rows.truth, rows.scores), average_precision(rows.truth, stretched));
  EXPECT_NEAR(roc_auc(rows.truth, negated), 1 - roc_auc(rows.truth, rows.scores), 1e-15);
  EXPECT_EQ(spearman(rows.scores, stretched), 1);
  EXPECT_EQ(spearman(rows.scores, negated), -1);
}

TEST(PredictionMetrics, DecisionsDoNotDependOnTheNamesOfClasses) {
  std::vector<int32_t> truth, predicted, renamed_truth, renamed_predicted;
  const int32_t names[] = {3, 0, 4, 1, 2};
  for (uint64_t i = 0; i < 300; ++i) {
    truth.push_back(static_cast<int32_t>(5 * uniform(3, 2 * i)));
    predicted.push_back(uniform(4, i) < 0.5 ? truth.back() : static_cast<int32_t>(5 * uniform(3, 2 * i + 1)));
    renamed_truth.push_back(names[truth.back()]);
    renamed_predicted.push_back(names[predicted.back()]);
  }
  const Confusion one = confusion_matrix(truth, predicted, 5),
                  other = confusion_matrix(renamed_truth, renamed_predicted, 5);
  EXPECT_EQ(accuracy(one), accuracy(other));
  EXPECT_NEAR(matthews_correlation(one), matthews_correlation(other), 1e-15);
  EXPECT_NEAR(macro_precision_recall(one).f1, macro_precision_recall(other).f1, 1e-15);
  EXPECT_EQ(precision_recall(one, 2).recall, precision_recall(other, 4).recall);
  // A class that nobody has and nobody predicts changes nothing.
  const Confusion wider = confusion_matrix(truth, predicted, 9);
  EXPECT_EQ(macro_precision_recall(wider).f1, macro_precision_recall(one).f1);
  EXPECT_EQ(matthews_correlation(wider), matthews_correlation(one));
}

TEST(PredictionMetrics, SoftmaxKeepsTies) {
  const std::vector<float> logits = {0.3f, -1.7f, 2.1f, 2.1f, 0.3f, -1.7f, -1.7f, 2.1f, 0.3f};
  const std::vector<double> p = softmax_rows(logits, 3);
  EXPECT_EQ(p[0], p[4]);
  EXPECT_EQ(p[4], p[8]);
  EXPECT_EQ(p[1], p[5]);
  EXPECT_EQ(p[2], p[7]);
  EXPECT_NEAR(p[0] + p[1] + p[2], 1, 1e-15);
}

TEST(PredictionMetrics, EveryNameHasAValue) {
  const auto metrics = multi_label_metrics(std::vector<float>{1, -1, 2, -2}, std::vector<uint8_t>{1, 0, 0, 1}, 2);
  ASSERT_TRUE(metrics.ok()) << metrics.error().message();
  const Json json = prediction_metrics_json(*metrics);
  for (const std::string& name : metric_names(PredictionKind::kMultiLabel)) {
    ASSERT_TRUE(metric_value(*metrics, name).has_value()) << name;
    EXPECT_TRUE(json.contains(name)) << name;
  }
  EXPECT_EQ(metric_value(*metrics, "exact_match"), 0.5);
  EXPECT_FALSE(metric_value(*metrics, "pearson").has_value());
  EXPECT_TRUE(smaller_is_better("mae"));
  EXPECT_FALSE(smaller_is_better("mcc"));
}

template <class T>
std::string refusal(const Result<T>& result) {
  if (result.ok()) return "accepted";
  EXPECT_EQ(result.error().code(), ErrorCode::kBadInput);
  return result.error().message();
}

TEST(PredictionMetrics, BadInputNamesTheRow) {
  const std::vector<float> logits = {0, 1, 2, 3, 4, 5};
  const auto contains = [](const std::string& text, const char* part) { return text.find(part) != std::string::npos; };
  EXPECT_PRED2(contains, refusal(classification_metrics(logits, std::vector<int32_t>{0, 1, 2}, 2)), "row 2");
  EXPECT_PRED2(contains, refusal(classification_metrics(logits, std::vector<int32_t>{0, -1, 1}, 2)), "found -1");
  EXPECT_PRED2(contains, refusal(classification_metrics(logits, std::vector<int32_t>{0, 1}, 2)), "need 3 labels");
  EXPECT_PRED2(contains, refusal(classification_metrics({}, {}, 2)), "no rows");
  const std::vector<float> diverged = {0, 1, 2, std::nanf("")};
  EXPECT_PRED2(contains, refusal(classification_metrics(diverged, std::vector<int32_t>{0, 1}, 2)), "row 1, output 1");
  EXPECT_PRED2(contains, refusal(multi_label_metrics(logits, std::vector<uint8_t>{0, 1, 0, 1, 2, 1}, 3)),
               "row 1, label 1");
  const std::vector<double> values = {1, 2, 3, INFINITY};
  EXPECT_PRED2(contains, refusal(regression_metrics(std::vector<double>{1, 2, 3, 4}, values, 2)), "row 1, output 1");
}

}  // namespace
}  // namespace strand
