// Where a socket listens or connects: "ipc:///absolute/path" or "tcp://host:port".
#pragma once

#include <cstdint>
#include <string>

#include "shared/base/result.h"

namespace strand {

struct Endpoint {
  enum class Kind { kIpc, kTcp };
  Kind kind = Kind::kIpc;
  std::string path;      // ipc: absolute, at most kMaxIpcPath bytes
  std::string host;      // tcp: name or address, without the brackets of IPv6; "localhost" becomes 127.0.0.1
  uint16_t port = 0;     // tcp: 0 = any free one (bind only)
  bool loopback = true;  // cannot be reached from another machine: ipc, 127.0.0.0/8, ::1

  std::string text() const;
};

constexpr size_t kMaxIpcPath = 107;  // sockaddr_un::sun_path less its final zero

// kBadInput says what is expected and how to mend it.
Result<Endpoint> parse_endpoint(const std::string& text);

}  // namespace strand
