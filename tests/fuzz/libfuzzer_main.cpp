// libFuzzer's door to the same targets, in place of fuzz_main.cpp: -DSTRAND_FUZZ=ON with clang.
#include "tests/fuzz/fuzz_main.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return fuzz_one(data, size);
}
