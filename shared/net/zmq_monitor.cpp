#include "shared/net/zmq_monitor.h"

#include <zmq.h>

#include <atomic>
#include <cstring>

#include "shared/base/check.h"
#include "shared/base/text.h"

namespace strand {

ZmqMonitor::ZmqMonitor(void* context, void* socket, std::string endpoint, std::string public_key)
    : socket_(socket),
      events_(zmq_socket(context, ZMQ_PAIR)),
      endpoint_(std::move(endpoint)),
      public_key_(std::move(public_key)) {
  static std::atomic<uint64_t> last{0};
  const std::string address = concat("inproc://monitor-", ++last);
  constexpr int kEvents =
      ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH;
  STRAND_CHECK(events_ != nullptr, zmq_strerror(zmq_errno()));
  STRAND_CHECK(zmq_socket_monitor(socket_, address.c_str(), kEvents) == 0, zmq_strerror(zmq_errno()));
  const int linger = 0;
  zmq_setsockopt(events_, ZMQ_LINGER, &linger, sizeof linger);
  STRAND_CHECK(zmq_connect(events_, address.c_str()) == 0, zmq_strerror(zmq_errno()));
}

ZmqMonitor::~ZmqMonitor() {
  zmq_socket_monitor(socket_, nullptr, 0);
  zmq_close(events_);
}

// An event is two parts: its number (u16) with a value (u32), and the address.
std::optional<Error> ZmqMonitor::refusal() {
  while (true) {
    char event[6] = {}, address[256];
    if (zmq_recv(events_, event, sizeof event, ZMQ_DONTWAIT) < 0) return refusal_;
    (void)zmq_recv(events_, address, sizeof address, ZMQ_DONTWAIT);
    uint16_t number = 0;
    uint32_t value = 0;
    std::memcpy(&number, event, sizeof number);
    std::memcpy(&value, event + sizeof number, sizeof value);
    take_event(number, value);
  }
}

void ZmqMonitor::take_event(uint16_t event, uint32_t value) {
  if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) {
    refusal_.reset();
  } else if (event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH && value == 400) {
    refusal_ = bad_input(concat(endpoint_, " does not let this process in: its public key ", public_key_,
                                " is not in the list of keys there; add it to the file of --allow and start that "
                                "process again"));
  } else if (event == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL && value == ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH) {
    refusal_ = bad_input(concat(endpoint_, public_key_.empty()
                                               ? " speaks only with keys and this process has none: give --keys and "
                                                 "--allow"
                                               : " has no keys and this process has: start it with --keys and --allow, "
                                                 "or this one without"));
  }
}

}  // namespace strand
