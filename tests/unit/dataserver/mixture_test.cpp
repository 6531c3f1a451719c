#include "dataserver/sampler/mixture.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <set>

#include "dataserver/sampler/sampler.h"

namespace strand {
namespace {

uint64_t sum_of(const std::vector<uint32_t>& shares) {
  return std::accumulate(shares.begin(), shares.end(), uint64_t{0});
}

Mixture one_phase(const std::vector<double>& weights) {
  const auto shares = whole_shares(weights);
  EXPECT_TRUE(shares.ok());
  return Mixture({MixturePhase{0, *shares}});
}

// Weights of all kinds: few and many sources, equal ones, one that dwarfs the others, steps of ten.
std::vector<double> random_weights(uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<double> weights;
  const uint64_t levels = 1 + random() % 4;
  for (uint64_t level = 0; level < levels; ++level) {
    const double weight = std::pow(10, level) * (seed % 2 == 0 ? 1.0 : 1.0 + static_cast<double>(random() % 997) / 991);
    for (uint64_t i = 1 + random() % 20; i > 0; --i) weights.push_back(weight);
  }
  return weights;
}

TEST(Mixture, NoSourceIsEverAWholeRowFromItsShare) {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    const std::vector<double> weights = random_weights(seed);
    const Mixture mixture = one_phase(weights);
    const std::vector<uint32_t>& shares = mixture.phases().front().shares;
    const double period = static_cast<double>(sum_of(shares));
    std::vector<uint64_t> counts(weights.size(), 0);
    for (uint64_t n = 0; n < 3000; ++n) {
      const Mixture::Drawn drawn = mixture.at(n);
      ASSERT_EQ(drawn.index, counts[drawn.source]++) << "seed " << seed << " row " << n;
      if (n % 97 == 0) {
        ASSERT_EQ(mixture.counts(n + 1), counts) << "seed " << seed;
      }
      for (size_t i = 0; i < counts.size(); ++i) {
        const double share = static_cast<double>(shares[i]) / period * static_cast<double>(n + 1);
        ASSERT_LT(std::fabs(static_cast<double>(counts[i]) - share), 1) << "seed " << seed << " row " << n;
      }
    }
  }
}

// Far beyond what could be walked to: the count of any source, and the source of any row, from its number alone.
TEST(Mixture, RowsInAnyOrderAndAnywhere) {
  const Mixture mixture = one_phase({0.2, 0.31, 0.17, 4.4});
  const double sum = 0.2 + 0.31 + 0.17 + 4.4;
  for (const uint64_t n : {uint64_t{10'000'000'000}, uint64_t{1} << 50, uint64_t{999'999'999'999}}) {
    const std::vector<uint64_t> counts = mixture.counts(n);
    EXPECT_EQ(std::accumulate(counts.begin(), counts.end(), uint64_t{0}), n);
    EXPECT_NEAR(static_cast<double>(counts[3]) / static_cast<double>(n), 4.4 / sum, 1.0 / kLongestPeriod);
    const Mixture::Drawn drawn = mixture.at(n);
    EXPECT_EQ(drawn.index, counts[drawn.source]);
    EXPECT_EQ(mixture.counts(n + 1)[drawn.source], drawn.index + 1);
  }
}

TEST(Mixture, WeightsThatAreWholeInAShortPeriodAreExact) {
  EXPECT_EQ(whole_shares({3, 1}).value(), (std::vector<uint32_t>{3, 1}));
  EXPECT_EQ(whole_shares({0.5, 0.25, 0.25}).value(), (std::vector<uint32_t>{2, 1, 1}));
  EXPECT_EQ(whole_shares({0.1, 0.2, 0.7}).value(), (std::vector<uint32_t>{1, 2, 7}));
  EXPECT_EQ(whole_shares({0, 5}).value(), (std::vector<uint32_t>{0, 1}));
  EXPECT_EQ(whole_shares({1e-300, 3e-300}).value(), (std::vector<uint32_t>{1, 3}));
  const std::vector<uint32_t> irrational = whole_shares({std::sqrt(2), 1, 3.14159}).value();
  EXPECT_EQ(sum_of(irrational), kLongestPeriod);
  EXPECT_NEAR(irrational[0], kLongestPeriod * std::sqrt(2) / (std::sqrt(2) + 4.14159), 1);
  const auto tiny = whole_shares({1, 1e-6});
  ASSERT_FALSE(tiny.ok());
  EXPECT_NE(tiny.error().message().find("less than 1 in 65536"), std::string::npos) << tiny.error().message();
}

// Other weights from some row on: what comes before is as if nobody knew of them, each source goes on where it was.
TEST(Mixture, NewWeightsLeaveEarlierRowsAlone) {
  const MixturePhase first{0, {3, 1, 0}}, second{1001, {1, 1, 2}}, third{1500, {0, 0, 1}};
  const Mixture alone({first}), both({first, second}), all({first, second, third});
  std::vector<uint64_t> counts(3, 0);
  for (uint64_t n = 0; n < 3000; ++n) {
    const Mixture::Drawn drawn = all.at(n);
    ASSERT_EQ(drawn.index, counts[drawn.source]++) << n;
    if (n < 1001) {
      ASSERT_EQ(drawn.source, alone.at(n).source);
      ASSERT_EQ(drawn.index, alone.at(n).index);
    }
    if (n < 1500) {
      ASSERT_EQ(drawn.source, both.at(n).source);
      ASSERT_EQ(drawn.index, both.at(n).index);
    }
    if (n >= 1500) {
      ASSERT_EQ(drawn.source, 2u);
    }
  }
  EXPECT_EQ(all.counts(3000), counts);
}

// Every window of a source comes once in each of its passes, whatever it is mixed with.
TEST(RowOrder, EachSourceKeepsAnOrderOfItsOwn) {
  const std::vector<OrderedSource> sources = {{"a", 0, 300}, {"b", 300, 70}, {"c", 370, 1}};
  const RowOrder mixed(sources, Mixture({MixturePhase{0, {2, 5, 1}}, MixturePhase{777, {1, 1, 1}}}), true, 10);
  const RowOrder of_b({{"b", 0, 70}}, Mixture({MixturePhase{0, {1}}}), true);
  EXPECT_EQ(mixed.segments(), 371u);
  std::vector<std::multiset<uint64_t>> windows(3);
  std::vector<uint64_t> counts(3, 0);
  std::set<int64_t> shifts;
  int reversed = 0;
  for (uint64_t n = 0; n < 4000; ++n) {
    const SampledRow row = mixed.row(7, n);
    const OrderedSource& source = sources[row.source];
    const uint64_t index = counts[row.source]++;
    ASSERT_GE(row.window, source.first);
    ASSERT_LT(row.window, source.first + source.segments);
    ASSERT_EQ(row.pass, index / source.segments);
    ASSERT_EQ(row.position, index % source.segments);
    if (row.source == 1) {
      ASSERT_EQ(row.window - 300, of_b.row(7, index).window);
    }
    if (row.pass < 2) windows[row.source].insert(row.window);
    shifts.insert(row.shift);
    reversed += row.reverse_complement ? 1 : 0;
  }
  for (size_t i = 0; i < 3; ++i) {
    ASSERT_EQ(windows[i].size(), 2 * sources[i].segments);
    for (uint64_t w = 0; w < sources[i].segments; ++w) ASSERT_EQ(windows[i].count(sources[i].first + w), 2u);
  }
  EXPECT_EQ(shifts.size(), 10u);
  EXPECT_EQ(*shifts.rbegin(), 9);
  EXPECT_NEAR(reversed, 2000, 200);
}

TEST(RowOrder, OneSourceIsWhatItWasBeforeThereWereSeveral) {
  const RowOrder order(4001, true);
  for (uint64_t n = 0; n < 9000; n += 7) {
    const SampledRow one = order.row(11, n), plain = sample_row(11, 4001, true, n);
    ASSERT_EQ(one.window, plain.window);
    ASSERT_EQ(one.pass, plain.pass);
    ASSERT_EQ(one.reverse_complement, plain.reverse_complement);
    ASSERT_EQ(one.shift, 0);
  }
}

}  // namespace
}  // namespace strand
