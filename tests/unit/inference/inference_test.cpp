// Reading a trained model: vectors and likelihoods are those of the transformer that trains, and depend on nothing but
// the row.
#include <numeric>

#include "shared/formats/safetensors.h"
#include "tests/unit/inference/inference_case.h"
#include "worker/inference/likelihood.h"
#include "worker/inference/vector_file.h"

namespace strand::testing {
namespace {

std::vector<float> pooled(ModelRunner& runner, const std::vector<TokenRow>& rows, PoolingKind pooling,
                          int64_t layer = ForwardPass::kFinal) {
  std::vector<float> out(rows.size() * static_cast<size_t>(runner.config().hidden));
  const Status status = runner.pool(rows, pooling, layer, out.data());
  EXPECT_TRUE(status.ok()) << status.error().message();
  return out;
}

std::vector<float> slice(const std::vector<float>& all, size_t index, size_t width) {
  return {all.begin() + static_cast<ptrdiff_t>(index * width),
          all.begin() + static_cast<ptrdiff_t>((index + 1) * width)};
}

// Rows of every length from 3 to the longest, twice.
std::vector<TokenRow> mixed_rows(const TransformerConfig& config, int64_t longest) {
  std::vector<TokenRow> rows;
  for (int64_t length = 3; length <= longest; ++length) {
    rows.push_back(random_row(config, static_cast<uint64_t>(2 * length), length, 1));
    rows.push_back(random_row(config, static_cast<uint64_t>(2 * length + 1), length, 1));
  }
  return rows;
}

TEST(ForwardPass, IsTheForwardOfTheTransformerThatTrains) {
  for (const TransformerConfig& config : all_configs()) {
    Case c(config, Backend::kCpu);
    c.forward();
    ForwardPass pass(config, c.model.layout(), DType::kF32, 3, 7);
    const auto equal = [&](ConstMatrix a, ConstMatrix b) {
      ASSERT_EQ(a.rows, b.rows);
      EXPECT_TRUE(std::equal(a.f32(), a.f32() + a.rows * a.cols, b.f32())) << name_of(config);
    };
    equal(pass.forward(c.machine.context, c.view(), c.batch.view()), c.model.hidden());
    for (int64_t layer = 0; layer <= config.layers; ++layer) {
      equal(pass.forward(c.machine.context, c.view(), c.batch.view(), layer), c.model.hidden(layer));
    }
  }
}

TEST(ModelRunner, PaddingDoesNotCount) {
  for (const TransformerConfig& config : medium_configs()) {
    const auto runner = make_runner(config);
    const TokenRow row = random_row(config, 1, 37, 1);  // in a unit of 48 tokens a row
    const DirectForward direct(*runner, row);
    const ConstMatrix hidden = direct.model.hidden();
    std::vector<float> mean(static_cast<size_t>(config.hidden), 0.0f), last(mean);
    for (int64_t t = row.begin; t < row.end; ++t) {
      for (int64_t c = 0; c < config.hidden; ++c) mean[static_cast<size_t>(c)] += hidden.f32()[t * config.hidden + c];
    }
    for (float& x : mean) x /= static_cast<float>(row.end - row.begin);
    std::copy_n(hidden.f32() + 36 * config.hidden, config.hidden, last.begin());
    expect_close(pooled(*runner, {row}, PoolingKind::kMean), mean, 1e-5, name_of(config));
    expect_close(pooled(*runner, {row}, PoolingKind::kLast), last, 1e-5, name_of(config));
  }
}

TEST(ModelRunner, VectorsDoNotDependOnTheOtherRowsNorOnThreads) {
  std::vector<TransformerConfig> configs = medium_configs();
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    for (const TransformerConfig& config : configs) {
      const std::vector<TokenRow> rows = mixed_rows(config, 40);
      const auto width = static_cast<size_t>(config.hidden);
      const auto one = make_runner(config, 1, dtype), three = make_runner(config, 3, dtype);
      const std::vector<float> together = pooled(*one, rows, PoolingKind::kMean);
      EXPECT_EQ(together, pooled(*three, rows, PoolingKind::kMean)) << name_of(config);
      std::vector<TokenRow> turned(rows.rbegin(), rows.rend());
      const std::vector<float> backwards = pooled(*three, turned, PoolingKind::kMean);
      for (size_t r = 0; r < rows.size(); ++r) {
        ASSERT_EQ(slice(together, r, width), slice(backwards, rows.size() - 1 - r, width))
            << name_of(config) << " " << r;
        if (r % 8 != 0) continue;
        ASSERT_EQ(slice(together, r, width), pooled(*one, {rows[r]}, PoolingKind::kMean))
            << name_of(config) << " " << r;
      }
    }
  }
}

// What units rest on: in one product, equal rows of A give equal rows of C wherever they stand.
TEST(ModelRunner, ProductsOfAUnitTreatAllRowsAlike) {
  TransformerConfig config = medium_config();
  config.hidden = 132;  // not a multiple of any vector
  config.heads = 3;
  config.mlp_hidden = 356;
  config.max_sequence = 512;
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    for (const int64_t length : {1, 16, 30, 48, 64, 100, 250, 512}) {
      const auto runner = make_runner(config, 2, dtype);
      const int64_t count = unit_shape(config, length).rows;
      const std::vector<TokenRow> rows(static_cast<size_t>(count), random_row(config, 7, length));
      const std::vector<float> all = pooled(*runner, rows, PoolingKind::kLast);
      for (size_t r = 1; r < rows.size(); ++r) {
        ASSERT_EQ(slice(all, 0, 132), slice(all, r, 132)) << "length " << length << " row " << r;
      }
    }
  }
}

