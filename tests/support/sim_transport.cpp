#include "tests/support/sim_transport.h"

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <utility>

#include "shared/base/check.h"
#include "shared/base/text.h"

namespace strand {
namespace {

constexpr size_t kQueueMessages = 1000;  // as the ZeroMQ transport

struct PortId {
  int process = 0;
  SocketId socket = 0;
  auto operator<=>(const PortId&) const = default;
};

struct Port {
  bool bound = false;
  std::string endpoint;
  std::string routing_id;                // of a connected port
  std::vector<std::vector<Frame>> held;  // of a connected port whose listener is absent
  std::map<PortId, Time> last_arrival;   // by sender
  std::map<PortId, size_t> under_way;    // by sender
};

struct Delivery {
  PortId from;
  Incoming incoming;
};

}  // namespace

struct SimNetwork::State {
  State(uint64_t seed, const SimClock& the_clock) : clock(the_clock), random(seed) {}

  const SimClock& clock;
  std::mt19937_64 random;
  SimFaults faults;
  Counters counters;
  std::set<std::string> unreachable;
  std::map<PortId, Port> ports;
  std::map<int, std::multimap<Time, Delivery>> inboxes;  // by process
  int processes = 0, free_port = 20000;

  double draw() { return static_cast<double>(random() >> 11) * 0x1.0p-53; }

  std::optional<PortId> find(const std::string& endpoint, bool bound, const std::string& routing_id = "") {
    for (const auto& [id, port] : ports) {
      if (port.endpoint == endpoint && port.bound == bound && port.routing_id == routing_id) return id;
    }
    return std::nullopt;
  }

  void deliver(PortId from, PortId to, const std::vector<Frame>& frames) {
    ++counters.sent;
    if (unreachable.contains(ports.at(to).endpoint) || draw() < faults.loss) {
      ++counters.lost;
      return;
    }
    schedule(from, to, frames);
    if (draw() < faults.duplicate) {
      ++counters.duplicated;
      schedule(from, to, frames);
    }
  }

  void schedule(PortId from, PortId to, const std::vector<Frame>& frames) {
    Port& port = ports.at(to);
    const Duration spread = faults.max_delay - faults.min_delay;
    Time arrival = clock.now() + faults.min_delay + Duration(static_cast<int64_t>(draw() * to_seconds(spread) * 1e9));
    if (!faults.reorder) arrival = std::max(arrival, port.last_arrival[from]);
    port.last_arrival[from] = std::max(arrival, port.last_arrival[from]);
    ++port.under_way[from];
    Incoming incoming{to.socket, port.bound ? ports.at(from).routing_id : std::string(), frames};
    inboxes[to.process].emplace(arrival, Delivery{from, std::move(incoming)});
  }

  void remove(PortId id) {
    ports.erase(id);
    std::erase_if(inboxes[id.process], [&](const auto& item) { return item.second.incoming.socket == id.socket; });
  }
};

namespace {

class SimTransport final : public Transport {
 public:
  explicit SimTransport(std::shared_ptr<SimNetwork::State> network)
      : network_(std::move(network)), process_(++network_->processes) {}

  ~SimTransport() override {
    for (SocketId socket = 1; socket <= last_socket_; ++socket) network_->remove({process_, socket});
  }

  Result<SocketId> bind(const std::string& endpoint) override {
    Port port;
    port.bound = true;
    port.endpoint =
        endpoint.ends_with(":0") ? concat(endpoint.substr(0, endpoint.size() - 1), network_->free_port++) : endpoint;
    if (network_->find(port.endpoint, true)) return Error(ErrorCode::kConflict, concat(endpoint, " is taken"));
    const PortId id{process_, ++last_socket_};
    network_->ports[id] = port;
    for (auto& [other, connected] : network_->ports) {
      if (connected.bound || connected.endpoint != port.endpoint) continue;
      for (const auto& frames : std::exchange(connected.held, {})) network_->deliver(other, id, frames);
    }
    return id.socket;
  }

  Result<SocketId> connect(const std::string& endpoint, const std::string& routing_id) override {
    STRAND_CHECK(!network_->find(endpoint, false, routing_id), "a routing id is unique for ever: ", routing_id);
    const PortId id{process_, ++last_socket_};
    network_->ports[id].endpoint = endpoint;
    network_->ports[id].routing_id = routing_id;
    return id.socket;
  }

  std::string endpoint_of(SocketId socket) override { return network_->ports.at({process_, socket}).endpoint; }

  void close(SocketId socket) override { network_->remove({process_, socket}); }

  Status send(SocketId socket, const std::string& peer, std::vector<Frame> frames) override {
    const PortId from{process_, socket};
    Port& port = network_->ports.at(from);
    STRAND_CHECK(port.bound == !peer.empty() && !frames.empty(), "a peer is named on bound sockets and only there");
    const auto to = port.bound ? network_->find(port.endpoint, false, peer) : network_->find(port.endpoint, true);
    if (!to && port.bound) return unavailable(concat(port.endpoint, ": the peer is not connected"));
    const size_t queued = to ? network_->ports.at(*to).under_way[from] : port.held.size();
    if (queued >= kQueueMessages) return unavailable(concat(port.endpoint, ": the peer's queue is full"));
    if (to) {
      network_->deliver(from, *to, frames);
    } else {
      port.held.push_back(std::move(frames));
    }
    return {};
  }

  void wake() override {}  // no receive ever waits

  Result<std::optional<Incoming>> receive(Duration) override {
    auto& inbox = network_->inboxes[process_];
    if (inbox.empty() || inbox.begin()->first > network_->clock.now()) return std::optional<Incoming>();
    Delivery delivery = std::move(inbox.begin()->second);
    inbox.erase(inbox.begin());
    --network_->ports.at({process_, delivery.incoming.socket}).under_way[delivery.from];
    ++network_->counters.delivered;
    return std::optional<Incoming>(std::move(delivery.incoming));
  }

 private:
  std::shared_ptr<SimNetwork::State> network_;
  int process_;
  SocketId last_socket_ = 0;
};

}  // namespace

SimNetwork::SimNetwork(uint64_t seed, const SimClock& clock) : state_(std::make_shared<State>(seed, clock)) {}
SimNetwork::~SimNetwork() = default;

std::unique_ptr<Transport> SimNetwork::make_transport() {
  return std::make_unique<SimTransport>(state_);
}

void SimNetwork::set_faults(const SimFaults& faults) {
  state_->faults = faults;
}

void SimNetwork::set_reachable(const std::string& endpoint, bool reachable) {
  if (reachable) {
    state_->unreachable.erase(endpoint);
  } else {
    state_->unreachable.insert(endpoint);
  }
}

Time SimNetwork::next_arrival(Time never) const {
  Time next = never;
  for (const auto& [process, inbox] : state_->inboxes) {
    if (!inbox.empty()) next = std::min(next, inbox.begin()->first);
  }
  return next;
}

const SimNetwork::Counters& SimNetwork::counters() const {
  return state_->counters;
}

}  // namespace strand
