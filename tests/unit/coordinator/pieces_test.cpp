// The pieces of the core by themselves, and what it does with the disk.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <set>
#include <sstream>

#include "coordinator/checkpoint_catalog.h"
#include "coordinator/client/commands.h"
#include "coordinator/failure_detector.h"
#include "coordinator/job.h"
#include "coordinator/job_progress.h"
#include "coordinator/job_queue.h"
#include "coordinator/membership.h"
#include "coordinator/retry.h"
#include "coordinator/run_directory.h"
#include "shared/base/text.h"

namespace strand {
namespace {

using std::chrono::seconds;
namespace stdfs = std::filesystem;

Time at(int64_t s) {
  return Time{} + seconds(s);
}

TEST(JobStates, NothingLeavesDoneOrCancelled) {
  for (int to = 0; to < kJobStates; ++to) {
    EXPECT_FALSE(transition_is_legal(JobState::kDone, static_cast<JobState>(to)));
    EXPECT_FALSE(transition_is_legal(JobState::kCancelled, static_cast<JobState>(to)));
  }
}

TEST(JobStates, EveryStateCanStillReachDoneUnlessItIsFinal) {
  // Reachability over the table: no state is a trap but the final ones.
  for (int from = 0; from < kJobStates; ++from) {
    std::set<int> reached = {from};
    for (bool grew = true; grew;) {
      grew = false;
      for (int a = 0; a < kJobStates; ++a) {
        for (int b = 0; b < kJobStates; ++b) {
          if (!reached.contains(a) || !transition_is_legal(static_cast<JobState>(a), static_cast<JobState>(b)))
            continue;
          grew = reached.insert(b).second || grew;
        }
      }
    }
    const bool trapped = static_cast<JobState>(from) == JobState::kCancelled;
    EXPECT_EQ(reached.contains(static_cast<int>(JobState::kDone)), !trapped) << time_slot_name(from);
  }
}

JobRecord sample_record() {
  JobRecord record;
  record.id = JobId{7};
  record.name = "genome \"x\"";
  record.toml = "a = 1\n";
  record.state = JobState::kTraining;
  record.generation = Generation{3};
  record.members = {{WorkerId{~0ull}, Incarnation{1234567890123456789ull}, 1, 2, "tcp://a:1"}};
  record.leaving = {{WorkerId{3}, Incarnation{4}, 0, 1, ""}};
  record.seconds[2] = 1.5;
  record.result = JobFinished{};
  record.result->digest = {~0ull, 1};
  record.result->bits_per_base = 1.9053111;
  record.result->train_loss = std::numeric_limits<double>::quiet_NaN();
  record.result->best = {"mcc", 40, 0.875, 2, 60};
  record.result->dev = "{\"mcc\":0.875}";
  return record;
}

TEST(JobRecord, ReadsBackAsItWasWritten) {
  const std::string text = encode_job_record(sample_record());
  const auto read = decode_job_record(text);
  ASSERT_TRUE(read.ok()) << read.error().message();
  EXPECT_EQ(encode_job_record(*read), text);
  EXPECT_EQ(read->members, sample_record().members);
  EXPECT_EQ(read->leaving, sample_record().leaving);
  EXPECT_EQ(read->result->bits_per_base, 1.9053111);
  EXPECT_TRUE(std::isnan(read->result->train_loss));
  EXPECT_EQ(read->result->best, sample_record().result->best);
  EXPECT_EQ(read->result->dev, sample_record().result->dev);
}

TEST(JobRecord, RefusesANewerVersionAndDamage) {
  std::string text = encode_job_record(sample_record());
  const auto newer = decode_job_record("{\"version\":3" + text.substr(text.find(',')));
  ASSERT_FALSE(newer.ok());
  EXPECT_EQ(newer.error().code(), ErrorCode::kBadInput);
  for (size_t cut = 0; cut < text.size(); cut += 7) EXPECT_FALSE(decode_job_record(text.substr(0, cut)).ok()) << cut;
}

// Written by a program that knew one worker: members without places, seconds by number.
TEST(JobRecord, ReadsVersion1) {
  Json json = *parse_json(encode_job_record(sample_record()), "record");
  json["version"] = 1;
  json.erase("leaving");
  json["members"] = {{7, 8}};
  json["seconds"] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
  const auto read = decode_job_record(dump_json(json));
  ASSERT_TRUE(read.ok()) << read.error().message();
  EXPECT_EQ(read->members, (std::vector<GroupMember>{{WorkerId{7}, Incarnation{8}, 0, 0, ""}}));
  EXPECT_EQ(read->seconds[static_cast<size_t>(JobState::kTraining)], 3);
  EXPECT_EQ(read->seconds[static_cast<size_t>(JobState::kStopping)], 4);
  EXPECT_EQ(read->seconds[static_cast<size_t>(JobState::kRecovering)], 0);
  EXPECT_EQ(read->seconds[kUnattended], 10);
}

TEST(Queue, PriorityThenOrderAndBackOffHoldsUpNobody) {
  const std::vector<QueuedJob> jobs = {
      {JobId{1}, 0, at(0), 1}, {JobId{2}, 5, at(0), 1}, {JobId{3}, 5, at(0), 1}, {JobId{4}, 9, at(10), 1}};
  std::vector<uint64_t> order;
  for (const QueuedJob& job : queue_order(jobs, at(1))) order.push_back(job.id.value);
  EXPECT_EQ(order, (std::vector<uint64_t>{2, 3, 1}));
  EXPECT_EQ(next_ready(jobs, at(1), at(99)), at(10));
  EXPECT_EQ(queue_order(jobs, at(10)).front().id.value, 4u);
}

TEST(FailureDetector, SuspectsAfterOneLeaseAndForgivesItsOwnSleep) {
  FailureDetector detector(seconds(6));
  detector.heard(WorkerId{1}, at(0));
  for (int s = 0; s <= 6; s += 2) EXPECT_TRUE(detector.expired(at(s)).empty()) << s;
  EXPECT_EQ(detector.expired(at(7)), std::vector<WorkerId>{WorkerId{1}});
  EXPECT_TRUE(detector.expired(at(8)).empty()) << "said once";

  detector.heard(WorkerId{2}, at(8));
  EXPECT_TRUE(detector.expired(at(100)).empty()) << "we slept; its messages are still unread";
  detector.heard(WorkerId{2}, at(100));
  EXPECT_TRUE(detector.expired(at(102)).empty());
}

TEST(Retry, GivesUpOnlyWithoutProgress) {
  const BackOff back_off{seconds(1), seconds(30)};
  int64_t attempts = 0;
  for (int restart = 0; restart < 3; ++restart) {
    const auto decision = decide_retry(attempts, 3, false, back_off);
    EXPECT_TRUE(decision.again);
    EXPECT_EQ(decision.wait, seconds(1 << restart));
    attempts = decision.attempts;
  }
  EXPECT_FALSE(decide_retry(attempts, 3, false, back_off).again);
  EXPECT_TRUE(decide_retry(attempts, 3, true, back_off).again);
  EXPECT_EQ(decide_retry(50, 1000, false, back_off).wait, seconds(30));
  EXPECT_EQ(classify_failure(ErrorCode::kBadInput), FailureClass::kNever);
  EXPECT_EQ(classify_failure(ErrorCode::kCorrupt), FailureClass::kReload);
  EXPECT_EQ(classify_failure(ErrorCode::kDeadline), FailureClass::kHere);
  EXPECT_EQ(classify_failure(ErrorCode::kInternal), FailureClass::kElsewhere);
}

TEST(Membership, AnOlderProcessNeverReplacesANewerOne) {
  Membership members;
  Header header;
  header.sender = WorkerId{1};
  header.incarnation = Incarnation{5};
  EXPECT_EQ(members.hello("a", header, {}, at(0)), Membership::Join::kNew);
  EXPECT_EQ(members.hello("a", header, {}, at(0)), Membership::Join::kSame);
  header.incarnation = Incarnation{4};
  EXPECT_EQ(members.hello("b", header, {}, at(0)), Membership::Join::kOutdated);
  EXPECT_EQ(members.find(WorkerId{1})->peer, "a");
  header.incarnation = Incarnation{6};
  EXPECT_EQ(members.hello("c", header, {}, at(0)), Membership::Join::kReplaced);
  EXPECT_EQ(members.find(WorkerId{1}, Incarnation{5}), nullptr);
  EXPECT_EQ(fingerprint_difference("cpu=zen5 onednn=2.6", "cpu=zen5 onednn=3.1"), "onednn=2.6 -> onednn=3.1");
}

PartSaved part_of(Step step, uint64_t generation, const std::string& range) {
  PartSaved part;
  part.file = concat("step-", step, "/g", generation, "-", range);
  part.bytes = 10;
  part.checksum = {1, static_cast<uint64_t>(step)};
  part.state_digest = {2, static_cast<uint64_t>(step)};
  return part;
}

void commit(CheckpointCatalog& catalog, Step step, CheckpointState state) {
  CheckpointEntry entry;
  entry.step = step;
  entry.generation = Generation{1};
  catalog.commit(entry);
  catalog.mark(step, state, "");
}

TEST(Catalog, CompleteOnlyWithEveryMemberOfOneGeneration) {
  CheckpointCatalog catalog;
  using Part = CheckpointCatalog::Part;
  const WorkerId a{7}, b{8};
  catalog.expect(Generation{1}, {a, b});
  EXPECT_EQ(catalog.add_part(Generation{1}, 5, a, part_of(5, 1, "a")), Part::kWaiting);
  EXPECT_EQ(catalog.add_part(Generation{1}, 5, a, part_of(5, 1, "a")), Part::kWaiting) << "a repeat is not a member";
  EXPECT_EQ(catalog.add_part(Generation{1}, 5, a, part_of(5, 1, "b")), Part::kContradiction) << "two parts of one";
  EXPECT_EQ(catalog.add_part(Generation{1}, 5, b, part_of(5, 1, "a")), Part::kContradiction) << "one part of two";
  EXPECT_EQ(catalog.add_part(Generation{1}, 5, WorkerId{9}, part_of(5, 1, "b")), Part::kUnexpected);
  catalog.expect(Generation{2}, {a, b});
  EXPECT_EQ(catalog.add_part(Generation{1}, 5, b, part_of(5, 1, "b")), Part::kUnexpected)
      << "of a generation left behind";
  EXPECT_EQ(catalog.add_part(Generation{2}, 5, b, part_of(5, 2, "b")), Part::kWaiting) << "generations do not mix";
  PartSaved other = part_of(5, 2, "a");
  other.state_digest = {9, 9};
  EXPECT_EQ(catalog.add_part(Generation{2}, 5, a, other), Part::kContradiction);
  other.state_digest = {};  // does not know it
  other.digest = {4, 4};
  EXPECT_EQ(catalog.add_part(Generation{2}, 5, a, other), Part::kComplete);
  EXPECT_EQ(catalog.parts(5).size(), 2u);
  EXPECT_EQ(catalog.merged(5).state_digest, part_of(5, 2, "a").state_digest);
  EXPECT_EQ(catalog.merged(5).digest, other.digest);
}

TEST(Catalog, RetentionCountsVerifiedOnesAndNeverDeletesTheNewest) {
  for (int64_t keep = 0; keep <= 4; ++keep) {
    for (unsigned pattern = 0; pattern < 3 * 3 * 3 * 3 * 3; ++pattern) {
      CheckpointCatalog catalog;
      unsigned rest = pattern;
      for (Step step = 1; step <= 5; ++step, rest /= 3) commit(catalog, step, static_cast<CheckpointState>(rest % 3));
      int64_t verified = 0;
      for (const Step step : catalog.removable(keep)) {
        EXPECT_NE(step, 5);
        if (catalog.newest()) {
          EXPECT_NE(step, catalog.newest()->step);
        }
        catalog.remove(step);
      }
      for (const auto& [step, entry] : catalog.entries()) verified += entry.state == CheckpointState::kVerified;
      EXPECT_LE(verified, std::max<int64_t>(keep, 1));
      EXPECT_TRUE(catalog.removable(keep).empty());
    }
  }
}

// Steps 1 to 20 of a finetuning run, the best at 3 until 12 is better: what a kept checkpoint names is there to be
// chosen, whichever of them a run goes on from.
TEST(Catalog, TheBestOfWhatIsKeptIsKept) {
  CheckpointCatalog catalog;
  for (Step step = 1; step <= 20; ++step) {
    CheckpointEntry entry;
    entry.step = step;
    entry.best = {"mcc", step < 3 ? 1 : step < 12 ? 3 : 12, 0.5, 0, step};
    catalog.commit(entry);
    catalog.mark(step, CheckpointState::kVerified, "");
    for (const Step old : catalog.removable(2)) catalog.remove(old);
    for (const auto& [kept, found] : catalog.entries()) {
      if (kept + 1 < step) continue;  // an old best, itself kept for another's sake
      EXPECT_NE(catalog.find(found.best.step), nullptr) << kept << " at " << step;
    }
    EXPECT_LE(catalog.entries().size(), 4u);
  }
  EXPECT_EQ(catalog.loadable(), (std::vector<Step>{20, 19, 12}));
}

TEST(Catalog, DamagedOnesAreNotLoaded) {
  CheckpointCatalog catalog;
  commit(catalog, 10, CheckpointState::kVerified);
  commit(catalog, 20, CheckpointState::kPresent);
  commit(catalog, 30, CheckpointState::kDamaged);
  EXPECT_EQ(catalog.loadable(), (std::vector<Step>{20, 10}));
  EXPECT_EQ(catalog.newest()->step, 20);
}

TEST(Catalog, AStepWrittenAgainKeepsWhatIsKnownOfIt) {
  CheckpointCatalog catalog;
  commit(catalog, 7, CheckpointState::kVerified);
  catalog.set_totals(7, 3.5, 70);
  CheckpointEntry again;
  again.step = 7;
  again.generation = Generation{3};
  catalog.commit(again);
  EXPECT_EQ(catalog.find(7)->generation, Generation{3});
  EXPECT_EQ(catalog.find(7)->tokens, 70) << "a generation that stops before its first step cannot count them";
  EXPECT_EQ(catalog.find(7)->productive_seconds, 3.5);
}

TEST(Progress, ReplayedStepsCountOnce) {
  CheckpointCatalog catalog;
  JobProgress progress;
  StepReport report;
  report.tokens = 10;
  report.step_nanoseconds = 1000000000;
  for (Step step = 1; step <= 8; ++step) {
    EXPECT_TRUE(progress.add(Generation{1}, step, report, catalog));
    EXPECT_FALSE(progress.add(Generation{1}, step, report, catalog));
  }
  CheckpointEntry entry;
  entry.step = 5;
  entry.tokens = progress.totals_at(5).tokens;
  entry.productive_seconds = progress.totals_at(5).productive_seconds;
  catalog.commit(entry);
  report.base = 5;
  EXPECT_TRUE(progress.add(Generation{2}, 6, report, catalog));
  EXPECT_EQ(progress.totals().tokens, 60);
  EXPECT_DOUBLE_EQ(progress.totals().productive_seconds, 6);
  EXPECT_EQ(progress.best_step(), 8);
  EXPECT_TRUE(progress.add(Generation{2}, 9, report, catalog));
  EXPECT_TRUE(progress.add(Generation{2}, 7, report, catalog)) << "overtaken, not doubled";
  EXPECT_FALSE(progress.add(Generation{2}, 7, report, catalog));
}

// Generation 2 goes on where 1 was; the report of step 3 was lost with its sender, another one says it.
TEST(Progress, AGenerationThatGoesOnContinuesTheCount) {
  CheckpointCatalog catalog;
  JobProgress progress;
  StepReport report;
  report.tokens = 10;
  for (const Step step : {1, 2, 4}) EXPECT_TRUE(progress.add(Generation{1}, step, report, catalog));
  EXPECT_EQ(progress.recorded_through(), 2);
  report.base = 4;
  EXPECT_FALSE(progress.add(Generation{2}, 4, report, catalog)) << "said again";
  EXPECT_TRUE(progress.add(Generation{2}, 3, report, catalog));
  EXPECT_TRUE(progress.add(Generation{2}, 5, report, catalog));
  EXPECT_EQ(progress.recorded_through(), 5);
  EXPECT_EQ(progress.totals().tokens, 50);
}

// What the end of a metrics file says is what a coordinator that has seen everything knows.
TEST(Progress, TheTailOfARecordTellsTheSame) {
  CheckpointCatalog catalog;
  JobProgress all;
  RecordedSteps tail;
  StepReport report;
  report.tokens = 10;
  const std::vector<std::pair<uint64_t, Step>> reports = {{1, 2}, {2, 1}, {2, 4}, {3, 3},
                                                          {3, 5}, {4, 6}, {6, 1}, {6, 2}};
  const Step bases[] = {0, 0, 2, 4, 5, 0, 0};  // of the generations
  for (const auto& [generation, step] : reports) {
    report.base = bases[generation];
    ASSERT_TRUE(all.add(Generation{generation}, step, report, catalog)) << step;
    if (tail.generation().value != generation) tail.go_on(Generation{generation}, report.base);
    ASSERT_TRUE(tail.add(step, {0, 10}));
    JobProgress restored;
    restored.restore(tail);
    EXPECT_EQ(restored.step(), all.step()) << generation << " " << step;
    EXPECT_EQ(restored.recorded_through(), all.recorded_through()) << generation << " " << step;
    EXPECT_EQ(restored.totals().tokens, all.totals().tokens);
  }
}

// --- the disk -------------------------------------------------------------------------------------------------------

class RunDirectoryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/strand-runXXXXXX";
    root_ = mkdtemp(name);
    run_ = root_ + "/run";
    fs_ = make_posix_file_system();
    prepared_ = prepare_run(*fs_, {JobId{1}, Generation{1}, run_, "toml", true}, "fresh");
  }
  void TearDown() override { stdfs::remove_all(root_); }

