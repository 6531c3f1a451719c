// What a fuzz target implements. Each target is one .cpp file that defines fuzz_one; the driver around it is
// fuzz_main.cpp (any compiler), or libFuzzer when configured with -DSTRAND_FUZZ=ON under clang.
#pragma once

#include <cstddef>
#include <cstdint>

// Feeds one input to the parser under test. Bad input must come back as a Result with an error; a crash, an abort, a
// sanitizer report, an exception or a run of more than ten seconds is a finding. Checks properties with STRAND_CHECK.
// Returns 0 (other values are reserved, as in libFuzzer).
int fuzz_one(const uint8_t* data, size_t size);
