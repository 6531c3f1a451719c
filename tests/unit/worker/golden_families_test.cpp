// Each family's tiny model against what PyTorch made of it in fp64: tests/golden/families (tests/parity/run --golden
// writes the files, and compares more, live).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "shared/base/text.h"
#include "tests/parity/parity_model.h"

namespace strand::parity {
namespace {

constexpr const char* kFolder = "tests/golden/families";
constexpr double kLogits = 1e-5;    // of the largest
constexpr double kLoss = 1e-6;      // relative
constexpr double kHidden = 1e-5;    // of a layer's norm
constexpr double kGradient = 1e-4;  // of a tensor's norm
constexpr double kTraining = 1e-4;  // loss after updates, relative
constexpr double kRough = 5e-3;     // loss in bf16, relative

Json read_golden(const std::string& family) {
  const std::string path = concat(kFolder, "/", family, ".json");
  std::ifstream in(path, std::ios::binary);
  auto json = parse_json(std::string{std::istreambuf_iterator<char>(in), {}}, path);
  STRAND_CHECK(json.ok(), json.ok() ? "" : json.error().message());
  return *json;
}

// The numbers of a tensor from its name (families.py describes them): SplitMix64's finaliser over a counter that starts
// at FNV-1a of the name.
class Formula {
 public:
  Formula(const std::string& name, double scale) : scale_(scale) {
    for (const char c : name) seed_ = (seed_ ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
    centre_ = name.ends_with("norm.weight") ? 1.0 : 0.0;
  }
  float at(int64_t element) const {
    uint64_t z = seed_ + (static_cast<uint64_t>(element) + 1) * 0x9e3779b97f4a7c15ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    z ^= z >> 31;
    return static_cast<float>(centre_ + scale_ * (2 * (static_cast<double>(z >> 40) * 0x1p-24) - 1));
  }

 private:
  uint64_t seed_ = 0xcbf29ce484222325ull;
  double centre_ = 0, scale_ = 1;
};

class GoldenFamilies : public ::testing::TestWithParam<const char*> {
 protected:
  GoldenFamilies() : golden(read_golden(GetParam())) {
    batch = {golden.at("ids").get<std::vector<int32_t>>(), golden.at("targets").get<std::vector<int32_t>>(),
             golden.at("lengths").get<std::vector<int32_t>>()};
    auto job = job_of(golden.at("job"));
    STRAND_CHECK(job.ok(), job.ok() ? "" : job.error().message());
    spec = *job;
  }

  // With the formula's weights.
  std::unique_ptr<ParityModel> make(bool bf16) const {
    auto model = std::make_unique<ParityModel>(spec, golden.at("rows").get<int64_t>(),
                                               golden.at("segment").get<int64_t>(), bf16, /*threads=*/1);
    for (const ParameterInfo& tensor : model->table()) {
      const Formula formula(tensor.name, golden.at("weights_scale").get<double>());
      for (int64_t e = 0; e < tensor.elements; ++e) {
        model->weights()[static_cast<size_t>(tensor.first_element + e)] = formula.at(e);
      }
    }
    model->ready();
    return model;
  }

