// The leak report finds what was planted and nothing else.
#include "dataserver/leaks/leaks.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>

#include "dataserver/corpus/alphabet.h"
#include "dataserver/leaks/kmers.h"
#include "shared/base/text.h"
#include "tests/unit/dataserver/genomes.h"

namespace strand {
namespace {

using testing::keep_going;
using testing::random_letters;

std::string other_strand(std::string bases) {
  reverse_complement(&bases);
  return bases;
}

using Visit = std::function<Status(NamedSequence)>;
using GoOn = std::function<bool(double)>;

LeakParty party_of(const std::string& name, const std::vector<std::string>& sequences) {
  return {name, [sequences](const Visit& visit, const GoOn& go_on) -> Status {
            for (size_t i = 0; i < sequences.size(); ++i) {
              STRAND_TRY(visit({concat(i + 1), static_cast<int64_t>(i + 2), sequences[i]}));
              if (!go_on(1)) return Error(ErrorCode::kStopped, "stopped");
            }
            return {};
          }};
}

LeakReport leaks_of(std::vector<LeakParty> parties, const LeakOptions& options = {}) {
  auto report = find_leaks(std::move(parties), options, keep_going);
  EXPECT_TRUE(report.ok()) << report.error().message();
  return report.ok() ? *std::move(report) : LeakReport();
}

// All that a report says, for comparing two.
std::string text_of(const LeakReport& report) {
  std::string text;
  for (const LeakPartySummary& p : report.parties) {
    text += concat(p.name, " ", p.rows, " ", p.distinct, " ", p.bases, " ", p.without_kmers, "\n");
  }
  for (const LeakPair& pair : report.pairs) {
    text += concat(pair.first, " ", pair.second, " ", pair.shared_first, " ", pair.shared_second, " ", pair.near_first,
                   " ", pair.near_second, "\n");
    for (const SharedSequence& s : pair.shared) {
      for (const auto* rows : {&s.first, &s.second}) {
        for (const LeakRow& row : *rows) text += concat(row.row, ",", row.name, " ");
        text += "| ";
      }
      text += concat(s.bases, s.reversed, "\n");
    }
    for (const NearSequences& n : pair.near) {
      text += concat(n.first.row, "~", n.second.row, " ", n.shared, "/", n.of, n.estimated, "\n");
    }
  }
  return text;
}

// By definition: every distinct canonical k-mer as text, sorted.
std::vector<std::string> kmers_by_definition(const std::string& bases) {
  std::vector<std::string> kmers;
  for (size_t at = 0; at + kLeakKmer <= bases.size(); ++at) {
    const std::string kmer = bases.substr(at, kLeakKmer);
    if (kmer.find('N') == std::string::npos) kmers.push_back(std::min(kmer, other_strand(kmer)));
  }
  std::sort(kmers.begin(), kmers.end());
  kmers.erase(std::unique(kmers.begin(), kmers.end()), kmers.end());
  return kmers;
}

double containment_by_definition(const std::vector<std::string>& x, const std::vector<std::string>& y) {
  if (x.size() > y.size()) return containment_by_definition(y, x);
  size_t shared = 0;
  for (const std::string& kmer : x) shared += std::binary_search(y.begin(), y.end(), kmer) ? 1 : 0;
  return x.empty() ? 0 : static_cast<double>(shared) / static_cast<double>(x.size());
}

std::string mutated(std::mt19937_64* random, std::string bases, int changes) {
  for (int i = 0; i < changes; ++i) {
    char& base = bases[(*random)() % bases.size()];
    base = kBaseLetters[(base_code(base) + 1 + (*random)() % 3) % 4];
  }
  return bases;
}

TEST(Kmers, AreThoseOfTheDefinitionOnBothStrands) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 50; ++round) {
    const std::string bases = random_letters(&random, random() % 300, "ACGTACGTACGTACGTACGTACGTN");
    const Sketch sketch = sketch_of(bases, 16);
    EXPECT_TRUE(sketch.whole);
    EXPECT_EQ(sketch.names.size(), kmers_by_definition(bases).size()) << bases;
    EXPECT_EQ(sketch.names, sketch_of(other_strand(bases), 16).names);
  }
}

