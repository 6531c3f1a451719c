// The allow-list of one ZeroMQ context: answers ZAP requests (rfc.zeromq.org/spec/27) from a thread of its own.
#pragma once

#include <atomic>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "shared/base/result.h"

namespace strand {

class ZapAllowList {
 public:
  // `context` is a ZeroMQ context. A client is let in when its public key (Z85) is listed; an empty list lets nobody
  // in.
  ZapAllowList(void* context, const std::vector<std::string>& allowed_clients);
  ~ZapAllowList();  // after the context has been terminated: that ends the thread
  ZapAllowList(const ZapAllowList&) = delete;

  uint64_t turned_away() const { return turned_away_.load(); }

 private:
  void serve();
  void log_refusal(const std::string& key);
  void* socket_;
  std::set<std::string> allowed_;
  std::atomic<uint64_t> turned_away_{0};
  std::map<std::string, uint64_t> refusals_;  // by key; of the thread
  std::thread thread_;
};

}  // namespace strand
