#include "shared/net/zmq_zap.h"

#include <zmq.h>

#include <array>

#include "shared/base/check.h"
#include "shared/base/log.h"

namespace strand {
namespace {

// One whole message, or nothing when the context ends.
std::vector<std::string> receive_parts(void* socket) {
  std::vector<std::string> parts;
  int more = 1;
  while (more != 0) {
    zmq_msg_t message;
    zmq_msg_init(&message);
    int rc = 0;
    do {
      rc = zmq_msg_recv(&message, socket, 0);
    } while (rc < 0 && zmq_errno() == EINTR);
    if (rc < 0) {
      zmq_msg_close(&message);
      return {};
    }
    parts.emplace_back(static_cast<const char*>(zmq_msg_data(&message)), zmq_msg_size(&message));
    more = zmq_msg_more(&message);
    zmq_msg_close(&message);
  }
  return parts;
}

// The client's public key as Z85 text; empty when the request is not CURVE.
std::string client_key(const std::vector<std::string>& request) {
  constexpr size_t kMechanism = 5, kCredentials = 6;  // after version, id, domain, address, routing id
  if (request.size() <= kCredentials || request[kMechanism] != "CURVE" || request[kCredentials].size() != 32) return {};
  std::array<char, 41> text{};
  zmq_z85_encode(text.data(), reinterpret_cast<const uint8_t*>(request[kCredentials].data()), 32);
  return text.data();
}

}  // namespace

ZapAllowList::ZapAllowList(void* context, const std::vector<std::string>& allowed_clients)
    : socket_(zmq_socket(context, ZMQ_REP)), allowed_(allowed_clients.begin(), allowed_clients.end()) {
  STRAND_CHECK(socket_ != nullptr, zmq_strerror(zmq_errno()));
  STRAND_CHECK(zmq_bind(socket_, "inproc://zeromq.zap.01") == 0, zmq_strerror(zmq_errno()));
  thread_ = std::thread([this] { serve(); });
}

ZapAllowList::~ZapAllowList() {
  thread_.join();
}

// Whoever is turned away tries again for ever: of one key the 1st, 2nd, 4th, 8th, ... time is logged, and of all keys
// no more than kMostKeys are told apart.
void ZapAllowList::log_refusal(const std::string& key) {
  constexpr size_t kMostKeys = 1000;
  ++turned_away_;
  const bool many = refusals_.size() >= kMostKeys && !refusals_.contains(key);
  const uint64_t times = ++refusals_[many ? "others" : key.empty() ? "none" : key];
  if ((times & (times - 1)) != 0) return;
  log_warning("client_refused", {{"public_key", key.empty() ? "none" : key},
                                 {"times", times},
                                 {"reason", "the key is not in the list of --allow"}});
}

void ZapAllowList::serve() {
  const int linger = 0;
  zmq_setsockopt(socket_, ZMQ_LINGER, &linger, sizeof linger);
  while (true) {
    const std::vector<std::string> request = receive_parts(socket_);
    if (request.size() < 2) break;
    const std::string key = client_key(request);
    const bool known = allowed_.contains(key);
    if (!known) log_refusal(key);
    const std::string reply[] = {"1.0", request[1], known ? "200" : "400", known ? "OK" : "key not listed", key, ""};
    for (size_t i = 0; i < std::size(reply); ++i) {
      zmq_send(socket_, reply[i].data(), reply[i].size(), i + 1 < std::size(reply) ? ZMQ_SNDMORE : 0);
    }
  }
  zmq_close(socket_);
}

}  // namespace strand