  Json golden;
  TokenRows batch;
  JobSpec spec;
};

TEST_P(GoldenFamilies, ForwardIsPyTorchs) {
  const auto model = make(/*bf16=*/false);
  const CrossEntropySum sum = model->run(batch);
  EXPECT_EQ(sum.targets, golden.at("target_count").get<int64_t>());
  const double loss = golden.at("loss").get<double>();
  EXPECT_NEAR(sum.loss, loss, kLoss * loss);

  const int64_t segment = golden.at("segment").get<int64_t>(), vocabulary = spec.model.config.vocabulary;
  const std::vector<float> logits = model->logits();
  for (size_t row = 0; row < batch.lengths.size(); ++row) {
    const auto wanted = golden.at("logits").at(row).get<std::vector<double>>();
    ASSERT_EQ(wanted.size(), static_cast<size_t>(vocabulary));
    double largest = 0;
    for (const double value : wanted) largest = std::max(largest, std::abs(value));
    const int64_t token = static_cast<int64_t>(row) * segment + batch.lengths[row] - 1;
    for (size_t i = 0; i < wanted.size(); ++i) {
      ASSERT_NEAR(logits[static_cast<size_t>(token * vocabulary) + i], wanted[i], kLogits * largest)
          << "row " << row << ", logit " << i;
    }
  }
}

TEST_P(GoldenFamilies, HiddenStatesArePyTorchs) {
  const auto model = make(/*bf16=*/false);
  model->run(batch);
  const int64_t segment = golden.at("segment").get<int64_t>(), width = spec.model.config.hidden;
  const auto norms = golden.at("hidden").get<std::vector<double>>();
  ASSERT_EQ(norms.size(), static_cast<size_t>(spec.model.config.layers) + 1);
  for (size_t layer = 0; layer < norms.size(); ++layer) {
    const std::span<const float> state = model->hidden(static_cast<int64_t>(layer));
    double squares = 0;
    for (size_t row = 0; row < batch.lengths.size(); ++row) {
      const int64_t first = static_cast<int64_t>(row) * segment * width;
      for (int64_t i = first; i < first + batch.lengths[row] * width; ++i) {
        const double value = state[static_cast<size_t>(i)];
        squares += value * value;
      }
    }
    EXPECT_NEAR(std::sqrt(squares), norms[layer], kHidden * norms[layer]) << "before block " << layer;
  }
}

TEST_P(GoldenFamilies, GradientsArePyTorchs) {
  const auto model = make(/*bf16=*/false);
  model->run(batch);
  const Json& tensors = golden.at("gradients");
  EXPECT_EQ(tensors.size(), model->table().size());
  for (const ParameterInfo& tensor : model->table()) {
    ASSERT_TRUE(tensors.contains(tensor.name)) << tensor.name;
    const auto wanted = tensors.at(tensor.name).get<std::vector<double>>();
    const Formula probe("probe." + tensor.name, 1.0);
    double squares = 0, product = 0, probe_squares = 0;
    for (int64_t e = 0; e < tensor.elements; ++e) {
      const double value = model->gradient()[static_cast<size_t>(tensor.first_element + e)], p = probe.at(e);
      squares += value * value;
      product += value * p;
      probe_squares += p * p;
    }
    EXPECT_NEAR(std::sqrt(squares), wanted[0], kGradient * wanted[0]) << tensor.name;
    EXPECT_NEAR(product, wanted[1], kGradient * wanted[0] * std::sqrt(probe_squares)) << tensor.name;
  }
}

TEST_P(GoldenFamilies, TrainingIsPyTorchs) {
  const auto model = make(/*bf16=*/false);
  const auto losses = golden.at("losses").get<std::vector<double>>();
  for (size_t step = 0; step < losses.size(); ++step) {
    const CrossEntropySum sum = model->run(batch);
    EXPECT_NEAR(sum.loss / static_cast<double>(sum.targets), losses[step], kTraining * losses[step]) << "step " << step;
    model->step(sum.targets);
  }
  EXPECT_LT(losses.back(), losses.front()) << "nothing was learned: the file cannot tell an update from none";
}

TEST_P(GoldenFamilies, Bf16LossIsNear) {
  const auto model = make(/*bf16=*/true);
  const double loss = golden.at("loss").get<double>();
  EXPECT_NEAR(model->run(batch).loss, loss, kRough * loss);
}

constexpr const char* kFamilies[] = {"opt-125m", "opt-350m",     "nt-v1",          "nt-v2",          "dnabert-2",
                                     "dna-fm",   "omni-dna-rms", "omni-dna-layer", "omni-dna-untied"};

INSTANTIATE_TEST_SUITE_P(All, GoldenFamilies, ::testing::ValuesIn(kFamilies), [](const auto& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

// A file that nobody compares with says nothing.
TEST(GoldenFamilyFiles, AreAllCompared) {
  size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder)) files += entry.path().extension() == ".json";
  EXPECT_EQ(files, std::size(kFamilies));
}

}  // namespace
}  // namespace strand::parity