TEST(Kmers, ASketchIsTheSmallestNamesOfALongSequence) {
  std::mt19937_64 random(2);
  const std::string bases = random_letters(&random, 40000, "ACGT");
  const Sketch all = sketch_of(bases, 1), some = sketch_of(bases, 20);
  EXPECT_FALSE(all.whole);
  EXPECT_EQ(all.names.size(), kmers_by_definition(bases).size());
  std::vector<uint64_t> expected;
  for (const uint64_t name : all.names) {
    if (name <= UINT64_MAX / 20) expected.push_back(name);
  }
  EXPECT_EQ(some.names, expected);
  EXPECT_NEAR(static_cast<double>(some.names.size()), 2000, 250);
  // Of a repeat there are few k-mers, however long it is.
  std::string repeat;
  for (int i = 0; i < 3000; ++i) repeat += "ACGTTGCAAGTC";
  EXPECT_TRUE(sketch_of(repeat, 20).whole);
}

TEST(Leaks, FindsPlantedDuplicatesOfBothStrandsAndNoOthers) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    std::mt19937_64 random(seed);
    std::vector<std::string> train, test;
    for (int i = 0; i < 120; ++i) train.push_back(random_letters(&random, 10 + random() % 150, "ACGT"));
    for (int i = 0; i < 60; ++i) test.push_back(random_letters(&random, 10 + random() % 150, "ACGT"));
    for (size_t i = 0; i < 7; ++i) test.push_back(i % 2 == 0 ? train[3 * i] : other_strand(train[3 * i]));
    test.push_back(train[0]);   // a second row of the same sequence
    train.push_back(train[6]);  // and one here
    const LeakReport report = leaks_of({party_of("a", train), party_of("b", test)});
    ASSERT_EQ(report.pairs.size(), 1u);
    const LeakPair& pair = report.pairs[0];
    ASSERT_EQ(pair.shared.size(), 7u) << "seed " << seed;
    EXPECT_EQ(pair.shared_first, 8u);
    EXPECT_EQ(pair.shared_second, 8u);
    EXPECT_TRUE(pair.near.empty()) << "seed " << seed;
    for (size_t i = 0; i < 7; ++i) {
      const SharedSequence& shared = pair.shared[i];
      EXPECT_EQ(shared.first[0].row, 3 * i + 1);
      EXPECT_EQ(shared.first[0].line, static_cast<int64_t>(3 * i + 2));
      EXPECT_EQ(shared.second[0].row, 61 + i);
      const std::string& sequence = train[3 * i];
      EXPECT_EQ(shared.bases, sequence.size());
      EXPECT_EQ(shared.reversed, i % 2 == 1 && sequence != other_strand(sequence));
    }
    EXPECT_EQ(report.parties[0].rows, 121u);
    EXPECT_EQ(report.parties[0].distinct, 120u);
  }
}

// Whatever two sequences' digests are, only equal letters make them the same.
TEST(Leaks, DigestsThatAgreeAreComparedByLetters) {
  std::mt19937_64 random(3);
  std::vector<std::string> train, test;
  for (int i = 0; i < 40; ++i) train.push_back(random_letters(&random, 5 + random() % 60, "ACGT"));
  for (int i = 0; i < 40; ++i)
    test.push_back(i % 4 == 0 ? train[i] : random_letters(&random, 5 + random() % 60, "ACGT"));
  LeakOptions colliding;
  colliding.digest = [](std::string_view text) { return Digest128{0, text.size() % 3}; };
  EXPECT_EQ(text_of(leaks_of({party_of("a", train), party_of("b", test)}, colliding)),
            text_of(leaks_of({party_of("a", train), party_of("b", test)})));
}

