// The door to cpp-httplib: answers GET requests from text made elsewhere.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "shared/base/result.h"

namespace strand {

struct HttpAnswer {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
};

class HttpServer {
 public:
  // address: "host:port", port 0 = any free. `answer` is called on the server's own threads. kConflict when the port is
  // in use, kBadInput for an address that is none.
  static Result<std::unique_ptr<HttpServer>> start(const std::string& address,
                                                   std::function<HttpAnswer(const std::string& path)> answer);
  ~HttpServer();
  const std::string& address() const;  // resolved

 private:
  HttpServer();
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace strand
