// Every case of every row and pointwise operator: the fast version agrees with the reference, leaves what lies between
// rows alone, and gives the same bits for 1, 2, 3 and 4 threads.
#include "tests/ops/cases/activation_cases.h"
#include "tests/ops/cases/adamw_cases.h"
#include "tests/ops/cases/cast_cases.h"
#include "tests/ops/cases/cross_entropy_cases.h"
#include "tests/ops/cases/dropout_cases.h"
#include "tests/ops/cases/embedding_cases.h"
#include "tests/ops/cases/layer_norm_cases.h"
#include "tests/ops/cases/reduce_cases.h"
#include "tests/ops/cases/residual_cases.h"
#include "tests/ops/cases/rms_norm_cases.h"
#include "tests/ops/cases/rope_cases.h"
#include "tests/ops/cases/swiglu_cases.h"
#include "tests/ops/checks.h"

namespace strand::test {
namespace {

TEST(RowOps, Activation) {
  expect_all(activation_cases());
}
TEST(RowOps, AdamW) {
  expect_all(adamw_cases());
}
TEST(RowOps, Cast) {
  expect_all(cast_cases());
}
TEST(RowOps, CrossEntropy) {
  expect_all(cross_entropy_cases());
}
TEST(RowOps, Dropout) {
  expect_all(dropout_cases());
}
TEST(RowOps, Embedding) {
  expect_all(embedding_cases());
}
TEST(RowOps, LayerNorm) {
  expect_all(layer_norm_cases());
}
TEST(RowOps, Reduce) {
  expect_all(reduce_cases());
}
TEST(RowOps, Residual) {
  expect_all(residual_cases());
}
TEST(RowOps, RmsNorm) {
  expect_all(rms_norm_cases());
}
TEST(RowOps, Rope) {
  expect_all(rope_cases());
}
TEST(RowOps, SwiGlu) {
  expect_all(swiglu_cases());
}

}  // namespace
}  // namespace strand::test
