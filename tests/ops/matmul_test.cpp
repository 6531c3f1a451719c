// Every case of the matrix product: the fast version agrees with the reference and gives the same bits for 1, 2, 3 and
// 4 threads, and its results do not depend on what was computed before.
#include "tests/ops/cases/matmul_cases.h"
#include "tests/ops/checks.h"

namespace strand::test {
namespace {

TEST(Matmul, CasesAgreeWithReferenceAndThreads) {
  expect_all(matmul_cases());
}

// The shapes of the 20M model, where oneDNN's own threads would change bits.
TEST(Matmul, ModelShapesHaveSameBitsForThreads) {
  for (DType dtype : {DType::kF32, DType::kBF16}) {
    expect_same_bits_for_threads(matmul_case({1000, 768, 256, false, true}, dtype, dtype));
    expect_same_bits_for_threads(matmul_case({1000, 1024, 256, false, false}, dtype, dtype));
    expect_same_bits_for_threads(matmul_case({256, 1024, 4500, true, false, true}, dtype, DType::kF32));
    expect_same_bits_for_threads(matmul_case({256, 256, 1000, true, false, true}, dtype, DType::kF32));
  }
}

TEST(Matmul, KnownValues) {
  Machine machine(1, Backend::kCpu);
  const float a[] = {1, 2, 3, 4, 5, 6};
  const float b[] = {7, 8, 9, 10, 11, 12};
  const float bias[] = {100, 200};
  float c[4] = {};
  MatmulArgs args;
  args.a = ConstMatrix(a, DType::kF32, 2, 3);
  args.b = ConstMatrix(b, DType::kF32, 3, 2);
  args.c = Matrix(c, DType::kF32, 2, 2);
  args.bias = bias;
  matmul(machine.context, args);
  EXPECT_EQ(std::vector<float>(c, c + 4), (std::vector<float>{158, 264, 239, 354}));
}

}  // namespace
}  // namespace strand::test