// The pairs are exactly those whose containment, by definition, reaches the threshold.
TEST(Leaks, NearPairsAreThoseOfTheDefinition) {
  size_t found = 0;
  for (uint64_t seed = 0; seed < 12; ++seed) {
    std::mt19937_64 random(seed);
    LeakOptions options;
    options.threshold = std::vector<double>{0.8, 0.5, 0.95, 1.0}[seed % 4];
    std::vector<std::string> sequences[2];
    for (auto& side : sequences) {
      for (int i = 0; i < 12; ++i) side.push_back(random_letters(&random, 60 + random() % 400, "ACGT"));
      for (int i = 0; i < 3; ++i) side.push_back(std::string(80 + random() % 20, 'A') + side[static_cast<size_t>(i)]);
    }
    for (int i = 0; i < 12; ++i) {
      const std::string source = sequences[0][random() % 12];
      const size_t begin = random() % 20;
      std::string copy =
          mutated(&random, source.substr(begin, source.size() - begin - random() % 20), static_cast<int>(random() % 5));
      sequences[1].push_back(random() % 2 == 0 ? copy : other_strand(copy));
    }
    std::vector<std::vector<std::string>> kmers[2];
    for (size_t side = 0; side < 2; ++side) {
      for (const std::string& bases : sequences[side]) kmers[side].push_back(kmers_by_definition(bases));
    }
    const LeakReport report = leaks_of({party_of("a", sequences[0]), party_of("b", sequences[1])}, options);
    std::set<std::pair<uint64_t, uint64_t>> pairs;
    for (const NearSequences& near : report.pairs[0].near) {
      pairs.emplace(near.first.row - 1, near.second.row - 1);
      EXPECT_DOUBLE_EQ(near.containment(),
                       containment_by_definition(kmers[0][near.first.row - 1], kmers[1][near.second.row - 1]));
      EXPECT_FALSE(near.estimated);
    }
    EXPECT_EQ(pairs.size(), report.pairs[0].near.size());
    for (uint64_t a = 0; a < sequences[0].size(); ++a) {
      for (uint64_t b = 0; b < sequences[1].size(); ++b) {
        const std::string &x = sequences[0][a], &y = sequences[1][b];
        const bool same = x == y || x == other_strand(y);
        const bool near = !same && containment_by_definition(kmers[0][a], kmers[1][b]) >= options.threshold;
        EXPECT_EQ(pairs.count({a, b}) != 0, near) << "seed " << seed << ": " << a << " " << b;
        found += near ? 1 : 0;
      }
    }
  }
  EXPECT_GT(found, 50u);
}

// Pieces of a long sequence are found in it exactly, on both strands, wherever they lie.
TEST(Leaks, ShortSequencesAreFoundWithinLongOnes) {
  std::mt19937_64 random(4);
  const std::string genome = random_letters(&random, 100000, "ACGT");
  const auto kmers = kmers_by_definition(genome);
  std::vector<std::string> pieces;
  std::vector<double> expected;
  for (int i = 0; i < 30; ++i) {
    std::string piece = mutated(&random, genome.substr(random() % 99000, 600), i % 6);
    expected.push_back(containment_by_definition(kmers_by_definition(piece), kmers));
    pieces.push_back(i % 2 == 0 ? piece : other_strand(piece));
  }
  for (int i = 0; i < 30; ++i) pieces.push_back(random_letters(&random, 600, "ACGT"));
  const LeakReport report = leaks_of({party_of("genome", {genome}), party_of("pieces", pieces)});
  std::vector<double> found(pieces.size());
  for (const NearSequences& near : report.pairs[0].near) {
    EXPECT_EQ(near.first.row, 1u);
    found[near.second.row - 1] = near.containment();
  }
  size_t planted = 0;
  for (size_t i = 0; i < pieces.size(); ++i) {
    const double wanted = i < expected.size() && expected[i] >= 0.8 ? expected[i] : 0;
    EXPECT_DOUBLE_EQ(found[i], wanted) << i;
    planted += wanted > 0 ? 1 : 0;
  }
  EXPECT_GE(planted, 20u);
}

// Long copies at a known containment: the estimate is within four standard errors, and random ones are not found.
TEST(Leaks, LongCopiesAreFoundByTheirSketches) {
  std::mt19937_64 random(5);
  std::vector<std::string> train, test;
  for (int i = 0; i < 10; ++i) train.push_back(random_letters(&random, 20000, "ACGT"));
  for (int i = 0; i < 10; ++i) {
    const std::string half = train[static_cast<size_t>(i)].substr(0, 18000);
    test.push_back(i < 5 ? other_strand(mutated(&random, half, 40)) : random_letters(&random, 20000, "ACGT"));
  }
  const LeakReport report = leaks_of({party_of("a", train), party_of("b", test)});
  ASSERT_EQ(report.pairs[0].near.size(), 5u);
  for (const NearSequences& near : report.pairs[0].near) {
    EXPECT_EQ(near.first.row, near.second.row);
    EXPECT_TRUE(near.estimated);
    const double c = containment_by_definition(kmers_by_definition(train[near.first.row - 1]),
                                               kmers_by_definition(test[near.second.row - 1]));
    EXPECT_NEAR(near.containment(), c, 4 * std::sqrt(c * (1 - c) * 16 / 18000)) << c;
  }
}

