// [parallel]: the shapes of a job that are refused, whatever workers there are.
#include <gtest/gtest.h>

#include "shared/job_spec/job_spec.h"

namespace strand {
namespace {

const std::string kMinimal = "[job]\nname = \"a\"\n[data]\nfiles = [\"g.fna\"]\n";

std::string all_of(const ParsedJob& parsed) {
  return job_errors("job.toml", parsed.errors).message();
}
ParsedJob parse(const std::string& text) {
  return parse_job(text, "job.toml", "/base", {});
}
std::string only_error(const std::string& more) {
  const ParsedJob parsed = parse(kMinimal + more);
  EXPECT_EQ(parsed.errors.size(), 1u) << more << "\n" << all_of(parsed);
  return all_of(parsed);
}

// The model has 8 blocks.
TEST(JobShape, ImpossibleOnesAreRefusedWithTheMend) {
  const struct {
    const char *lines, *message;
  } cases[] = {
      {"[parallel]\nstages = 0\n", "must be at least 1"},
      {"[parallel]\nstages = 9\n", "has 8 blocks, fewer than stages x chunks = 9 x 1"},
      {"[parallel]\nschedule = \"interleaved\"\nstages = 4\nchunks = 3\n",
       "has 8 blocks, fewer than stages x chunks = 4 x 3"},
      {"[parallel]\nlane_shares = [3, 1]\n", "a share for each of the 1 replicas, found 2"},
      {"[parallel]\nreplicas = 2\nlane_shares = [4, 0]\n", "must be at least 1, found 0"},
      {"[parallel]\nreplicas = 2\nlane_shares = [1, 1048577]\n", "must be at most 1048576"},
      {"[parallel]\nreplicas = 2\nlane_shares = [\"2\", \"2\"]\n", "expected an array of integers"},
  };
  for (const auto& c : cases) EXPECT_NE(only_error(c.lines).find(c.message), std::string::npos) << c.lines;
}

// What worker/pipeline/schedule.h can make lists for, with 4 lanes (the default) of which each replica has some.
TEST(JobShape, SchedulesHaveRules) {
  const auto job = [](const std::string& schedule, const std::string& more) {
    return "[parallel]\nschedule = \"" + schedule + "\"\n" + more;
  };
  EXPECT_NE(only_error(job("1f1B", "")).find("expected one of gpipe | 1f1b | interleaved | zb-h1, found \"1f1B\""),
            std::string::npos);
  for (const std::string name : {"gpipe", "1f1b", "zb-h1"}) {
    EXPECT_TRUE(parse(kMinimal + job(name, "stages = 4\nreplicas = 4\n")).errors.empty()) << name;
    const std::string error = only_error(job(name, "stages = 2\nchunks = 2\n"));
    EXPECT_NE(error.find("parallel.chunks: \"" + name + "\" has one chunk a stage, found 2"), std::string::npos)
        << error;
  }
  EXPECT_NE(only_error(job("interleaved", "stages = 2\n")).find("needs at least 2 chunks"), std::string::npos);
  const struct {
    const char* lines;
    const char* refused;  // null: not
  } cases[] = {
      {"stages = 2\nchunks = 2\n", nullptr},
      {"stages = 3\nchunks = 2\n", "of the 3 stages, also of 1 replica over 4 lanes of 1; make it a multiple of 3"},
      {"stages = 3\nchunks = 2\n[train]\nmicro_batches_per_lane = 6\n", nullptr},
      {"stages = 2\nchunks = 2\nreplicas = 2\n", nullptr},
      {"stages = 2\nchunks = 2\nreplicas = 3\n", "of the 2 stages, also of 3 replicas over 4 lanes of 1"},
      {"stages = 4\nchunks = 2\nreplicas = 2\nmin_replicas = 2\n", "of the 4 stages, also of 2 replicas over 4"},
      {"stages = 2\nchunks = 2\nreplicas = 2\nlane_shares = [3, 1]\n", "of the 2 stages, also of 2 replicas"},
      {"stages = 2\nchunks = 2\nreplicas = 3\n[train]\nmicro_batches_per_lane = 2\n", nullptr},
  };
  for (const auto& c : cases) {
    const ParsedJob parsed = parse(kMinimal + job("interleaved", c.lines));
    EXPECT_EQ(parsed.errors.size(), c.refused == nullptr ? 0u : 1u) << c.lines << all_of(parsed);
    if (c.refused == nullptr) continue;
    EXPECT_NE(all_of(parsed).find(c.refused), std::string::npos) << all_of(parsed);
  }
}

}  // namespace
}  // namespace strand