  void save(Step step) {
    WriteManifest action{JobId{1}, run_, {}};
    const std::string content(100000, static_cast<char>('a' + step % 20));
    action.manifest.job = JobId{1};
    action.manifest.generation = Generation{1};
    action.manifest.step = step;
    action.manifest.parts = {{concat("step-", step, "/g1-0-1"), content.size(), hash128(content)}};
    stdfs::create_directories(step_path(step));
    std::ofstream(step_path(step) + "/g1-0-1", std::ios::binary) << content;
    const Status written = write_manifest(*fs_, action);
    ASSERT_TRUE(written.ok()) << written.error().message();
  }
  std::string step_path(Step step) const { return concat(run_, "/checkpoints/step-", step); }
  void flip(const std::string& path, int64_t at) {
    std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
    file.seekg(at);
    const char c = static_cast<char>(file.get());
    file.seekp(at);
    file.put(static_cast<char>(c ^ 4));
  }

  std::string root_, run_;
  std::unique_ptr<FileSystem> fs_;
  RunPrepared prepared_;
};

TEST_F(RunDirectoryTest, PreparingKeepsTheTokenAndClearsWhatHasNoManifest) {
  EXPECT_TRUE(prepared_.status.ok());
  EXPECT_EQ(prepared_.token, "fresh");
  save(3);
  for (const Step unfinished : {2, 4}) {
    stdfs::create_directories(step_path(unfinished));
    std::ofstream(step_path(unfinished) + "/g1-0-1") << "half";
  }
  const auto look = prepare_run(*fs_, {JobId{1}, Generation{1}, run_, "toml", false}, "other");
  EXPECT_TRUE(stdfs::exists(step_path(2))) << "a look changes nothing";
  EXPECT_EQ(look.manifests.size(), 1u);
  const auto again = prepare_run(*fs_, {JobId{1}, Generation{2}, run_, "toml", true}, "other");
  EXPECT_EQ(again.token, "fresh");
  EXPECT_FALSE(stdfs::exists(step_path(2)));
  EXPECT_TRUE(stdfs::exists(step_path(4))) << "a worker that goes on may be writing there";
  EXPECT_EQ(again.manifests.size(), 1u);
}

