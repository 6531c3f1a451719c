#include "shared/net/endpoint.h"

#include <charconv>
#include <string_view>

#include "shared/base/text.h"

namespace strand {
namespace {

constexpr std::string_view kIpcPrefix = "ipc://";
constexpr std::string_view kTcpPrefix = "tcp://";

Result<Endpoint> parse_ipc(const std::string& text) {
  Endpoint endpoint;
  endpoint.path = text.substr(kIpcPrefix.size());
  if (endpoint.path.empty() || endpoint.path[0] != '/') {
    return bad_input(concat("endpoint ", text, ": an ipc endpoint needs an absolute path, as in ipc:///tmp/strand/c"));
  }
  if (endpoint.path.size() > kMaxIpcPath) {
    return bad_input(concat("endpoint ", text, ": the path has ", endpoint.path.size(),
                            " bytes, a socket path at most ", kMaxIpcPath,
                            ": choose a shorter folder, for example under /tmp"));
  }
  return endpoint;
}

bool is_loopback(std::string_view host) {
  return host == "::1" || host.starts_with("127.");
}

Result<Endpoint> parse_tcp(const std::string& text) {
  const std::string_view rest = std::string_view(text).substr(kTcpPrefix.size());
  const size_t colon = rest.rfind(':');
  std::string_view host = rest.substr(0, colon == std::string_view::npos ? 0 : colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  if (host.empty()) {
    return bad_input(concat("endpoint ", text, ": expected tcp://host:port, as in tcp://127.0.0.1:7070"));
  }
  Endpoint endpoint;
  endpoint.kind = Endpoint::Kind::kTcp;
  endpoint.host = host == "localhost" ? "127.0.0.1" : std::string(host);
  endpoint.loopback = is_loopback(endpoint.host);
  const std::string_view port = rest.substr(colon + 1);
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), endpoint.port);
  if (error != std::errc() || end != port.data() + port.size()) {
    return bad_input(concat("endpoint ", text, ": \"", port, "\" is not a port: expected a number from 0 to 65535"));
  }
  return endpoint;
}

}  // namespace

std::string Endpoint::text() const {
  if (kind == Kind::kIpc) return concat(kIpcPrefix, path);
  const bool v6 = host.find(':') != std::string::npos;
  return concat(kTcpPrefix, v6 ? "[" : "", host, v6 ? "]" : "", ":", port);
}

Result<Endpoint> parse_endpoint(const std::string& text) {
  if (text.starts_with(kIpcPrefix)) return parse_ipc(text);
  if (text.starts_with(kTcpPrefix)) return parse_tcp(text);
  return bad_input(concat("endpoint \"", text, "\": expected ipc:///path or tcp://host:port"));
}

}  // namespace strand
