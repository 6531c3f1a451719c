// Gangs, exclusions and stragglers by themselves.
#include "coordinator/gang.h"

#include <gtest/gtest.h>

#include <deque>
#include <random>
#include <set>

#include "coordinator/accusations.h"
#include "coordinator/retry.h"
#include "coordinator/straggler.h"
#include "shared/base/text.h"

namespace strand {
namespace {

using std::chrono::seconds;

Time at(int64_t s) {
  return Time{} + seconds(s);
}

// Workers 1, 2, ... with an endpoint each.
class Workers {
 public:
  WorkerEntry& add(const std::string& host, uint64_t memory = 0) {
    WorkerEntry& entry = entries_.emplace_back();
    entry.id = WorkerId{entries_.size()};
    entry.incarnation = Incarnation{100 + entries_.size()};
    entry.hello.host = host;
    entry.hello.memory_bytes = memory;
    entry.hello.endpoint = concat("tcp://", host, ":", entries_.size());
    return entry;
  }
  WorkerEntry& operator[](size_t id) { return entries_[id - 1]; }
  size_t size() const { return entries_.size(); }
  std::vector<Candidate> candidates(const GangNeed& need, const std::set<uint64_t>& without = {}) const {
    std::vector<Candidate> list;
    for (const WorkerEntry& entry : entries_) {
      if (!without.contains(entry.id.value)) list.push_back({&entry, fitness_of(entry, need), 0});
    }
    order_candidates(&list);
    return list;
  }

