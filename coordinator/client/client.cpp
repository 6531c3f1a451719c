#include "coordinator/client/client.h"

#include <unistd.h>

#include <algorithm>
#include <random>

#include "shared/base/hash.h"
#include "shared/base/text.h"
#include "shared/wire/messages.h"

namespace strand {
namespace {

RetryPolicy policy_of(const ClientOptions& options) {
  RetryPolicy policy;
  policy.first_retry = std::chrono::milliseconds(500);
  policy.deadline = options.timeout;
  return policy;
}

Error nobody_answers(const ClientOptions& options) {
  return unavailable(concat("no coordinator answers at ", options.endpoint, " within ", to_seconds(options.timeout),
                            " s; start one with `strand coordinator`, or name the right one"));
}

}  // namespace

std::string submission_token() {
  std::random_device random;
  return Digest128{(uint64_t{random()} << 32) | random(), (uint64_t{random()} << 32) | random()}.hex();
}

CoordinatorClient::CoordinatorClient(const ClientOptions& options, std::unique_ptr<Transport> transport,
                                     SocketId socket)
    : options_(options), transport_(std::move(transport)), socket_(socket), tracker_(policy_of(options)) {}

Result<std::unique_ptr<CoordinatorClient>> CoordinatorClient::connect(const ClientOptions& options) {
  auto transport = options.make_transport ? options.make_transport() : make_zmq_transport();
  const std::string routing_id = concat("client-", getpid(), "-", submission_token().substr(0, 16));
  auto socket = transport->connect(options.endpoint, routing_id);
  if (!socket.ok()) return socket.error().with_context("connecting to the coordinator at " + options.endpoint);
  return std::unique_ptr<CoordinatorClient>(new CoordinatorClient(options, std::move(transport), *socket));
}

Status CoordinatorClient::send(uint64_t number, const std::string& command, const std::string& arguments) {
  WireMessage message;
  message.header.request = number;
  message.body = ClientRequest{command, arguments};
  return transport_->send(socket_, "", {Frame::from_string(encode_message(message))});
}

Result<Json> CoordinatorClient::request(const std::string& command, const Json& arguments) {
  const std::string text = dump_json(arguments);
  const uint64_t number = tracker_.begin(clock_.now());
  (void)send(number, command, text);  // not sent now: the tracker repeats it
  while (true) {
    const Time now = clock_.now();
    const Time next = tracker_.next_event(now + std::chrono::seconds(1));
    auto incoming = transport_->receive(std::max(Duration::zero(), next - now));
    if (!incoming.ok()) return incoming.error();
    if (*incoming && !(*incoming)->frames.empty()) {
      const Frame& frame = (*incoming)->frames[0];
      auto message = decode_message(frame.data(), frame.size());
      const auto* reply = message.ok() ? std::get_if<ClientReply>(&message->body) : nullptr;
      if (reply && message->header.request == number && tracker_.complete(number)) {
        if (reply->code == 255) return parse_json(reply->json, "the coordinator's answer");
        return Error(static_cast<ErrorCode>(reply->code), reply->json);
      }
      if (!message.ok() && message.error().code() == ErrorCode::kBadInput) return message.error();  // another version
    }
    if (const auto refusal = transport_->refusal(socket_)) return *refusal;
    const RequestTracker::Due due = tracker_.poll(clock_.now());
    if (!due.expired.empty()) return nobody_answers(options_);
    if (!due.resend.empty()) (void)send(number, command, text);
  }
}

Result<std::string> find_coordinator(FileSystem& fs, const std::string& directory) {
  const std::string path = directory + "/coordinator.json";
  const auto text = fs.read_file(path);
  if (!text.ok()) {
    return not_found(concat("no coordinator runs in ", directory, " (", path, " is absent); start one with ",
                            "`strand coordinator --dir ", directory, "`, or name its endpoint"));
  }
  STRAND_ASSIGN(const Json json, parse_json(*text, path));
  const auto endpoint = json.find("endpoint");
  if (endpoint == json.end() || !endpoint->is_string()) return corrupt(path + ": names no endpoint");
  return endpoint->get<std::string>();
}

}  // namespace strand
