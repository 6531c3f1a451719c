// [[data.source]], [[data.mixture]] and the keys that go with them.
#include <gtest/gtest.h>

#include <random>

#include "shared/base/text.h"
#include "shared/job_spec/job_spec.h"

namespace strand {
namespace {

const std::string kTwo = R"([job]
name = "a"
[[data.source]]
name = "human"
files = ["x.fa", "/y.fa"]
weight = 3
[[data.source]]
name = "fly"
files = ["z.fa"]
weight = 0.5
)";

ParsedJob parse(const std::string& text, const std::vector<std::string>& sets = {}) {
  return parse_job(text, "job.toml", "/base", sets);
}

std::string all_of(const ParsedJob& parsed) {
  return job_errors("job.toml", parsed.errors).message();
}

TEST(Sources, AreReadInTheirOrder) {
  const ParsedJob parsed = parse(
      kTwo +
      "[[data.mixture]]\nfrom_step = 10\nweights = [1, 2.5]\n[[data.mixture]]\nfrom_step = 20\nweights = [0, 1]\n");
  ASSERT_TRUE(parsed.errors.empty()) << all_of(parsed);
  const DataSpec& data = parsed.spec.data;
  EXPECT_EQ(data.sources,
            (std::vector<SourceSpec>{{"human", {"/base/x.fa", "/y.fa"}, 3}, {"fly", {"/base/z.fa"}, 0.5}}));
  EXPECT_EQ(data.mixture, (std::vector<MixtureSpec>{{10, {1, 2.5}}, {20, {0, 1}}}));
  EXPECT_EQ(data.all_files(), (std::vector<std::string>{"/base/x.fa", "/y.fa", "/base/z.fa"}));
  const ParsedJob set = parse(kTwo, {"data.source[1].weight=2", "data.mixture=[{from_step=2,weights=[1,1]}]"});
  ASSERT_TRUE(set.errors.empty()) << all_of(set);
  EXPECT_EQ(set.spec.data.sources[1].weight, 2);
  EXPECT_EQ(set.spec.data.mixture, (std::vector<MixtureSpec>{{2, {1, 1}}}));
}

TEST(Sources, AnyListReadsBackToTheSameValue) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    std::mt19937_64 random(seed);
    JobSpec spec = parse(kTwo).spec;
    DataSpec& data = spec.data;
    const bool weighted = random() % 2 == 0;
    data.sources.clear();
    for (uint64_t i = 0; i < 1 + random() % 6; ++i) {
      data.sources.push_back({concat("s", i), {concat("/", i, ".fa")}, -1});
      if (weighted) data.sources.back().weight = static_cast<double>(1 + random() % 100) / 7;
    }
    if (!weighted) data.temperature = 1.0 / static_cast<double>(1 + random() % 9);
    for (uint64_t i = 0; i < random() % 9; ++i) {
      data.mixture.push_back({static_cast<int64_t>(2 + 3 * i), std::vector<double>(data.sources.size(), 1.0 + i)});
    }
    data.packing = random() % 2 == 0;
    if (!data.packing) data.shift = static_cast<int64_t>(random() % 1000);
    const ParsedJob parsed = parse(effective_job_toml(spec));
    ASSERT_TRUE(parsed.errors.empty()) << "seed " << seed << "\n" << all_of(parsed) << effective_job_toml(spec);
    ASSERT_EQ(parsed.spec, spec) << effective_job_toml(spec);
    ASSERT_TRUE(resume_differences(spec, parsed.spec).empty());
  }
}

TEST(Sources, AResumedRunMayNotChangeThem) {
  const JobSpec run = parse(kTwo).spec;
  JobSpec wanted = run;
  wanted.data.sources[1].weight = 1;
  wanted.data.sources.push_back({"worm", {"/w.fa"}, 2});
  wanted.data.mixture = {{5, {1, 1, 1}}};
  wanted.data.shift = 4;
  EXPECT_EQ(resume_differences(run, wanted),
            (std::vector<std::string>{
                "data.shift: 0 -> 4", "data.source[1].weight: 0.5 -> 1.0", "data.source[2].name: (none) -> \"worm\"",
                "data.source[2].files: (none) -> [\"/w.fa\"]", "data.source[2].weight: (none) -> 2.0",
                "data.mixture.from_step: (none) -> 5", "data.mixture.weights: (none) -> [1.0, 1.0, 1.0]"}));
  EXPECT_EQ(resume_differences(wanted, run).size(), 7u);
}

