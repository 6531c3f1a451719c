#include "coordinator/client/client.h"

#include <unistd.h>

#include <algorithm>
#include <random>

#include "shared/base/hash.h"
#include "shared/base/text.h"
#include "shared/wire/messages.h"

namespace strand {
namespace {

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
    : options_(options), transport_(std::move(transport)), socket_(socket), call_(options.timeout) {}

Result<std::unique_ptr<CoordinatorClient>> CoordinatorClient::connect(const ClientOptions& options) {
  auto transport = options.make_transport ? options.make_transport() : make_zmq_transport();
  const std::string routing_id = concat("client-", getpid(), "-", submission_token().substr(0, 16));
  auto socket = transport->connect(options.endpoint, routing_id);
  if (!socket.ok()) return socket.error().with_context("connecting to the coordinator at " + options.endpoint);
  return std::unique_ptr<CoordinatorClient>(new CoordinatorClient(options, std::move(transport), *socket));
}

Status CoordinatorClient::send(const WireMessage& message) {
  return transport_->send(socket_, "", {Frame::from_string(encode_message(message))});
}

Result<Json> CoordinatorClient::request(const std::string& command, const Json& arguments) {
  (void)send(call_.begin(command, dump_json(arguments), clock_.now()));  // not sent now: it is said again
  while (true) {
    const Time now = clock_.now();
    const Time next = call_.next_event(now + std::chrono::seconds(1));
    auto incoming = transport_->receive(std::max(Duration::zero(), next - now));
    if (!incoming.ok()) return incoming.error();
    if (*incoming && !(*incoming)->frames.empty()) {
      const Frame& frame = (*incoming)->frames[0];
      auto message = decode_message(frame.data(), frame.size());
      if (message.ok()) {
        if (const auto answer = call_.on_message(*message)) return *answer;
      } else if (message.error().code() == ErrorCode::kBadInput) {
        return message.error();  // another version
      }
    }
    if (const auto refusal = transport_->refusal(socket_)) return *refusal;
    const ClientCall::Due due = call_.poll(clock_.now());
    if (due.expired) return nobody_answers(options_);
    if (due.again) (void)send(call_.request());
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
