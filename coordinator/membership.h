// The workers that have said hello to this coordinator. Pure. Nothing of it is journalled: a restarted coordinator
// learns it again from the workers' hellos.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/job.h"
#include "shared/base/clock.h"
#include "shared/wire/messages.h"

namespace strand {

// A newer process of a worker that introduced itself while the older one still seems alive. Two machines may have been
// given one id by mistake: it has to wait until the older one is known to be gone, and is refused when that one is
// heard.
struct Rival {
  std::string peer;
  Header header;
  Hello hello;
  Time since;
};

struct WorkerEntry {
  WorkerId id;
  Incarnation incarnation;
  std::string peer;  // routing id to answer to
  Hello hello;
  WorkerState state = WorkerState::kIdle;
  JobId job;  // what it said last
  Generation generation;
  Step step = 0;
  uint64_t said = 0;                // number of the newest hello or heartbeat
  int64_t work_nanoseconds = 0;     // own computing per step; 0: not known
  Time joined, heard;               // first and last word of this process
  Time assigned;                    // an Assign was sent last
  std::optional<Time> astray;       // since when it has not been where its job has it
  Time probed;                      // we spoke to it last, to learn whether it is still connected
  std::optional<Time> unreachable;  // since when it is not
  std::optional<Rival> rival;
};

class Membership {
 public:
  enum class Join { kNew, kSame, kReplaced, kOutdated };
  // kReplaced: a newer process of the same worker; the older one is gone. kOutdated: a newer process is already known;
  // nothing changed.
  Join hello(const std::string& peer, const Header& header, const Hello& hello, Time now);
  // The entry of exactly this process; null for a stranger or another incarnation.
  WorkerEntry* find(WorkerId id, Incarnation incarnation);
  WorkerEntry* find(WorkerId id);
  WorkerEntry* find_peer(const std::string& peer);
  void remove(WorkerId id) { workers_.erase(id); }
  const std::map<WorkerId, WorkerEntry>& workers() const { return workers_; }

 private:
  std::map<WorkerId, WorkerEntry> workers_;
};

// The first field in which two numerics fingerprints ("name=value name=value") differ, as "onednn: 2.6.3 -> 3.1";
// empty when they are equal.
std::string fingerprint_difference(const std::string& pinned, const std::string& other);

}  // namespace strand
