#include "tests/e2e/site.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "shared/base/check.h"
#include "shared/base/text.h"

namespace strand::e2e {
namespace {

// Nobody listened there a moment ago.
int free_port() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_ANY);
  socklen_t size = sizeof address;
  STRAND_CHECK(bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0);
  STRAND_CHECK(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  close(fd);
  return ntohs(address.sin_port);
}

}  // namespace

Words Site::options(const std::string&) const {
  return {};
}

Words Site::before(const std::string&) const {
  return {};
}

KeyedSite::KeyedSite(const std::string& folder, const std::string& network, const Words& names, int port)
    : network_(network), names_(names), port_(port == 0 ? free_port() : port) {
  std::string list;
  for (const std::string& name : names) list += make_key_pair(folder, name, {"--host", address(name)});
  write_file(folder + "/cluster.keys", list);
}

std::string KeyedSite::address(const std::string& name) const {
  const auto found = std::ranges::find(names_, name);
  STRAND_CHECK(found != names_.end(), name);
  return concat(network_, found - names_.begin() + 1);
}

std::string KeyedSite::endpoint(const std::string& name) const {
  return concat("tcp://", address(name), ":", port_);
}

std::string make_key_pair(const std::string& folder, const std::string& name, const Words& options) {
  const Process made =
      run(folder, "keys-" + name, Words{"keys", "new", "--dir", "keys/" + name} + options, std::chrono::seconds(20));
  EXPECT_EQ(made.exit_code(), 0) << made.err();
  return read_file(folder + "/keys/" + name + "/strand.key.pub");
}

}  // namespace strand::e2e
