#include "coordinator/client/client_call.h"

namespace strand {
namespace {

RetryPolicy policy_of(Duration timeout) {
  RetryPolicy policy;
  policy.first_retry = std::chrono::milliseconds(500);
  policy.deadline = timeout;
  return policy;
}

}  // namespace

ClientCall::ClientCall(Duration timeout) : tracker_(policy_of(timeout)) {}

const WireMessage& ClientCall::begin(const std::string& command, std::string arguments, Time now) {
  (void)tracker_.complete(request_.header.request);
  request_.header.request = tracker_.begin(now);
  request_.body = ClientRequest{command, std::move(arguments)};
  return request_;
}

std::optional<Result<Json>> ClientCall::on_message(const WireMessage& message) {
  const auto* reply = std::get_if<ClientReply>(&message.body);
  if (!reply || message.header.request != request_.header.request) return std::nullopt;
  if (!tracker_.complete(message.header.request)) return std::nullopt;
  if (reply->code == 255) return parse_json(reply->json, "the coordinator's answer");
  return Error(static_cast<ErrorCode>(reply->code), reply->json);
}

ClientCall::Due ClientCall::poll(Time now) {
  const RequestTracker::Due due = tracker_.poll(now);
  return {!due.resend.empty(), !due.expired.empty()};
}

}  // namespace strand
