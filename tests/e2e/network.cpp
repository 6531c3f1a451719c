#include "tests/e2e/network.h"

#include <gtest/gtest.h>

#include "shared/base/text.h"

namespace strand::e2e {
namespace {

using std::chrono::seconds;

// Entering a namespace of users clears the wish to die with the parent; said again behind it.
const Words kUntilTheTestEnds = {"setpriv", "--pdeathsig", "KILL"};
const Words kSleep = {"sleep", "infinity"};

Words enter(const Process& place) {
  return Words{"nsenter", "--user", "--net", "--preserve-credentials", "--target", std::to_string(place.pid())} +
         kUntilTheTestEnds;
}

// The last word of those that stand before it has been reached: all namespaces are there.
bool sleeps(const Process& process) {
  return within(seconds(10), [&] { return read_file(concat("/proc/", process.pid(), "/comm")) == "sleep\n"; });
}

}  // namespace

std::string Network::impossible(const std::string& folder) {
  Process tried =
      Process::of(folder, "namespaces",
                  Words{"unshare", "-rn"} + kUntilTheTestEnds + Words{"ip", "link", "add", "hub0", "type", "bridge"});
  if (tried.wait(seconds(10)) && tried.exit_code() == 0) return "";
  return "unshare -rn ip link add hub0 type bridge: not possible here: " + tried.err();
}

Network::Network(const std::string& folder, int hosts) : folder_(folder) {
  places_.push_back(Process::of(folder, "network", Words{"unshare", "-rn"} + kUntilTheTestEnds + kSleep));
  EXPECT_TRUE(sleeps(places_[0]));
  command(0, concat("ip link set lo up && ip link add hub0 type bridge && ip addr add ", address(0),
                    "/24 dev hub0 && ip link set hub0 up"));
  for (int host = 1; host <= hosts; ++host) {
    const Words apart = {"unshare", "--net"};
    places_.push_back(
        Process::of(folder, concat("host-", host), enter(places_[0]) + apart + kUntilTheTestEnds + kSleep));
    EXPECT_TRUE(sleeps(places_.back()));
    command(0, concat("ip link add port", host, " type veth peer name eth0 netns ", places_.back().pid(),
                      " && ip link set port", host, " master hub0 up"));
    command(host, concat("ip link set lo up && ip addr add ", address(host), "/24 dev eth0 && ip link set eth0 up"));
  }
}

std::string Network::address(int host) {
  return concat(kPrefix, host + 1);
}

Words Network::at(int host) const {
  return enter(places_.at(static_cast<size_t>(host)));
}

void Network::command(int host, const std::string& text) const {
  Process done = Process::of(folder_, "network-command", at(host) + Words{"sh", "-c", text});
  EXPECT_TRUE(done.wait(seconds(10)) && done.exit_code() == 0) << text << ": " << done.err();
}

void Network::plug(int host, bool in) {
  command(0, concat("ip link set port", host, in ? " up" : " down"));
}

void Network::lose(int from, int to, Loss loss) {
  // An address of the link layer that nobody has, or no route.
  command(from, loss == Loss::kOnTheWay
                    ? concat("ip neigh replace ", address(to), " lladdr 02:00:00:00:00:01 dev eth0 nud permanent")
                    : concat("ip route add blackhole ", address(to), "/32"));
}

void Network::mend(int from, int to, Loss loss) {
  command(from, loss == Loss::kOnTheWay ? concat("ip neigh del ", address(to), " dev eth0")
                                        : concat("ip route del blackhole ", address(to), "/32"));
}

NetworkSite::NetworkSite(const std::string& folder, const Network* network, const Words& names)
    : KeyedSite(folder, Network::kPrefix, names, 7000), network_(network) {
  for (const std::string& name : names) hosts_.emplace(name, static_cast<int>(hosts_.size()));
}

Words NetworkSite::before(const std::string& name) const {
  return network_->at(host(name));
}

}  // namespace strand::e2e
