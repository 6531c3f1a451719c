// Stands before the unix socket of a process and passes on what comes, or does not: the tests' own bad network.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <deque>
#include <list>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace strand::e2e {

enum class Fault {
  kNone,
  kDelay,  // each piece comes 30 ms late
  kStall,  // nothing is read: it comes when the fault is over
  kDrop,   // read and thrown away; when the fault is over the connection ends, as it has a hole
  kCut     // connections are closed, and new ones, too
};
enum class Way { kThere, kBack, kBoth };  // from who connects to who listens, or back. A cut is always of both

class LinkProxy {
 public:
  // Somebody listens at `path`. His socket is moved aside, and this one is there instead.
  explicit LinkProxy(const std::string& path);
  ~LinkProxy();
  LinkProxy(const LinkProxy&) = delete;

  // For connections that this process makes; kNone ends it.
  void set(pid_t from, Fault fault, Way way);
  // Bytes that came through.
  uint64_t passed() const { return passed_.load(); }

 private:
  using Clock = std::chrono::steady_clock;
  struct Rule {
    Fault fault = Fault::kNone;
    Way way = Way::kBoth;
  };
  struct Stream {  // one direction of a connection
    std::deque<std::pair<Clock::time_point, std::string>> waiting;
    size_t written = 0;  // of the first of them
  };
  struct Connection {
    int client = -1, server = -1;
    pid_t from = 0;
    Stream there, back;
    bool has_hole = false, over = false;
  };

  void run();
  void accept_one();
  void serve(Connection* connection);
  void move_on(Connection* connection, int source, int sink, Stream* stream, Fault fault);
  static Fault fault_of(const Rule& rule, Way way);

  std::string path_, real_;
  int listener_ = -1;
  std::mutex mutex_;
  std::map<pid_t, Rule> rules_;
  std::list<Connection> connections_;  // of the thread
  std::atomic<bool> stop_{false};
  std::atomic<uint64_t> passed_{0};
  std::thread thread_;
};

}  // namespace strand::e2e