TEST_F(RunDirectoryTest, NoManifestWithoutItsParts) {
  WriteManifest action{JobId{1}, run_, {}};
  action.manifest.step = 3;
  action.manifest.parts = {{"step-3/g1-0-1", 5, {}}};
  stdfs::create_directories(step_path(3));
  EXPECT_FALSE(write_manifest(*fs_, action).ok());
  std::ofstream(step_path(3) + "/g1-0-1") << "four";
  EXPECT_FALSE(write_manifest(*fs_, action).ok());
  EXPECT_FALSE(stdfs::exists(step_path(3) + "/manifest"));
}

TEST_F(RunDirectoryTest, AnyFlippedByteIsFound) {
  save(3);
  const std::string part = step_path(3) + "/g1-0-1", manifest = step_path(3) + "/manifest";
  EXPECT_TRUE(verify_checkpoint(*fs_, run_, 3).ok());
  for (const int64_t where : {0, 1, 50000, 99999}) {
    flip(part, where);
    const Status status = verify_checkpoint(*fs_, run_, 3);
    ASSERT_FALSE(status.ok()) << where;
    EXPECT_NE(status.error().message().find(part), std::string::npos);
    flip(part, where);
  }
  for (int64_t where = 0; where < static_cast<int64_t>(stdfs::file_size(manifest)); ++where) {
    flip(manifest, where);
    const auto listing = list_checkpoints(*fs_, run_);
    ASSERT_TRUE(listing.ok());
    EXPECT_EQ(listing->damaged.size(), 1u) << "byte " << where;
    EXPECT_TRUE(listing->manifests.empty());
    flip(manifest, where);
  }
}

