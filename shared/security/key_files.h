// CURVE keys in files, for clusters whose endpoints can be reached from other machines (docs/security.md).
//
// A secret key PATH (mode 0600) holds one key, 40 characters of Z85 text, and has its public key beside it in PATH.pub.
// A list of public keys is a file with a key on each line, and behind it, separated by spaces, the hosts that have it:
// "KEY HOST...", a host being a name or an address as in endpoints, or HOST:PORT. Lines starting with "# " are remarks.
#pragma once

#include <string>
#include <vector>

#include "shared/base/result.h"
#include "shared/net/curve.h"
#include "shared/net/transport.h"

namespace strand {

// Makes a pair and writes PATH and PATH.pub, this one with `hosts` behind the key. kConflict when either exists: a key
// is never overwritten.
Result<CurvePair> new_key_files(const std::string& path, const std::vector<std::string>& hosts = {});
// kBadInput when the file can be read or changed by others than its owner, or holds no key. Errors never quote what the
// file holds.
Result<CurvePair> load_secret_key(const std::string& path);

struct ListedKey {
  std::string key;
  std::vector<std::string> hosts;
};
// Every key of the list, in order. kBadInput names the line that is not a key, and the host that comes with two keys.
Result<std::vector<ListedKey>> load_key_list(const std::string& path);

// The name of the secret key that `strand keys new --dir DIR` makes in DIR.
constexpr const char* kKeyFile = "strand.key";

// What a transport needs, for listening and for connecting. `secret`: a secret key, or the folder of one named
// kKeyFile. `list`: the public keys of everybody in the cluster.
Result<CurveKeys> load_curve_keys(const std::string& secret, const std::string& list);

}  // namespace strand
