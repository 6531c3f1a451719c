// CURVE key pairs (Curve25519), as Z85 text of 40 characters.
#pragma once

#include <string>

#include "shared/base/result.h"

namespace strand {

struct CurvePair {
  std::string public_key, secret_key;
};

// From the system's random source. kUnavailable when the ZeroMQ library was built without CURVE.
Result<CurvePair> generate_curve_pair();
// The public key that belongs to a secret one. kBadInput for anything that is not a key.
Result<std::string> curve_public_key(const std::string& secret_key);
// 40 characters of the Z85 alphabet.
bool is_curve_key(const std::string& text);

}  // namespace strand
