// The allow-list of one ZeroMQ context: answers ZAP requests (rfc.zeromq.org/spec/27) from a thread of its own.
#pragma once

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

 private:
  void serve();
  void* socket_;
  std::set<std::string> allowed_;
  std::thread thread_;
};

}  // namespace strand
