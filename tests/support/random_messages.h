// Random values of everything the codec carries, each field drawn, for round-trip and damage tests.
#pragma once

#include <random>

#include "shared/wire/manifest.h"
#include "shared/wire/messages.h"

namespace strand {

using TestRandom = std::mt19937_64;

// `kind` is an index of Body. Texts hold any byte, also zeros; lists may be empty; numbers take extreme values often.
WireMessage random_message(TestRandom& random, size_t kind);
Manifest random_manifest(TestRandom& random);
PartHeader random_part_header(TestRandom& random);

}  // namespace strand
