#include "coordinator/membership.h"

#include "shared/base/text.h"

namespace strand {

Membership::Join Membership::hello(const std::string& peer, const Header& header, const Hello& hello, Time now) {
  const auto found = workers_.find(header.sender);
  Join join = Join::kNew;
  if (found != workers_.end()) {
    if (found->second.incarnation > header.incarnation) return Join::kOutdated;
    join = found->second.incarnation == header.incarnation ? Join::kSame : Join::kReplaced;
  }
  WorkerEntry& entry = workers_[header.sender];
  if (join != Join::kSame) {
    entry = WorkerEntry();
    entry.joined = now;
  } else if (header.request < entry.said) {  // overtaken by what it said later
    return join;
  }
  entry.said = header.request;
  entry.id = header.sender;
  entry.incarnation = header.incarnation;
  entry.peer = peer;
  entry.hello = hello;
  entry.state = hello.state;
  entry.job = header.job;
  entry.generation = header.generation;
  entry.step = header.step;
  entry.heard = now;
  entry.unreachable.reset();
  return join;
}

WorkerEntry* Membership::find(WorkerId id, Incarnation incarnation) {
  WorkerEntry* entry = find(id);
  return entry && entry->incarnation == incarnation ? entry : nullptr;
}

WorkerEntry* Membership::find(WorkerId id) {
  const auto found = workers_.find(id);
  return found == workers_.end() ? nullptr : &found->second;
}

WorkerEntry* Membership::find_peer(const std::string& peer) {
  for (auto& [id, worker] : workers_) {
    if (worker.peer == peer) return &worker;
  }
  return nullptr;
}

std::string fingerprint_difference(const std::string& pinned, const std::string& other) {
  if (pinned == other) return {};
  const auto a = split(pinned, ' '), b = split(other, ' ');
  for (size_t i = 0; i < std::max(a.size(), b.size()); ++i) {
    const std::string x = i < a.size() ? a[i] : "absent", y = i < b.size() ? b[i] : "absent";
    if (x != y) return concat(x, " -> ", y);
  }
  return concat(pinned, " -> ", other);
}

}  // namespace strand
