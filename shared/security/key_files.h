// CURVE keys in files, for clusters whose endpoints can be reached from other machines (docs/wire_protocol.md,
// Security). A secret key PATH (mode 0600) has its public key beside it in PATH.pub. Both hold one key, 40 characters
// of Z85 text; lines starting with "# " are remarks. A list of public keys is a file of the same form with any number
// of keys.
#pragma once

#include <string>
#include <vector>

#include "shared/base/result.h"
#include "shared/net/curve.h"
#include "shared/net/transport.h"

namespace strand {

// Makes a pair and writes PATH and PATH.pub. kConflict when either exists: a key is never overwritten.
Result<CurvePair> new_key_files(const std::string& path);
// kBadInput when the file can be read by others than its owner, or holds no key.
Result<CurvePair> load_secret_key(const std::string& path);
// Every key of the file, in order. kBadInput names the line that is not a key.
Result<std::vector<std::string>> load_public_keys(const std::string& path);

// What a transport needs. `server_public` (one key) is for connecting, `allowed_clients` for listening; either may be
// empty.
Result<CurveKeys> load_curve_keys(const std::string& secret, const std::string& server_public,
                                  const std::string& allowed_clients);

}  // namespace strand