TEST(Leaks, RandomDataIsClean) {
  for (uint64_t seed = 0; seed < 5; ++seed) {
    std::mt19937_64 random(seed);
    std::vector<std::string> sides[2];
    for (auto& side : sides) {
      for (int i = 0; i < 300; ++i) side.push_back(random_letters(&random, 40 + random() % 2000, "ACGT"));
    }
    EXPECT_TRUE(leaks_of({party_of("a", sides[0]), party_of("b", sides[1])}).pairs[0].clean()) << "seed " << seed;
  }
}

TEST(Leaks, TheOrderOfThePartiesDoesNotMatter) {
  std::mt19937_64 random(6);
  std::vector<std::vector<std::string>> sides(4);
  std::vector<std::string> pool;
  for (int i = 0; i < 40; ++i) pool.push_back(random_letters(&random, 30 + random() % 3000, "ACGT"));
  for (auto& side : sides) {
    for (int i = 0; i < 30; ++i) side.push_back(mutated(&random, pool[random() % 40], static_cast<int>(random() % 3)));
  }
  std::vector<size_t> order = {0, 1, 2, 3};
  std::string first;
  do {
    std::vector<LeakParty> parties;
    for (const size_t i : order) parties.push_back(party_of(concat("p", i), sides[i]));
    const std::string text = text_of(leaks_of(std::move(parties)));
    if (first.empty()) first = text;
    ASSERT_EQ(text, first);
  } while (std::next_permutation(order.begin(), order.end()));
  EXPECT_NE(first.find('~'), std::string::npos);
}

TEST(Leaks, RefusesWhatCannotBeCompared) {
  const auto refused = [](std::vector<LeakParty> parties, const LeakOptions& options, const std::string& says) {
    const auto report = find_leaks(std::move(parties), options, keep_going);
    ASSERT_FALSE(report.ok()) << says;
    EXPECT_EQ(report.error().code(), ErrorCode::kBadInput);
    EXPECT_NE(report.error().message().find(says), std::string::npos) << report.error().message();
  };
  const LeakParty a = party_of("a", {"ACGT"}), b = party_of("b", {"ACGT"});
  refused({a}, {}, "found 1");
  refused({a, a}, {}, "given twice");
  LeakOptions options;
  options.threshold = 0;
  refused({a, b}, options, "more than 0");
  options = {};
  options.scale = 0;
  refused({a, b}, options, "at least 1");
  int readings = 0;
  const LeakParty changing = {"c", [&](const Visit& visit, const GoOn&) {
                                return visit({"1", 1, readings++ == 0 ? "ACGTA" : "TTTTT"});
                              }};
  refused({a, changing}, {}, "changed while");
  const auto stopped = find_leaks({a, b}, {}, [](double) { return false; });
  ASSERT_FALSE(stopped.ok());
  EXPECT_EQ(stopped.error().code(), ErrorCode::kStopped);
}

// The published benchmark's promoter sets share sequences between their splits.
class GueLeaks : public ::testing::Test {
 protected:
  static std::string table(const std::string& set, const std::string& split) {
    return concat("../shared/data/gue/prom/", set, "/", split, ".csv.xz");
  }
  // Distinct shared sequences, and rows of `b` with one.
  static std::pair<size_t, uint64_t> shared(const std::string& a, const std::string& b) {
    const auto read = [](const std::string& path) {
      return LeakParty{path, [path](const Visit& visit, const GoOn& go_on) {
                         return read_sequences(SequenceFile{path}, visit, go_on);
                       }};
    };
    const LeakReport report = leaks_of({read(a), read(b)});
    if (report.pairs.empty()) return {};
    const LeakPair& pair = report.pairs[0];
    return {pair.shared.size(), pair.first == b ? pair.shared_first : pair.shared_second};
  }
};

TEST_F(GueLeaks, AreFoundInThePromoterSets) {
  const std::string train = table("prom_core_all", "train"), dev = table("prom_core_all", "dev");
  const std::string test = table("prom_core_all", "test"), tata = table("prom_300_tata", "train");
  for (const std::string& needed : {train, tata}) {
    if (!std::filesystem::exists(needed)) GTEST_SKIP() << needed << " is not here";
  }
  EXPECT_EQ(shared(train, test), std::pair(size_t{42}, uint64_t{43}));
  EXPECT_EQ(shared(train, dev), std::pair(size_t{54}, uint64_t{54}));
  EXPECT_EQ(shared(dev, test).first, 8u);
  EXPECT_EQ(shared(tata, table("prom_300_tata", "test")).first, 6u);
  EXPECT_EQ(shared(tata, table("prom_300_tata", "dev")).first, 14u);
}

}  // namespace
}  // namespace strand
