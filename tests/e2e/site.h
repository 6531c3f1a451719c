// Where the processes of a cluster are, and how the others reach them: sockets of a folder, tcp with keys.
#pragma once

#include <string>

#include "tests/e2e/group_job.h"

namespace strand::e2e {

// Processes are named "coordinator", "data-1", "worker-1", ...; the command line is "client".
class Site {
 public:
  virtual ~Site() = default;
  // Where the process of that name listens.
  virtual std::string endpoint(const std::string& name) const = 0;
  // Options that it is started with beyond the endpoints.
  virtual Words options(const std::string& name) const;
  // The words that stand before the program and its arguments.
  virtual Words before(const std::string& name) const;
};

// Unix sockets in a folder.
class SocketSite : public Site {
 public:
  explicit SocketSite(std::string folder) : folder_(std::move(folder)) {}
  std::string path(const std::string& name) const { return folder_ + "/" + name + ".sock"; }
  std::string endpoint(const std::string& name) const override { return "ipc://" + path(name); }

 private:
  std::string folder_;
};

// tcp, each process with an address and a key pair of its own; all their keys are in one list.
class KeyedSite : public Site {
 public:
  // Makes the pairs (keys/NAME) and the list (cluster.keys) in `folder`. The n-th of the names has the address
  // `network` (such as "127.77.0.") with n + 1 behind it. `port`: 0: a free one.
  KeyedSite(const std::string& folder, const std::string& network, const Words& names, int port);
  std::string endpoint(const std::string& name) const override;
  Words options(const std::string& name) const override { return keys(name); }
  std::string address(const std::string& name) const;
  // --keys and --allow of somebody who has a pair in keys/NAME.
  static Words keys(const std::string& name) { return {"--keys", "keys/" + name, "--allow", "cluster.keys"}; }

 private:
  std::string network_;
  Words names_;
  int port_;
};

// A pair in folder/keys/NAME by `strand keys new`; its public key's line.
std::string make_key_pair(const std::string& folder, const std::string& name, const Words& options = {});

}  // namespace strand::e2e
