#include "shared/http/http_server.h"

#include <httplib.h>

#include <charconv>
#include <chrono>
#include <thread>

#include "shared/base/text.h"

namespace strand {
namespace {
constexpr size_t kThreads = 2;
}

struct HttpServer::State {
  httplib::Server server;
  std::string address;
  std::thread thread;
};

HttpServer::HttpServer() : state_(std::make_unique<State>()) {}

HttpServer::~HttpServer() {
  state_->server.stop();
  if (state_->thread.joinable()) state_->thread.join();
}

const std::string& HttpServer::address() const {
  return state_->address;
}

Result<std::unique_ptr<HttpServer>> HttpServer::start(const std::string& address,
                                                      std::function<HttpAnswer(const std::string& path)> answer) {
  const size_t colon = address.rfind(':');
  int port = -1;
  if (colon != std::string::npos) {
    const char* end = address.data() + address.size();
    const auto parsed = std::from_chars(address.data() + colon + 1, end, port);
    if (parsed.ec != std::errc() || parsed.ptr != end) port = -1;
  }
  if (port < 0 || port > 65535) {
    return bad_input(concat("HTTP address ", address, ": expected host:port, like 127.0.0.1:8080"));
  }
  const std::string host = address.substr(0, colon);
  try {
    std::unique_ptr<HttpServer> http(new HttpServer());
    httplib::Server& server = http->state_->server;
    server.new_task_queue = [] { return new httplib::ThreadPool(kThreads); };
    // The library's default also sets SO_REUSEPORT, with which two processes would share a port unnoticed.
    server.set_socket_options([](socket_t socket) {
      const int yes = 1;
      setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    });
    server.Get(".*", [answer = std::move(answer)](const httplib::Request& request, httplib::Response& response) {
      HttpAnswer made = answer(request.path);
      response.status = made.status;
      response.set_content(std::move(made.body), made.content_type.c_str());
    });
    if (port == 0) {
      port = server.bind_to_any_port(host.c_str());
      if (port < 0) port = 0;
    } else if (!server.bind_to_port(host.c_str(), port)) {
      port = 0;
    }
    if (port == 0) {
      return Error(ErrorCode::kConflict, concat("cannot listen for HTTP on ", address,
                                                ": the port is in use or the address is not this machine's; choose "
                                                "another --http"));
    }
    http->state_->address = concat(host, ":", port);
    http->state_->thread = std::thread([&server] { server.listen_after_bind(); });
    // stop() on a server that does not listen yet is lost: wait until it does.
    while (!server.is_running()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return http;
  } catch (const std::exception& e) {
    return internal_error(concat("HTTP server: ", e.what()));
  }
}

}  // namespace strand
