// Markov baselines against a brute-force implementation over maps of strings.
#include "dataserver/markov/markov.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <string>

#include "tests/support/genome_file.h"

namespace strand {
namespace {

using Bases = std::vector<uint8_t>;

std::vector<std::span<const uint8_t>> spans(const std::vector<Bases>& runs) {
  return {runs.begin(), runs.end()};
}

Bases reverse_complement(const Bases& run) {
  Bases other;
  for (auto base = run.rbegin(); base != run.rend(); ++base) other.push_back(static_cast<uint8_t>(3 - *base));
  return other;
}

// The definition, spelled out: counts of (context, next base) by order, then one prediction a base.
double brute_force(const std::vector<Bases>& training, const std::vector<Bases>& held_out, int order) {
  std::map<std::string, std::array<double, 4>> counts;
  const auto count = [&](const Bases& run) {
    for (size_t i = 0; i < run.size(); ++i) {
      for (size_t k = 0; k <= std::min<size_t>(i, static_cast<size_t>(order)); ++k) {
        counts[std::string(run.begin() + static_cast<std::ptrdiff_t>(i - k),
                           run.begin() + static_cast<std::ptrdiff_t>(i))][run[i]] += 1;
      }
    }
  };
  for (const Bases& run : training) count(run), count(reverse_complement(run));
  double bits = 0, bases = 0;
  for (const Bases& run : held_out) {
    for (size_t i = 0; i < run.size(); ++i, ++bases) {
      const size_t k = std::min<size_t>(i, static_cast<size_t>(order));
      const auto& four = counts[std::string(run.begin() + static_cast<std::ptrdiff_t>(i - k),
                                            run.begin() + static_cast<std::ptrdiff_t>(i))];
      const double total = four[0] + four[1] + four[2] + four[3] + 4 * kMarkovPseudocount;
      bits -= std::log2((four[run[i]] + kMarkovPseudocount) / total);
    }
  }
  return bits / bases;
}

// Runs of the given lengths in which a base often repeats the third before it, so that orders differ.
std::vector<Bases> random_runs(std::mt19937* random, const std::vector<size_t>& lengths) {
  std::vector<Bases> runs;
  for (const size_t length : lengths) {
    Bases run;
    for (size_t i = 0; i < length; ++i) {
      run.push_back(i >= 3 && (*random)() % 4 != 0 ? run[i - 3] : static_cast<uint8_t>((*random)() % 4));
    }
    runs.push_back(std::move(run));
  }
  return runs;
}

TEST(Markov, EqualsBruteForceInEveryOrder) {
  std::mt19937 random(11);  // seed 11
  const std::vector<Bases> training = random_runs(&random, {500, 1, 13, 0, 200, 7});
  const std::vector<Bases> held_out = random_runs(&random, {100, 3, 1, 0, 14});
  const MarkovReport report = markov_baseline(spans(training), spans(held_out));
  EXPECT_EQ(report.training_bases, 721u);
  EXPECT_EQ(report.held_out_bases, 118u);
  for (int order = 0; order < kMarkovOrders; ++order) {
    EXPECT_NEAR(report.bits[static_cast<size_t>(order)], brute_force(training, held_out, order), 1e-12) << order;
  }
  const auto best = std::min_element(report.bits.begin(), report.bits.end()) - report.bits.begin();
  EXPECT_EQ(report.best_order, best);
}

// Enough bases that the table of every possible word is used in middle orders, where a few are not.
TEST(Markov, TablesAndSortedWordsCountAlike) {
  std::mt19937 random(12);  // seed 12
  const std::vector<Bases> training = random_runs(&random, {30'000});
  const std::vector<Bases> held_out = random_runs(&random, {300});
  const MarkovReport report = markov_baseline(spans(training), spans(held_out));
  for (const int order : {3, 8, 9, 12}) {
    EXPECT_NEAR(report.bits[static_cast<size_t>(order)], brute_force(training, held_out, order), 1e-12) << order;
  }
}

TEST(Markov, StrandsAreAlike) {
  std::mt19937 random(13);  // seed 13
  const std::vector<Bases> training = random_runs(&random, {400, 90});
  const std::vector<Bases> turned = {reverse_complement(training[0]), reverse_complement(training[1])};
  const std::vector<Bases> held_out = random_runs(&random, {80});
  EXPECT_EQ(markov_baseline(spans(training), spans(held_out)).bits,
            markov_baseline(spans(turned), spans(held_out)).bits);
}

TEST(Markov, WithoutTrainingEveryBaseCostsTwoBits) {
  const std::vector<Bases> held_out = {{0, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
  const MarkovReport report = markov_baseline({}, spans(held_out));
  for (const double bits : report.bits) EXPECT_DOUBLE_EQ(bits, 2.0);
  EXPECT_EQ(report.best_order, 0);
}

TEST(Markov, WithoutHeldOutBasesThereIsNoAnswer) {
  const std::vector<Bases> training = {{0, 1, 2, 3}};
  const MarkovReport report = markov_baseline(spans(training), {});
  EXPECT_EQ(report.best_order, -1);
  for (const double bits : report.bits) EXPECT_TRUE(std::isnan(bits));
}

// The figure that README and docs compare a model with.
TEST(Markov, EColi) {
  Bases genome;
  for (const char letter : read_genome_file(kBundledGenome)) {
    genome.push_back(static_cast<uint8_t>(std::string_view("ACGT").find(letter)));
  }
  if (genome.empty()) GTEST_SKIP() << kBundledGenome << " is absent";
  ASSERT_EQ(genome.size(), 4'641'652u);
  const std::span<const uint8_t> all(genome);
  const size_t held_out = all.size() / 20;
  const MarkovReport report = markov_baseline({all.first(all.size() - held_out)}, {all.last(held_out)});
  EXPECT_EQ(report.best_order, 7);
  EXPECT_NEAR(report.bits[7], 1.93599, 1e-5);
  EXPECT_NEAR(report.bits[0], 1.99999, 1e-5);
}

TEST(MarkovDeathTest, ACodeBeyondThreeIsADefect) {
  const std::vector<Bases> training = {{0, 1, 4, 3}};
  EXPECT_DEATH(markov_baseline(spans(training), {}), "code 0 to 3");
}

}  // namespace
}  // namespace strand