TEST(ModelRunner, TokenVectorsAreTheHiddenStates) {
  const TransformerConfig config = medium_config();
  const auto runner = make_runner(config);
  const std::vector<TokenRow> rows = {random_row(config, 1, 20, 1), random_row(config, 2, 50, 2)};
  std::vector<std::vector<float>> vectors;
  ASSERT_TRUE(runner->token_vectors(rows, 1, &vectors).ok());
  for (size_t r = 0; r < rows.size(); ++r) {
    const DirectForward direct(*runner, rows[r]);
    const ConstMatrix own = direct.model.hidden(1).row_range(rows[r].begin, rows[r].end - rows[r].begin);
    expect_close(vectors[r], {own.f32(), own.f32() + own.rows * own.cols}, 1e-5, "tokens");
  }
}

TEST(ModelRunner, RowsThatDoNotFitAreRefused) {
  TransformerConfig config = medium_config();
  const auto runner = make_runner(config);
  EXPECT_TRUE(runner->check_row(random_row(config, 1, 64)).ok());
  EXPECT_NE(runner->check_row(random_row(config, 1, 65)).error().message().find("65 tokens, the model takes 64"),
            std::string::npos);
  EXPECT_TRUE(runner->allow_rows(100).ok());
  EXPECT_TRUE(runner->check_row(random_row(config, 1, 65)).ok());
  EXPECT_TRUE(runner->allow_rows(20).ok()) << "shorter than the model's own";
  EXPECT_EQ(runner->longest_row(), 20);
  EXPECT_TRUE(runner->check_row(random_row(config, 1, 20)).ok());
  EXPECT_FALSE(runner->check_row(random_row(config, 1, 21)).ok());
  EXPECT_FALSE(runner->allow_rows(0).ok());
  EXPECT_FALSE(runner->check_row({{1, 2, 300}, 0, 3}).ok());
  EXPECT_FALSE(runner->check_row({{1, 2}, 1, 1}).ok());
  config.positions = PositionKind::kLearned;
  EXPECT_FALSE(make_runner(config)->allow_rows(100).ok());
  EXPECT_TRUE(make_runner(config)->allow_rows(20).ok()) << "learned positions have a beginning too";
}

TEST(ModelRunner, ItStopsWhenAskedTo) {
  const TransformerConfig config = medium_config();
  const auto runner = make_runner(config);
  size_t done = 0;
  runner->on_progress([&](size_t rows) {
    done += rows;
    return false;
  });
  std::vector<float> out(100 * 48);
  const std::vector<TokenRow> rows(100, random_row(config, 1, 60));
  EXPECT_EQ(runner->pool(rows, PoolingKind::kMean, ForwardPass::kFinal, out.data()).error().code(),
            ErrorCode::kStopped);
  EXPECT_EQ(done, static_cast<size_t>(unit_shape(config, 60).rows));
}

