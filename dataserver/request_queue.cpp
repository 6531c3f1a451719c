#include "dataserver/request_queue.h"

#include <algorithm>

namespace strand {

bool RequestQueue::add(const ServeRows& request, Time now) {
  Client& client = clients_[request.to.peer];
  client.heard = now;
  for (Waiting& waiting : client.waiting) {
    if (waiting.request.to.header.request != request.to.header.request) continue;
    if (waiting.request.fetch != request.fetch) continue;
    waiting.asked = now;
    return true;
  }
  if (client.waiting.size() >= kMostWaiting) return false;
  // Start-time fair queueing (Goyal, Vin, Chen, 1996): who comes back after a pause has saved nothing up.
  if (client.waiting.empty()) client.had = std::max(client.had, clock_);
  client.waiting.push_back({request, now, now});
  ++waiting_;
  return true;
}

std::optional<RequestQueue::Waiting> RequestQueue::next(
    const std::function<bool(const std::string& client)>& may_have) {
  auto best = clients_.end();
  for (auto at = clients_.begin(); at != clients_.end(); ++at) {
    const Client& client = at->second;
    if (client.waiting.empty() || !may_have(at->first)) continue;
    const auto order = [](const Client& c) { return std::pair(c.had, c.waiting.front().since); };
    if (best == clients_.end() || order(client) < order(best->second)) best = at;
  }
  if (best == clients_.end()) return std::nullopt;
  Waiting first = std::move(best->second.waiting.front());
  best->second.waiting.pop_front();
  --waiting_;
  clock_ = std::max(clock_, best->second.had);
  return first;
}

void RequestQueue::charge(const std::string& client, uint64_t cost) {
  const auto found = clients_.find(client);
  if (found != clients_.end()) found->second.had += cost;
}

size_t RequestQueue::forget(Time now) {
  const size_t before = waiting_;
  for (auto at = clients_.begin(); at != clients_.end();) {
    std::deque<Waiting>& waiting = at->second.waiting;
    waiting_ -= std::erase_if(waiting, [&](const Waiting& one) { return now - one.asked >= kDeadline; });
    at = waiting.empty() && now - at->second.heard >= kRemembered ? clients_.erase(at) : std::next(at);
  }
  return before - waiting_;
}

}  // namespace strand