TEST(Sources, WhatIsWrongIsNamedWithItsPlace) {
  const std::string two = kTwo;
  const auto refused = [&](const std::string& text, const std::vector<std::string>& says) {
    const ParsedJob parsed = parse(text);
    const std::string errors = all_of(parsed);
    EXPECT_EQ(parsed.errors.size(), says.size()) << text << errors;
    for (const std::string& one : says) EXPECT_NE(errors.find(one), std::string::npos) << one << "\n" << errors;
  };
  const std::string unnamed = "[[data.source]]\n";
  refused(two + unnamed, {"data.source[2].name: give the source a name", "data.source[2].files: name at least one file",
                          "data.source.weight: is there for 2 of 3 sources"});
  refused(two + "[[data.source]]\nname = \"fly\"\nfiles = [\"/y.fa\"]\nweight = 1\n",
          {"job.toml:12:1: data.source[2].name: \"fly\" is the name of two sources",
           "data.source.files: names a file twice"});
  refused(two + "[[data.source]]\nname = \"b/c\"\nfiles = [\"/q.fa\"]\nweight = -1\n",
          {"data.source[2].name: may hold letters", "job.toml:14:1: data.source[2].weight: must not be negative",
           "data.source.weight: is there for 2 of 3 sources"});
  refused(two + "wieght = 5\n",
          {"job.toml:11:1: data.source[1].wieght: unknown key; did you mean data.source.weight?"});
  refused(two + "[data]\ntemperature = 2\n", {"data.temperature: weighs sources by their sizes; they have weights"});
  refused(two + "[data]\nfiles = [\"/a.fa\"]\n", {"data.files: and [[data.source]] are two ways"});
  refused(two + "[data.holdout]\nsources = [\"flie\"]\n",
          {"data.holdout.sources: no [[data.source]] is named \"flie\"; did you mean \"fly\"?"});
  refused(two + "[data.holdout]\nsources = [\"fly\"]\n", {"data.source[1].weight: the source is held out"});
  refused(two + "[data.holdout]\nsources = [\"fly\"]\nfraction = 0.1\n",
          {"data.source[1].weight: the source is held out", "data.holdout: give exactly one of"});
  refused(two + "[[data.mixture]]\nfrom_step = 1\nweights = [1]\n",
          {"data.mixture.from_step: must be above 1, since [[data.source]]",
           "data.mixture.weights: must name a weight for each of the 2 sources"});
  refused(
      two + "[[data.mixture]]\nfrom_step = 9\nweights = [1, -1]\n[[data.mixture]]\nfrom_step = 9\nweights = [0, 0]\n",
      {"data.mixture.weights: must not be negative", "data.mixture[1].from_step: must be above 9, as before; found 9",
       "data.mixture[1].weights: are all 0"});
  refused(two + "[[data.mixture]]\nfrom_step = 9\nweights = [\"a\"]\n",
          {"data.mixture.weights: expected an array of numbers, found array of strings"});
  const std::string one = "[job]\nname = \"a\"\n[data]\nfiles = [\"g.fa\"]\n";
  refused(one + "temperature = 2\n", {"data.temperature: weighs the sources of [[data.source]], and there are none"});
  refused(one + "shift = -1\n", {"data.shift: must be at least 0"});
  refused(one + "packing = true\nshift = 3\nstride = 5\nsegment_bases = 7\n",
          {"data.shift: moves windows", "data.stride: is of windows", "data.segment_bases: is of windows"});
  refused(one + "[data.holdout]\nsources = [\"x\"]\n", {"data.holdout.sources: names sources of [[data.source]]"});
  refused(one + "[[data.mixture]]\nfrom_step = 4\nweights = [1]\n", {"data.mixture: weighs the sources"});
  refused(one + "[tokenizer]\nkind = \"bpe\"\nmax_length = 1\n", {"tokenizer.max_length: must be at least 2"});
  refused(one + "[tokenizer]\noverlapping = true\n", {"tokenizer.overlapping: is how k-mers are cut"});
  refused(one + "[tokenizer]\nkind = \"kmer\"\nbos_eos = true\n",
          {"tokenizer.bos_eos: belongs to the nucleotide", "model.vocabulary: the tokenizer has 4105 ids"});
}

// A source that is held out as a whole needs no weight.
TEST(Sources, AHeldOutSpeciesHasNoWeight) {
  const ParsedJob parsed =
      parse(kTwo + "[[data.source]]\nname = \"mouse\"\nfiles = [\"/m.fa\"]\n[data.holdout]\nsources = [\"mouse\"]\n");
  ASSERT_TRUE(parsed.errors.empty()) << all_of(parsed);
  EXPECT_FALSE(parsed.spec.data.sources[2].weighted());
  EXPECT_FALSE(parsed.spec.data.holdout.empty());
}

}  // namespace
}  // namespace strand