 private:
  std::deque<WorkerEntry> entries_;
};

void expect_whole(const GangNeed& need, const std::vector<GroupMember>& group) {
  std::set<WorkerId> workers;
  for (size_t i = 0; i < group.size(); ++i) {
    EXPECT_EQ(group[i].replica, static_cast<int32_t>(i / static_cast<size_t>(need.stages)));
    EXPECT_EQ(group[i].stage, static_cast<int32_t>(i % static_cast<size_t>(need.stages)));
    EXPECT_TRUE(workers.insert(group[i].worker).second) << "a worker twice";
    EXPECT_FALSE(group[i].endpoint.empty());
  }
  EXPECT_EQ(group.size() % static_cast<size_t>(need.stages), 0u);
  EXPECT_LE(static_cast<int64_t>(group.size()), need.workers());
}

TEST(Gang, WholeReplicasOrNothing) {
  for (int64_t stages = 1; stages <= 4; ++stages) {
    for (int64_t wanted = 1; wanted <= 4; ++wanted) {
      for (int64_t fewest = 1; fewest <= wanted; ++fewest) {
        Workers workers;
        const GangNeed need{wanted, fewest, stages, 0, ""};
        for (int64_t count = 0; count <= 18; ++count) {
          const auto group = form_group(need, {}, workers.candidates(need));
          const int64_t possible = std::min(wanted, count / stages);
          EXPECT_EQ(static_cast<int64_t>(group.size()), possible < fewest ? 0 : possible * stages);
          expect_whole(need, group);
          workers.add("host");
        }
      }
    }
  }
}

// Whoever dies, complete replicas stay as they are, and as many whole ones as possible are made of the rest.
TEST(Gang, CompleteReplicasAreNotDisturbed) {
  std::mt19937 random(1);
  for (int round = 0; round < 2000; ++round) {
    const GangNeed need{1 + static_cast<int64_t>(random() % 4), 1, 1 + static_cast<int64_t>(random() % 4), 0, ""};
    Workers workers;
    const auto all = static_cast<size_t>(need.workers()) + random() % 5;
    for (size_t i = 0; i < all; ++i) workers.add(concat("host", random() % 3));
    const auto before = form_group(need, {}, workers.candidates(need));
    std::set<uint64_t> dead;
    for (uint64_t id = 1; id <= all; ++id) {
      if (random() % 4 == 0) dead.insert(id);
    }
    const auto after = form_group(need, before, workers.candidates(need, dead));
    expect_whole(need, after);
    const auto alive = [&](const GroupMember& m) { return !dead.contains(m.worker.value); };
    const auto possible = std::min<int64_t>(need.replicas, static_cast<int64_t>(all - dead.size()) / need.stages);
    EXPECT_EQ(static_cast<int64_t>(after.size()), possible * need.stages);
    std::set<std::set<uint64_t>> kept;
    for (size_t i = 0; i < after.size(); i += static_cast<size_t>(need.stages)) {
      std::set<uint64_t> replica;
      for (size_t s = 0; s < static_cast<size_t>(need.stages); ++s) replica.insert(after[i + s].worker.value);
      kept.insert(replica);
    }
    for (size_t i = 0; i < before.size(); i += static_cast<size_t>(need.stages)) {
      std::set<uint64_t> replica;
      bool complete = true;
      for (size_t s = 0; s < static_cast<size_t>(need.stages); ++s) {
        replica.insert(before[i + s].worker.value);
        complete = complete && alive(before[i + s]);
      }
      EXPECT_EQ(complete && !kept.contains(replica), false) << "a complete replica was torn apart";
    }
    EXPECT_LE(every_stage_lives(before, need.stages, alive) ? 1 : 0, possible);
  }
}

// 2 x 2, one stage of each replica dead: the two others make one replica, each at the stage it holds.
TEST(Gang, TheRestOfBrokenReplicasKeepTheirStages) {
  Workers workers;
  for (int i = 0; i < 4; ++i) workers.add("host");
  const GangNeed need{2, 1, 2, 0, ""};
  const auto before = form_group(need, {}, workers.candidates(need));
  const auto after =
      form_group(need, before, workers.candidates(need, {before[0].worker.value, before[3].worker.value}));
  ASSERT_EQ(after.size(), 2u);
  EXPECT_EQ(after[0].worker, before[2].worker);
  EXPECT_EQ(after[1].worker, before[1].worker);
}

TEST(Gang, AReplicaLiesOnAsFewMachinesAsCanBe) {
  Workers workers;
  for (int i = 0; i < 6; ++i) workers.add(i % 2 == 0 ? "a" : "b");
  const GangNeed need{2, 1, 3, 0, ""};
  const auto group = form_group(need, {}, workers.candidates(need));
  ASSERT_EQ(group.size(), 6u);
  for (const GroupMember& m : group) EXPECT_EQ(workers[m.worker.value].hello.host, m.replica == 0 ? "a" : "b");
}

TEST(Gang, SaysWhatItWaitsFor) {
  Workers workers;
  for (int i = 0; i < 3; ++i) workers.add("a", uint64_t{16} << 30);
  workers.add("b", uint64_t{8} << 30);
  const GangNeed need{2, 2, 2, uint64_t{12} << 30, ""};
  auto candidates = workers.candidates(need);
  EXPECT_TRUE(form_group(need, {}, candidates).empty());
  EXPECT_EQ(waiting_text(need, candidates),
            "waits for 4 workers: 3 are free, 1 too small (needs 12.0 GiB, has 8.0 GiB)");
  candidates[0].fitness = Fitness::kBusy;
  const GangNeed elastic{2, 1, 2, uint64_t{12} << 30, ""};
  EXPECT_EQ(waiting_text(elastic, candidates),
            "waits for 4 workers (2 at least): 2 are free, 1 busy with another job, 1 too small (needs 12.0 GiB, has "
            "8.0 GiB)");
}

TEST(Gang, NumericsAndEndpointsMatterWhereTheyDo) {
  Workers workers;
  workers.add("a").hello.numerics = "cpu=zen5";
  workers.add("a").hello.endpoint.clear();
  EXPECT_EQ(fitness_of(workers[1], {1, 1, 1, 0, "cpu=zen4"}), Fitness::kOtherNumerics);
  EXPECT_EQ(fitness_of(workers[2], {1, 1, 1, 0, ""}), Fitness::kUsable) << "alone it needs to be reached by nobody";
  EXPECT_EQ(fitness_of(workers[2], {1, 1, 2, 0, ""}), Fitness::kUnreachable);
}

TEST(Exclusions, AWorkerForAWhileAHostAfterTwiceAsMany) {
  Exclusions exclusions(seconds(60), seconds(60));
  const WorkerId worker{1};
  for (size_t i = 0; i < Exclusions::kFailures; ++i) {
    EXPECT_FALSE(exclusions.excluded(worker, "a", at(10)));
    exclusions.failed(worker, "a", at(10));
  }
  EXPECT_TRUE(exclusions.excluded(worker, "a", at(11)));
  EXPECT_FALSE(exclusions.excluded(WorkerId{2}, "a", at(11)));
  for (size_t i = 0; i < Exclusions::kFailures; ++i) exclusions.failed(WorkerId{3}, "a", at(20));
  EXPECT_TRUE(exclusions.excluded(WorkerId{2}, "a", at(21))) << "the machine itself";
  EXPECT_FALSE(exclusions.excluded(WorkerId{2}, "b", at(21)));
  EXPECT_FALSE(exclusions.excluded(worker, "a", at(70))) << "for a while only";
  exclusions.leave_out(WorkerId{4}, at(30));
  EXPECT_TRUE(exclusions.excluded(WorkerId{4}, "c", at(89)));
  EXPECT_FALSE(exclusions.excluded(WorkerId{4}, "c", at(90)));
  exclusions.leave_out(WorkerId{4}, at(100));
  EXPECT_TRUE(exclusions.excluded(WorkerId{4}, "c", at(219))) << "twice as long, soon after";
  EXPECT_FALSE(exclusions.excluded(WorkerId{4}, "c", at(220)));
  exclusions.leave_out(WorkerId{4}, at(220 + 75));
  EXPECT_TRUE(exclusions.excluded(WorkerId{4}, "c", at(295 + 239))) << "cut off all the time, found out after 75 s";
  exclusions.leave_out(WorkerId{4}, at(535 + 8 * 240 + 1));
  EXPECT_FALSE(exclusions.excluded(WorkerId{4}, "c", at(2456 + 60))) << "it had been well for long";
  exclusions.bar(worker, Incarnation{5});
  EXPECT_TRUE(exclusions.barred(worker, Incarnation{5}));
  EXPECT_FALSE(exclusions.barred(worker, Incarnation{6})) << "another process may be started right";
}

TEST(Accusations, TheOneWithMostBrokenLinksGoes) {
  const WorkerId a{1}, b{2}, c{3}, d{4};
  const std::vector<SuspectedMember> all = {{a}, {b}, {c}, {d}};
  EXPECT_EQ(choose_cut_off({}, all), WorkerId{0});
  EXPECT_EQ(choose_cut_off({{a, {WorkerId{9}}}, {b, {b}}}, all), WorkerId{0}) << "strangers and oneself do not count";
  EXPECT_EQ(choose_cut_off({{a, {c}}, {c, {a}}}, all), c) << "one link: the last of the two";
  // All wait for `a`, which adds the norm and waits for `c` alone: the link between them is broken.
  EXPECT_EQ(choose_cut_off({{a, {c}}, {b, {a}}, {c, {a}}, {d, {a}}}, all), c);
  // `a` is cut off from everybody.
  EXPECT_EQ(choose_cut_off({{a, {b, c, d}}, {b, {a}}, {c, {a}}, {d, {a}}}, all), a);
  // Nobody answers for `b`, which waits for nobody: it hangs.
  EXPECT_EQ(choose_cut_off({{a, {b}}, {c, {a}}, {d, {a}}}, all), b);
  // `a` is cut off from two, and the first to notice.
  EXPECT_EQ(choose_cut_off({{a, {b, c}}}, all), a);
  EXPECT_EQ(choose_cut_off({{a, {b, c}}, {b, {a}}}, all), a);
  EXPECT_EQ(choose_cut_off({{c, {a, b}}, {b, {c}}}, all), c);
  // Two hang; one of them goes, not who waits for them.
  EXPECT_EQ(choose_cut_off({{a, {c, d}}, {b, {c, d}}}, all), d);
}

// Who has just come, or was cut off before, takes the blame: those who are left hold what the job has come to.
TEST(Accusations, WhoIsInDoubtGoes) {
  const WorkerId a{1}, b{2}, c{3};
  for (const Accusations& heard : std::vector<Accusations>{{{a, {b}}}, {{b, {a}}}, {{a, {b}}, {b, {a}}}}) {
    EXPECT_EQ(choose_cut_off(heard, {{a, 1}, {b}, {c}}), a);
    EXPECT_EQ(choose_cut_off(heard, {{a}, {b, 1}, {c}}), b);
    EXPECT_EQ(choose_cut_off(heard, {{a, 1}, {b, 2}, {c}}), b);
  }
  EXPECT_EQ(choose_cut_off({{b, {a, c}}, {a, {b}}}, {{a, 1}, {b}, {c, 1}}), c) << "one after the other";
  EXPECT_EQ(choose_cut_off({{a, {b}}}, {{a}, {b}, {c, 1}}), b) << "no doubt of somebody else";
}

// Whatever is accused, one of those between whom something is wrong goes.
TEST(Accusations, NobodyElseGoes) {
  std::mt19937_64 random(7);
  for (int trial = 0; trial < 2000; ++trial) {
    Accusations accusations;
    std::vector<SuspectedMember> all;
    for (uint64_t id = 1; id <= 4; ++id) all.push_back({WorkerId{id}, static_cast<int>(random() % 3 / 2)});
    std::set<WorkerId> concerned;
    for (const SuspectedMember& who : all) {
      for (const SuspectedMember& whom : all) {
        if (random() % 4 != 0) continue;
        accusations[who.worker].push_back(whom.worker);
        if (who.worker != whom.worker) concerned.insert({who.worker, whom.worker});
      }
    }
    const WorkerId chosen = choose_cut_off(accusations, all);
    EXPECT_TRUE(concerned.empty() ? chosen == WorkerId{0} : concerned.contains(chosen)) << trial;
  }
}

TEST(Stragglers, AreNamedAgainstTheMedianOfTheOthers) {
  const auto of = [](const std::vector<int64_t>& times) {
    std::vector<WorkTime> list;
    for (size_t i = 0; i < times.size(); ++i) list.push_back({WorkerId{i + 1}, times[i]});
    std::vector<uint64_t> named;
    for (const Straggler& slow : find_stragglers(list)) named.push_back(slow.worker.value);
    return named;
  };
  EXPECT_TRUE(of({}).empty());
  EXPECT_TRUE(of({100}).empty()) << "nobody to compare with";
  EXPECT_TRUE(of({100, 0}).empty()) << "not known";
  EXPECT_TRUE(of({100, 110, 120, 149}).empty());
  EXPECT_EQ(of({100, 300}), std::vector<uint64_t>{2});
  EXPECT_EQ(of({100, 110, 300, 90}), std::vector<uint64_t>{3});
  EXPECT_EQ(of({100, 500, 300, 90, 110}), (std::vector<uint64_t>{2, 3})) << "the slowest first";
  EXPECT_EQ(find_stragglers({{WorkerId{1}, 100}, {WorkerId{2}, 300}, {WorkerId{3}, 110}}).front().others, 100);
}

// Four lanes over three equal machines are dealt 2, 1, 1; stages never do the same work.
TEST(Stragglers, AreComparedLaneByLaneWithinTheirStage) {
  const WorkerId a{1}, b{2}, c{3}, d{4}, e{5}, f{6};
  EXPECT_TRUE(find_stragglers({{a, 200, 0, 2}, {b, 100, 0, 1}, {c, 104, 0, 1}}).empty());
  const std::vector<WorkTime> two_stages = {{a, 200, 0, 2}, {b, 900, 1, 2}, {c, 100, 0, 1}, {d, 460, 1, 1}};
  EXPECT_TRUE(find_stragglers(two_stages).empty());
  auto slow = find_stragglers({{a, 330, 0, 2}, {b, 100, 0, 1}, {c, 100, 0, 1}});
  ASSERT_EQ(slow.size(), 1u);
  EXPECT_EQ(slow[0].worker, a);
  EXPECT_EQ(slow[0].nanoseconds, 330);
  EXPECT_EQ(slow[0].others, 200) << "for two lanes";
  slow = find_stragglers({{a, 200, 0, 1}, {b, 100, 0, 1}, {c, 100, 0, 1}, {d, 90, 1, 1}, {e, 30, 1, 1}, {f, 30, 1, 1}});
  ASSERT_EQ(slow.size(), 2u);
  EXPECT_EQ(slow[0].worker, d) << "three times its stage, before twice";
  EXPECT_EQ(slow[1].worker, a);
  EXPECT_TRUE(find_stragglers({{a, 100, 0, 1}, {b, 900, 1, 1}}).empty()) << "nobody else is at that stage";
}

}  // namespace
}  // namespace strand
