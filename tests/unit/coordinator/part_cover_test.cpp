// The parts of a checkpoint: when they are complete, and what they make together.
#include "coordinator/part_cover.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <random>
#include <set>

#include "coordinator/checkpoint_catalog.h"
#include "shared/base/text.h"
#include "shared/plan/block_table.h"

namespace strand {
namespace {

using Random = std::mt19937_64;

std::vector<ParameterInfo> table() {
  std::vector<ParameterInfo> result;
  int64_t first = 0;
  for (const int64_t elements : {200000, 10, 65536, 300000, 7}) {
    ParameterInfo tensor;
    tensor.name = concat("tensor", result.size());
    tensor.shape = {elements};
    tensor.first_element = first;
    tensor.elements = elements;
    first += elements;
    result.push_back(tensor);
  }
  return result;
}

Digest128 digest_of(size_t block, size_t array) {
  return {block + 1, array};
}

// The blocks dealt to so many parts, in runs or one by one.
std::vector<PartSaved> random_parts(Random& random, size_t count) {
  const BlockTable blocks(table());
  std::vector<PartSaved> parts(count);
  for (size_t p = 0; p < count; ++p) {
    parts[p].file = concat("step-5/g1-r", p, "-s0");
    parts[p].next_row = 64;
  }
  size_t owner = random() % count;
  for (size_t b = 0; b < blocks.size(); ++b) {
    if (random() % 3 == 0) owner = random() % count;
    std::vector<KeyRange>& ranges = parts[owner].ranges;
    const bool joins = random() % 2 == 0 && !ranges.empty() &&
                       ranges.back().first_element + ranges.back().elements == blocks[b].first_element;
    if (joins) {
      ranges.back().elements += blocks[b].elements;
    } else {
      ranges.push_back({blocks[b].first_element, blocks[b].elements});
    }
    for (size_t a = 0; a < 3; ++a) parts[owner].block_digests.push_back(digest_of(b, a));
  }
  return parts;
}

std::string refusal(const std::vector<PartSaved>& parts) {
  const auto digests = digests_of_parts(table(), parts, 5);
  if (digests.ok()) return "";
  EXPECT_EQ(digests.error().code(), ErrorCode::kCorrupt);
  return digests.error().message();
}

TEST(PartCover, AnyCutGivesTheDigestsOfTheWhole) {
  Random random(1);
  std::vector<Digest128> blocks;
  for (size_t b = 0; b < BlockTable(table()).size(); ++b) {
    for (size_t a = 0; a < 3; ++a) blocks.push_back(digest_of(b, a));
  }
  const ModelDigests whole = digests_of_state(table(), blocks, 5, 64);
  for (int trial = 0; trial < 200; ++trial) {
    std::vector<PartSaved> parts = random_parts(random, 1 + random() % 6);
    const auto digests = digests_of_parts(table(), parts, 5);
    ASSERT_TRUE(digests.ok()) << digests.error().message();
    EXPECT_EQ(digests->digest, whole.digest);
    EXPECT_EQ(digests->state_digest, whole.state_digest);
    EXPECT_NE(digests_of_parts(table(), parts, 6)->state_digest, whole.state_digest);
    PartSaved& changed = parts[random() % parts.size()];
    if (changed.block_digests.empty()) continue;
    const size_t at = random() % changed.block_digests.size();
    ++changed.block_digests[at].low;
    EXPECT_NE(digests_of_parts(table(), parts, 5)->state_digest, whole.state_digest);
    EXPECT_EQ(digests_of_parts(table(), parts, 5)->digest == whole.digest, at % 3 != 0) << "of the weights alone";
  }
}

TEST(PartCover, AHoleAnOverlapAndACutWithinABlockAreRefused) {
  Random random(2);
  for (int trial = 0; trial < 200; ++trial) {
    const std::vector<PartSaved> good = random_parts(random, 2 + random() % 4);
    const size_t p = random() % good.size();
    if (good[p].ranges.empty()) continue;
    const size_t r = random() % good[p].ranges.size();
    std::vector<PartSaved> bad = good;
    bad[p].block_digests.clear();
    EXPECT_NE(refusal(bad).find("neither its digests"), std::string::npos) << refusal(bad);
    bad[p].ranges.erase(bad[p].ranges.begin() + static_cast<std::ptrdiff_t>(r));
    EXPECT_NE(refusal(bad).find("are in none"), std::string::npos) << refusal(bad);
    bad = good;
    bad[(p + 1) % bad.size()].ranges.push_back(good[p].ranges[r]);
    bad[(p + 1) % bad.size()].block_digests.clear();
    EXPECT_NE(refusal(bad).find("are in step-5/"), std::string::npos) << refusal(bad);
    bad = good;
    bad[p].ranges.push_back(good[p].ranges[r]);
    EXPECT_NE(refusal(bad).find("are in step-5/"), std::string::npos) << "twice in one part";
    bad = good;
    --bad[p].ranges[r].elements;
    EXPECT_NE(refusal(bad).find("not whole blocks"), std::string::npos) << refusal(bad);
    bad = good;
    bad[p].block_digests.pop_back();
    EXPECT_NE(refusal(bad).find("digests, its ranges have"), std::string::npos) << refusal(bad);
  }
  EXPECT_NE(refusal({}), "");
}

// --- complete only with everybody -----------------------------------------------------------------------------------

using Add = std::function<bool(CheckpointCatalog&, Generation, WorkerId, const PartSaved&)>;

bool add(CheckpointCatalog& catalog, Generation generation, WorkerId from, const PartSaved& part) {
  return catalog.add_part(generation, 5, from, part) == CheckpointCatalog::Part::kComplete;
}

// How often a manifest would have been written although a member of its generation had not reported its part, and how
// often not although all had.
struct Outcome {
  int early = 0, late = 0;
};

// Reports of the members of three generations, of strangers, doubled and in any order, while generations begin.
Outcome report_parts(uint64_t seed, const Add& add_part) {
  Random random(seed);
  CheckpointCatalog catalog;
  Outcome outcome;
  std::vector<std::pair<Generation, WorkerId>> stale;
  for (uint64_t g = 1; g <= 3; ++g) {
    std::set<WorkerId> members;
    for (uint64_t left = 1 + random() % 5; left > 0; --left) members.insert(WorkerId{1 + random() % 8});
    catalog.expect(Generation{g}, members);
    std::vector<std::pair<Generation, WorkerId>> reports = stale;
    for (const WorkerId member : members) {
      for (uint64_t times = 1 + random() % 3; times > 0; --times) reports.push_back({Generation{g}, member});
    }
    reports.push_back({Generation{g}, WorkerId{99}});
    std::shuffle(reports.begin(), reports.end(), random);
    stale.insert(stale.end(), reports.begin(), reports.begin() + static_cast<std::ptrdiff_t>(reports.size() / 2));
    // Another generation may come before the last of them.
    if (g < 3) reports.resize(random() % (reports.size() + 1));
    std::set<WorkerId> reported;
    for (const auto& [generation, worker] : reports) {
      PartSaved part;
      part.file = concat("step-5/g", generation.value, "-r", worker.value, "-s0");
      if (generation == Generation{g} && members.contains(worker)) reported.insert(worker);
      const bool complete = add_part(catalog, generation, worker, part);
      const bool counts = generation == Generation{g} && members.contains(worker);
      outcome.early += complete && reported != members;
      outcome.late += !complete && counts && reported == members;
    }
  }
  return outcome;
}

TEST(PartCover, CompleteExactlyWithEveryMemberOfTheGeneration) {
  for (uint64_t seed = 1; seed <= 2000; ++seed) {
    const Outcome outcome = report_parts(seed, add);
    ASSERT_EQ(outcome.early, 0) << "seed " << seed;
    ASSERT_EQ(outcome.late, 0) << "seed " << seed;
  }
}

// The checker itself: coordinators that write a manifest before a part are found out.
TEST(PartCover, AManifestBeforeAPartIsFound) {
  std::map<uint64_t, size_t> counts;
  const Add closed_on_a_count = [&](CheckpointCatalog& catalog, Generation generation, WorkerId from,
                                    const PartSaved& part) {
    return add(catalog, generation, from, part) || ++counts[generation.value] == 3;
  };
  const Add any_generation = [](CheckpointCatalog& catalog, Generation, WorkerId from, const PartSaved& part) {
    for (uint64_t g = 1; g <= 3; ++g) {
      if (add(catalog, Generation{g}, from, part)) return true;
    }
    return false;
  };
  for (const Add& planted : {closed_on_a_count, any_generation}) {
    uint64_t found = 0;
    for (uint64_t seed = 1; seed <= 1000 && found == 0; ++seed) {
      counts.clear();
      if (report_parts(seed, planted).early > 0) found = seed;
    }
    EXPECT_GT(found, 0u) << "went through a thousand seeds";
  }
}

}  // namespace
}  // namespace strand
