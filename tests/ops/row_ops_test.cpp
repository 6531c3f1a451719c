// Every case of every row and pointwise operator: the fast version agrees with the reference, leaves what lies between
// rows alone, and gives the same bits for 1, 2, 3 and 4 threads; on every instruction set this machine has.
#include "ops/cpu/simd_info.h"
#include "tests/ops/cases/activation_cases.h"
#include "tests/ops/cases/adamw_cases.h"
#include "tests/ops/cases/bce_cases.h"
#include "tests/ops/cases/cast_cases.h"
#include "tests/ops/cases/cross_entropy_cases.h"
#include "tests/ops/cases/dropout_cases.h"
#include "tests/ops/cases/embedding_cases.h"
#include "tests/ops/cases/geglu_cases.h"
#include "tests/ops/cases/layer_norm_cases.h"
#include "tests/ops/cases/mse_cases.h"
#include "tests/ops/cases/pooling_cases.h"
#include "tests/ops/cases/reduce_cases.h"
#include "tests/ops/cases/residual_cases.h"
#include "tests/ops/cases/rms_norm_cases.h"
#include "tests/ops/cases/rope_cases.h"
#include "tests/ops/cases/swiglu_cases.h"
#include "tests/ops/checks.h"

namespace strand::test {
namespace {

class RowOps : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    use_simd_target_for_test(GetParam());
    ASSERT_EQ(simd_target(), GetParam());
  }
  void TearDown() override { use_simd_target_for_test(""); }
};

TEST_P(RowOps, Activation) {
  expect_all(activation_cases());
}
TEST_P(RowOps, AdamW) {
  expect_all(adamw_cases());
}
TEST_P(RowOps, Bce) {
  expect_all(bce_cases());
}
TEST_P(RowOps, Cast) {
  expect_all(cast_cases());
}
TEST_P(RowOps, CrossEntropy) {
  expect_all(cross_entropy_cases());
}
TEST_P(RowOps, Dropout) {
  expect_all(dropout_cases());
}
TEST_P(RowOps, Embedding) {
  expect_all(embedding_cases());
}
TEST_P(RowOps, GeGlu) {
  expect_all(geglu_cases());
}
TEST_P(RowOps, LayerNorm) {
  expect_all(layer_norm_cases());
}
TEST_P(RowOps, Mse) {
  expect_all(mse_cases());
}
TEST_P(RowOps, Pooling) {
  expect_all(pooling_cases());
}
TEST_P(RowOps, Reduce) {
  expect_all(reduce_cases());
}
TEST_P(RowOps, Residual) {
  expect_all(residual_cases());
}
TEST_P(RowOps, RmsNorm) {
  expect_all(rms_norm_cases());
}
TEST_P(RowOps, Rope) {
  expect_all(rope_cases());
}
TEST_P(RowOps, SwiGlu) {
  expect_all(swiglu_cases());
}

INSTANTIATE_TEST_SUITE_P(InstructionSets, RowOps, testing::ValuesIn(simd_targets()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace strand::test
