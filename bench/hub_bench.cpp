// What a control message between workers costs: two hubs over an ipc socket, one sends partial norms, the other
// acknowledges each, as at the end of a step.
//   hub_bench [messages] [doubles in each]
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <thread>
#include <utility>

#include "shared/base/check.h"
#include "shared/base/text.h"
#include "worker/group/peer_hub.h"

namespace strand {
namespace {

constexpr int64_t kOnTheWay = 64;

ShardMessage message_from(uint64_t sender, ShardBody body) {
  Header header;
  header.job = JobId{1};
  header.generation = Generation{1};
  header.sender = WorkerId{sender};
  header.incarnation = Incarnation{1};
  return {header, std::move(body)};
}

class Answerer final : public PeerHub::Client {
 public:
  Answerer(PeerHub* hub, const std::vector<GroupMember>& members) : hub_(hub), members_(members) {}
  void on_message(const ShardMessage&, Frame) override {
    on_turn();  // the first message may be earlier than the first turn
    STRAND_CHECK(hub_->send(WorkerId{1}, message_from(2, ShardAck{}), {}), "no room for an answer");
  }
  void on_turn() override {
    if (members_) hub_->set_peers(*std::exchange(members_, std::nullopt));
  }

 private:
  PeerHub* hub_;
  std::optional<std::vector<GroupMember>> members_;
};

class Asker final : public PeerHub::Client {
 public:
  Asker(PeerHub* hub, const std::vector<GroupMember>& members, int64_t doubles) : hub_(hub), members_(members) {
    norms_.ranges.push_back({0, std::vector<double>(static_cast<size_t>(doubles), 1.0)});
  }
  void on_message(const ShardMessage&, Frame) override { ++answered_; }
  void on_turn() override {
    if (members_) hub_->set_peers(*std::exchange(members_, std::nullopt));
    while (sent_ < most_ && sent_ - answered_ < window_) {
      STRAND_CHECK(hub_->send(WorkerId{2}, message_from(1, norms_), {}), "no room for a message");
      ++sent_;
    }
  }
  // Seconds until so many more are sent and answered.
  double ask(int64_t more, int64_t window) {
    const SystemClock clock;
    const Time begin = clock.now();
    window_ = window;
    most_ = answered_ + more;
    hub_->wake();
    while (answered_ < most_) std::this_thread::sleep_for(std::chrono::microseconds(200));
    return to_seconds(clock.now() - begin);
  }

 private:
  PeerHub* hub_;
  std::optional<std::vector<GroupMember>> members_;
  PartialNorms norms_;
  int64_t sent_ = 0;
  std::atomic<int64_t> answered_{0}, most_{0}, window_{1};
};

double processor_seconds() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  return static_cast<double>(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
         1e-6 * static_cast<double>(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

int run(int64_t messages, int64_t doubles) {
  const std::string place = concat("ipc:///tmp/strand-hub-bench-", getpid(), "-");
  std::vector<std::unique_ptr<PeerHub>> hubs;
  std::vector<GroupMember> members;
  for (uint64_t id : {1, 2}) {
    auto hub = PeerHub::start(make_zmq_transport(std::nullopt, kMaxPeerFrame), concat(place, id), WorkerId{id},
                              Incarnation{1});
    STRAND_CHECK(hub.ok(), hub.ok() ? "" : hub.error().message());
    hubs.push_back(std::move(*hub));
    members.push_back({WorkerId{id}, Incarnation{1}, static_cast<int32_t>(id) - 1, 0, hubs.back()->endpoint()});
  }
  Answerer answerer(hubs[1].get(), members);
  Asker asker(hubs[0].get(), members, doubles);
  hubs[1]->attach(&answerer);
  hubs[0]->attach(&asker);
  asker.ask(messages / 10, kOnTheWay);
  const double alone = asker.ask(messages / 10, 1);
  const double before = processor_seconds();
  const double many = asker.ask(messages, kOnTheWay);
  const double processor = processor_seconds() - before;
  std::printf("one at a time: %.1f us there and back\n", 1e6 * alone / (static_cast<double>(messages) / 10));
  std::printf("%lld on the way: %.1f us each with its answer; processor time %.1f us, of both hubs and all threads\n",
              static_cast<long long>(kOnTheWay), 1e6 * many / static_cast<double>(messages),
              1e6 * processor / static_cast<double>(messages));
  for (auto& hub : hubs) hub->detach();
  return 0;
}

}  // namespace
}  // namespace strand

int main(int argc, char** argv) {
  return strand::run(argc > 1 ? std::atoll(argv[1]) : 20'000, argc > 2 ? std::atoll(argv[2]) : 434);
}
