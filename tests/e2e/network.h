// A network of the tests' own: hosts in network namespaces of their own, each on a cable to one bridge, and nobody else
// there. Needs no rights where users may make namespaces.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "tests/e2e/site.h"

namespace strand::e2e {

// How what one host sends to another is lost.
enum class Loss {
  kOnTheWay,    // without a word: the sender thinks that it has left
  kAtTheSender  // the sender's own system has no way there, and may say so
};

class Network {
 public:
  // Why there can be none on this machine; empty where there can.
  static std::string impossible(const std::string& folder);

  // `hosts` beside the tester's own place (host 0); host n has the address kPrefix + (n + 1).
  Network(const std::string& folder, int hosts);

  static constexpr const char* kPrefix = "10.77.0.";
  static std::string address(int host);
  // The words before a program that is to run there.
  Words at(int host) const;

  // Whether the cable of a host (not the tester's) is in: without it nothing comes or goes.
  void plug(int host, bool in);
  // What `from` (not the tester) sends to `to`, in that direction only.
  void lose(int from, int to, Loss loss);
  void mend(int from, int to, Loss loss);

 private:
  // Of sh, in the place of that host; fails the test when it fails.
  void command(int host, const std::string& text) const;

  std::string folder_;
  std::vector<Process> places_;  // hold the namespaces; the tester's first
};

// A cluster in a network: each of the names on a host of its own, from host 1 on; all others are where the tester is.
class NetworkSite : public KeyedSite {
 public:
  // The names are those of KeyedSite; the first is the tester's, "client".
  NetworkSite(const std::string& folder, const Network* network, const Words& names);
  Words before(const std::string& name) const override;
  int host(const std::string& name) const { return hosts_.at(name); }

 private:
  const Network* network_;
  std::map<std::string, int> hosts_;
};

}  // namespace strand::e2e
