// Attention: every case agrees with the reference on every instruction set this machine has, has the same bits for any
// number of threads; gradients are those of the reference; masked rows are zero; memory grows no faster than the
// sequence.
#include "ops/cpu/simd_info.h"
#include "tests/ops/cases/attention_cases.h"
#include "tests/ops/checks.h"

namespace strand::test {
namespace {

class Attention : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { use_simd_target_for_test(GetParam()); }
  void TearDown() override { use_simd_target_for_test(""); }
};

TEST_P(Attention, CasesAgreeWithReferenceAndThreads) {
  expect_all(attention_cases());
}

TEST_P(Attention, MaskedRowsAreZero) {
  for (DType dtype : {DType::kF32, DType::kBF16}) {
    const AttentionCase c{2, 70, 2, 20, false, {0, 9}, 1};
    const Tensors t = result_of(attention_case(c, dtype), Backend::kCpu, 1);
    for (int64_t r = 0; r < 70; ++r) {
      for (int64_t i = 0; i < 40; ++i) ASSERT_EQ(t[kOut].at(r, i), 0);
      for (int64_t i = 0; i < 120; ++i) ASSERT_EQ(t[kDQkv].at(r, i), 0);
      ASSERT_EQ(t[kLse].at(0, r), -std::numeric_limits<double>::infinity());
    }
    // In the second row of the batch keys from 9 on take no gradient, queries do.
    for (int64_t r = 70 + 9; r < 140; ++r) {
      for (int64_t i = 40; i < 120; ++i) ASSERT_EQ(t[kDQkv].at(r, i), 0);
      ASSERT_NE(t[kDQkv].at(r, 0), 0);
    }
  }
}

TEST_P(Attention, HugeLogitsStayFinite) {
  const AttentionCase c{1, 130, 1, 64, true, {}, 1e18};
  const Tensors t = result_of(attention_case(c, DType::kF32), Backend::kCpu, 1);
  for (const Tensor& tensor : t) {
    for (int64_t r = 0; r < tensor.rows; ++r) {
      for (int64_t i = 0; i < tensor.cols; ++i) ASSERT_TRUE(std::isfinite(tensor.at(r, i)));
    }
  }
}

// With keys of zero the scores are the bias alone: out is the mean of v with weights exp(-slope |i - j|).
TEST_P(Attention, BiasFallsLinearlyWithDistance) {
  constexpr int64_t kSequence = 100, kSize = 5;
  for (bool causal : {true, false}) {
    const AttentionCase c{1, kSequence, 2, kSize, causal, {}, 1, {0.5f, 0.01f}};
    Prepared p = attention_case(c, DType::kF32);
    Tensor& qkv = p.tensors[kQkv];
    for (int64_t r = 0; r < kSequence; ++r) {
      for (int64_t i = 2 * kSize; i < 4 * kSize; ++i) qkv.put(r, i, 0);
    }
    const Tensors t = result_of(p, Backend::kCpu, 2);
    for (int64_t query = 0; query < kSequence; ++query) {
      for (int64_t column = 0; column < 2 * kSize; ++column) {
        double sum = 0, weights = 0;
        for (int64_t key = 0; key < (causal ? query + 1 : kSequence); ++key) {
          const double slope = static_cast<double>(c.slopes[static_cast<size_t>(column / kSize)]);
          const double weight = std::exp(-slope * std::abs(static_cast<double>(query - key)));
          weights += weight;
          sum += weight * qkv.at(key, 4 * kSize + column);
        }
        ASSERT_NEAR(t[kOut].at(query, column), sum / weights, 2e-6) << query << ", " << column;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, Attention, testing::ValuesIn(simd_targets()));

class AttentionGradients : public testing::TestWithParam<Backend> {};

TEST_P(AttentionGradients, AgreeWithDifferences) {
  Machine reference(1, Backend::kReference);
  Machine tested(2, GetParam());
  std::vector<AttentionCase> cases;
  for (bool causal : {true, false}) {
    cases.push_back({2, 9, 2, 5, causal, {9, 4}, 1});
    cases.push_back({2, 9, 2, 5, causal, {9, 4}, 1, {0.5f, 0.125f}});
  }
  for (const AttentionCase& c : cases) {
    Tensors t = attention_case(c, DType::kF32).tensors;
    attention_run_forward(tested.context, c, t);
    attention_run_backward(tested.context, c, t);
    expect_gradient("attention", t[kQkv], t[kDQkv], [&](const Tensor& moved) {
      Tensors other = t;
      other[kQkv] = moved;
      attention_run_forward(reference.context, c, other);
      return dot(t[kDOut], other[kOut]);
    });
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, AttentionGradients, testing::Values(Backend::kReference, Backend::kCpu));

TEST(AttentionMemory, GrowsNoFasterThanTheSequence) {
  const auto scratch = [](int64_t sequence) {
    Machine machine(1, Backend::kCpu);
    Prepared p = attention_case({1, sequence, 1, 16, true, {}, 1, {0.5f}}, DType::kF32);
    p.run(machine.context, p.tensors);
    return static_cast<double>(machine.workspace.allocated_bytes());
  };
  EXPECT_LT(scratch(4096), 2.2 * scratch(2048));
}

}  // namespace
}  // namespace strand::test