TEST_F(RunDirectoryTest, MetricsTailSaysWhereRecordingStopped) {
  std::ofstream file(run_ + "/metrics.jsonl");
  for (Step step = 1; step <= 2000; ++step) {
    RecordStep record{JobId{1}, run_, Generation{step <= 1990 ? 1u : 2u}, step, 0, {}, {0.5, 10 * step}};
    record.report.base = step <= 1990 ? 0 : 1990;
    record.report.tokens = 10;
    if (step != 1995) file << metrics_line(record) << "\n";
  }
  file << "{\"step\": 2001, \"gen";
  file.close();
  const auto look = prepare_run(*fs_, {JobId{1}, Generation{2}, run_, "toml", false}, "");
  EXPECT_EQ(look.recorded.generation().value, 2u);
  EXPECT_EQ(look.recorded.newest(), 2000);
  EXPECT_EQ(look.recorded.through(), 1994) << "only the end is read, and what was before it is known";
  EXPECT_EQ(look.recorded.totals_at(1991).tokens, 19910) << "a generation that goes on";
  EXPECT_EQ(look.recorded.totals().tokens, 19990);
}

TEST_F(RunDirectoryTest, OfflineCommandsListAndVerify) {
  save(3);
  save(6);
  CheckpointOptions options;
  options.run_directory = run_;
  options.common.json = true;
  std::ostringstream out, progress;
  EXPECT_EQ(*checkpoint_verify_command(options, {out, progress}), 0);
  flip(step_path(6) + "/g1-0-1", 77);
  out.str("");
  EXPECT_EQ(*checkpoint_verify_command(options, {out, progress}), 2);
  const auto json = parse_json(out.str(), "output");
  ASSERT_TRUE(json.ok());
  EXPECT_EQ(json->at("checkpoints")[0]["state"], "damaged");
  EXPECT_EQ(json->at("checkpoints")[1]["state"], "verified");
  out.str("");
  EXPECT_EQ(*checkpoint_list_command(options, {out, progress}), 0);
  EXPECT_EQ(parse_json(out.str(), "output")->at("checkpoints").size(), 2u);
  options.run_directory = root_ + "/nowhere";
  EXPECT_FALSE(checkpoint_list_command(options, {out, progress}).ok());
}

TEST_F(RunDirectoryTest, RemovingTakesTheManifestFirst) {
  save(3);
  EXPECT_TRUE(remove_checkpoint(*fs_, run_, 3).ok());
  EXPECT_FALSE(stdfs::exists(step_path(3)));
  EXPECT_TRUE(remove_checkpoint(*fs_, run_, 3).ok());
}

}  // namespace
}  // namespace strand