TEST(Likelihood, OfACausalModelIsTheSumOverItsLogits) {
  for (const TransformerConfig& config : medium_configs()) {
    if (!config.causal) continue;
    const auto runner = make_runner(config, 2);
    const std::vector<TokenRow> rows = {random_row(config, 1, 20, 0), random_row(config, 2, 50, 1),
                                        random_row(config, 3, 5, 2)};
    const auto scored = causal_likelihood(*runner, rows);
    ASSERT_TRUE(scored.ok());
    for (size_t r = 0; r < rows.size(); ++r) {
      const DirectForward direct(*runner, rows[r]);
      double nats = 0;
      EXPECT_EQ((*scored)[r].begin, std::max<int64_t>(1, rows[r].begin));
      for (int64_t i = (*scored)[r].begin; i < rows[r].end; ++i) {
        nats += direct.log_probability(i - 1, rows[r].ids[static_cast<size_t>(i)]);
      }
      EXPECT_NEAR((*scored)[r].nats, nats, 1e-4 * std::abs(nats)) << name_of(config);
      EXPECT_EQ((*causal_likelihood(*runner, std::span(rows).subspan(r, 1)))[0].nats, (*scored)[r].nats);
    }
  }
}

TEST(Likelihood, OfAMaskedModelMasksOneTokenAfterTheOther) {
  constexpr int32_t kMask = 4;
  for (const TransformerConfig& config : medium_configs()) {
    if (config.causal) continue;
    const auto runner = make_runner(config, 2);
    const std::vector<TokenRow> rows = {random_row(config, 1, 12, 1), random_row(config, 2, 30, 1)};
    const auto scored = pseudo_likelihood(*runner, rows, kMask);
    ASSERT_TRUE(scored.ok());
    std::vector<MaskedChoice> choices;
    std::vector<double> ratios;
    for (size_t r = 0; r < rows.size(); ++r) {
      double nats = 0;
      for (int64_t i = rows[r].begin; i < rows[r].end; ++i) {
        TokenRow masked = rows[r];
        masked.ids[static_cast<size_t>(i)] = kMask;
        const DirectForward direct(*runner, masked);
        nats += direct.log_probability(i, rows[r].ids[static_cast<size_t>(i)]);
        if (i != 3) continue;
        choices.push_back({3, 5, 6});
        ratios.push_back(direct.log_probability(3, 6) - direct.log_probability(3, 5));
      }
      EXPECT_NEAR((*scored)[r].nats, nats, 1e-4 * std::abs(nats)) << name_of(config);
    }
    const auto found = masked_log_ratios(*runner, rows, choices, kMask);
    ASSERT_TRUE(found.ok());
    for (size_t r = 0; r < rows.size(); ++r) EXPECT_NEAR((*found)[r], ratios[r], 1e-4) << name_of(config);
  }
}

TEST(VectorFile, NumpyAndSafetensorsHoldWhatWasAppended) {
  const auto fs = make_posix_file_system();
  const std::string folder = ::testing::TempDir() + "/vectors";
  ASSERT_TRUE(fs->make_directories(folder).ok());
  std::vector<float> values(6);
  std::iota(values.begin(), values.end(), 1.0f);
  for (const std::string name : {"e.npy", "e.safetensors"}) {
    const std::string path = folder + "/" + name;
    ASSERT_TRUE(fs->remove(path).ok());
    auto file = VectorFile::create(*fs, path, vector_format(path).value(), 3, 2);
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE(file->append({1, 2}).ok());
    ASSERT_TRUE(file->append({3, 4, 5, 6}).ok());
    EXPECT_FALSE(fs->exists(path)) << "before commit";
    ASSERT_TRUE(file->commit().ok());
    const std::string bytes = fs->read_file(path).value();
    EXPECT_EQ(bytes.substr(bytes.size() - 24), std::string(reinterpret_cast<const char*>(values.data()), 24));
    if (name == "e.npy") {
      EXPECT_EQ((bytes.size() - 24) % 64, 0u);
      EXPECT_EQ(bytes.substr(1, 5), "NUMPY");
      EXPECT_NE(bytes.find("'shape': (3, 2)"), std::string::npos);
    } else {
      const auto header = parse_safetensors(bytes, path);
      ASSERT_TRUE(header.ok()) << header.error().message();
      EXPECT_EQ(header->entries.at(0).shape, (std::vector<int64_t>{3, 2}));
    }
  }
  auto each = VectorFile::create_each(*fs, folder + "/each.safetensors", {1, 2}, 2);
  ASSERT_TRUE(each.ok());
  ASSERT_TRUE(each->append(values).ok());
  ASSERT_TRUE(each->commit().ok());
  const auto source = open_safetensors(*fs, folder + "/each.safetensors");
  ASSERT_TRUE(source.ok()) << source.error().message();
  EXPECT_FALSE(vector_format("e.txt").ok());
}

}  // namespace
}  // namespace strand::testing
