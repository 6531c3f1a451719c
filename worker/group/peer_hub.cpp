#include "worker/group/peer_hub.h"

#include <utility>

#include "shared/base/check.h"
#include "shared/base/log.h"
#include "shared/base/text.h"

namespace strand {

constexpr Duration kTurn = std::chrono::milliseconds(10);
constexpr int kMostInATurn = 64;         // messages, so that a flood does not keep the client from its turn
constexpr uint64_t kTurnsPerLook = 100;  // at refusals

Result<std::unique_ptr<PeerHub>> PeerHub::start(std::unique_ptr<Transport> transport, const std::string& endpoint,
                                                WorkerId self, Incarnation incarnation) {
  STRAND_ASSIGN(const SocketId listener, transport->bind(endpoint));
  return std::unique_ptr<PeerHub>(new PeerHub(std::move(transport), listener, self, incarnation));
}

PeerHub::PeerHub(std::unique_ptr<Transport> transport, SocketId listener, WorkerId self, Incarnation incarnation)
    : transport_(std::move(transport)),
      listener_(listener),
      self_(self),
      incarnation_(incarnation),
      endpoint_(transport_->endpoint_of(listener)),
      thread_([this] { run(); }) {}

PeerHub::~PeerHub() {
  STRAND_CHECK(client_ == nullptr, "a client is attached to a hub that ends");
  stop_ = true;
  transport_->wake();
  thread_.join();
}

void PeerHub::attach(Client* client) {
  const std::lock_guard lock(mutex_);
  STRAND_CHECK(client != nullptr && client_ == nullptr, "a hub has one client at a time");
  client_ = client;
}

void PeerHub::detach() {
  STRAND_CHECK(std::this_thread::get_id() != thread_.get_id(), "a client cannot detach itself inside its call");
  std::unique_lock lock(mutex_);
  client_ = nullptr;
  left_.wait(lock, [&] { return !in_client_; });
}

void PeerHub::wake() {
  transport_->wake();
}

// --- the thread -----------------------------------------------------------------------------------------------------

PeerHub::Client* PeerHub::enter() {
  const std::lock_guard lock(mutex_);
  in_client_ = client_ != nullptr;
  return client_;
}

void PeerHub::leave() {
  const std::lock_guard lock(mutex_);
  in_client_ = false;
  left_.notify_all();
}

void PeerHub::run() {
  for (uint64_t turn = 0; !stop_; ++turn) {
    // Waits outside of the client's turn, so that detach() never waits for a message.
    auto first = transport_->receive(kTurn);
    Client* client = enter();
    take_batch(client, std::move(first));
    if (client != nullptr) client->on_turn();
    if (turn % kTurnsPerLook == 0) look_for_refusals();
    leave();
  }
}

void PeerHub::take_batch(Client* client, Result<std::optional<Incoming>> next) {
  for (int taken = 0; next.ok() && next->has_value(); ++taken) {
    give(client, **next);
    if (taken + 1 == kMostInATurn) return;
    next = transport_->receive(Duration::zero());
  }
  if (next.ok()) return;
  log_error("peer_receive_failed", {{"reason", next.error().message()}});
  std::this_thread::sleep_for(kTurn);  // where receiving did not wait
}

void PeerHub::give(Client* client, const Incoming& incoming) {
  // Others speak on the connection that they made to us; nobody answers on ours to them.
  if (client == nullptr) return drop("no job is at hand");
  if (incoming.socket != listener_ || incoming.frames.size() > 2) return drop("not of the protocol between workers");
  const Frame& first = incoming.frames[0];
  const auto message = decode_shard_message(first.data(), first.size());
  if (!message.ok()) return drop(message.error().message().c_str());
  if (message->header.job.value == 0 || message->header.sender.value == 0) return drop("no job or no sender");
  client->on_message(*message, incoming.frames.size() == 2 ? incoming.frames[1] : Frame());
}

// Of a flood only the 1st, 2nd, 4th, 8th, ... is logged.
void PeerHub::drop(const char* why) {
  const uint64_t dropped = ++dropped_;
  if ((dropped & (dropped - 1)) == 0) log_info("peer_message_dropped", {{"reason", why}, {"dropped", dropped}});
}

// --- inside a client's call -----------------------------------------------------------------------------------------

void PeerHub::set_peers(const std::vector<GroupMember>& members) {
  std::map<WorkerId, const GroupMember*> wanted;
  for (const GroupMember& member : members) {
    if (member.worker != self_) wanted[member.worker] = &member;
  }
  std::erase_if(peers_, [&](const auto& item) {
    const Peer& peer = item.second;
    const auto found = wanted.find(item.first);
    const bool same = found != wanted.end() && found->second->incarnation == peer.incarnation &&
                      found->second->endpoint == peer.endpoint;
    if (!same) transport_->close(peer.socket);
    return !same;
  });
  for (const auto& [worker, member] : wanted) {
    if (peers_.contains(worker)) continue;
    // The number at the end: a peer may be left and come back to, and a routing id is never used twice.
    const std::string routing_id =
        concat("p", self_.value, "-", incarnation_.value, "-", member->incarnation.value, "-", ++connections_);
    const auto socket = transport_->connect(member->endpoint, routing_id);
    if (socket.ok()) {
      peers_[worker] = {member->incarnation, member->endpoint, *socket, false};
    } else {
      log_error("peer_unreachable", {{"worker", worker.value}, {"reason", socket.error().message()}});
    }
  }
}

bool PeerHub::send(WorkerId to, const ShardMessage& message, const Frame& bulk) {
  const auto peer = peers_.find(to);
  if (peer == peers_.end()) return false;
  std::vector<Frame> frames = {Frame::from_string(encode_shard_message(message))};
  if (bulk.size() > 0) frames.push_back(bulk);
  return transport_->send(peer->second.socket, "", std::move(frames)).ok();
}

// A peer that does not let us in is as good as dead; its log and ours say why.
void PeerHub::look_for_refusals() {
  for (auto& [worker, peer] : peers_) {
    if (peer.refused) continue;
    const auto refusal = transport_->refusal(peer.socket);
    if (!refusal) continue;
    peer.refused = true;
    log_error("peer_refuses", {{"worker", worker.value}, {"reason", refusal->message()}});
  }
}

}  // namespace strand
