#include "coordinator/client/client.h"

#include <unistd.h>

#include "shared/base/text.h"
#include "shared/wire/messages.h"

namespace strand {
namespace {

constexpr RetryPolicy kRetry{std::chrono::milliseconds(500), std::chrono::seconds(2), Duration(0)};
constexpr Duration kWait = std::chrono::milliseconds(50);

Result<Json> read_reply(const std::string& command, const ClientReply& reply) {
  if (reply.code != 255) return Error(static_cast<ErrorCode>(reply.code), reply.json);
  return parse_json(reply.json, "the coordinator's answer to " + command);
}

}  // namespace

Client::Client(std::unique_ptr<Transport> transport, SocketId socket, std::string endpoint, std::string name)
    : transport_(std::move(transport)),
      socket_(socket),
      endpoint_(std::move(endpoint)),
      name_(std::move(name)),
      tracker_(kRetry) {}

Result<std::unique_ptr<Client>> Client::connect(std::unique_ptr<Transport> transport, const std::string& endpoint) {
  const SystemClock clock;
  std::string name = concat("c", getpid(), "-", clock.wall_nanoseconds());
  STRAND_ASSIGN(const SocketId socket, transport->connect(endpoint, name));
  return std::unique_ptr<Client>(new Client(std::move(transport), socket, endpoint, std::move(name)));
}

std::string Client::fresh_token() {
  return concat(name_, "-", ++tokens_);
}

Result<Json> Client::call(const std::string& command, const Json& arguments, Duration limit) {
  const Time end = clock_.now() + limit;
  WireMessage message;
  message.header.request = tracker_.begin(clock_.now());
  message.body = ClientRequest{command, arguments.dump(-1, ' ', false, Json::error_handler_t::replace)};
  const uint64_t request = message.header.request;
  const std::string bytes = encode_message(message);
  bool due = true;
  while (clock_.now() < end) {
    if (due) {
      std::vector<Frame> frames;
      frames.push_back(Frame::from_string(bytes));
      due = transport_->send(socket_, "", std::move(frames)).ok() == false;  // not connected yet: again at once
    }
    STRAND_ASSIGN(auto incoming, transport_->receive(kWait));
    if (incoming && !incoming->frames.empty()) {
      auto answer = decode_message(incoming->frames[0].data(), incoming->frames[0].size());
      const auto* reply = answer.ok() ? std::get_if<ClientReply>(&answer->body) : nullptr;
      // The first answer to this request counts; one to an earlier, given up request is dropped.
      if (reply != nullptr && answer->header.request == request && tracker_.complete(request)) {
        return read_reply(command, *reply);
      }
    }
    for (const uint64_t again : tracker_.poll(clock_.now()).resend) due = due || again == request;
  }
  tracker_.complete(request);
  return unavailable(concat("no coordinator answers at ", endpoint_,
                            "; is it running? Start one with: strand coordinator --bind ", endpoint_, " --dir DIR"));
}

}  // namespace strand
