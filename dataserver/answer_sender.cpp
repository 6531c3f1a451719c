#include "dataserver/answer_sender.h"

#include <algorithm>

namespace strand {

namespace {

constexpr size_t kWorthCounting = 1024;  // smaller frames the transport copies at once

// Owns a frame until it has left; the library's thread may be the one to destroy it.
struct Ticket {
  Ticket(Frame made, std::shared_ptr<std::atomic<int64_t>> account)
      : frame(std::move(made)), unsent(std::move(account)) {
    *unsent += static_cast<int64_t>(frame.size());
  }
  ~Ticket() { *unsent -= static_cast<int64_t>(frame.size()); }
  Ticket(const Ticket&) = delete;
  Ticket& operator=(const Ticket&) = delete;

  Frame frame;
  std::shared_ptr<std::atomic<int64_t>> unsent;
};

}  // namespace

bool AnswerSender::may_have(const std::string& client) const {
  const auto found = clients_.find(client);
  return found == clients_.end() || (found->second.held.empty() && found->second.unsent->load() < kMostUnsent);
}

bool AnswerSender::waits() const {
  return std::ranges::any_of(
      clients_, [](const auto& one) { return !one.second.held.empty() || one.second.unsent->load() >= kMostUnsent; });
}

bool AnswerSender::pass_on(const std::string& client, const std::vector<Frame>& frames) {
  return transport_->send(socket_, client, frames).ok();
}

bool AnswerSender::send(const std::string& peer, std::vector<Frame> frames, Time now) {
  Client& client = clients_[peer];
  for (Frame& frame : frames) {
    if (frame.size() < kWorthCounting) continue;
    const auto ticket = std::make_shared<const Ticket>(frame, client.unsent);
    frame = Frame::view_of(ticket->frame.data(), ticket->frame.size(), ticket);
  }
  if (client.held.empty() && pass_on(peer, frames)) return true;
  client.held.push_back({std::move(frames), now});
  ++held_count_;
  return false;
}

AnswerSender::Retried AnswerSender::retry(Time now) {
  Retried retried;
  for (auto at = clients_.begin(); at != clients_.end();) {
    std::deque<Held>& held = at->second.held;
    while (!held.empty()) {
      if (pass_on(at->first, held.front().frames)) {
        ++retried.sent;
      } else if (now - held.front().since >= kHeldFor) {
        ++retried.dropped;
      } else {
        break;
      }
      held.pop_front();
      --held_count_;
    }
    at = held.empty() && at->second.unsent->load() == 0 ? clients_.erase(at) : std::next(at);
  }
  return retried;
}

}  // namespace strand
