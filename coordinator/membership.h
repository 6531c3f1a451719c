// The workers that have said hello to this coordinator. Pure. Nothing of it is journalled: a restarted coordinator
// learns it again from the workers' hellos.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "coordinator/job.h"
#include "shared/wire/messages.h"

namespace strand {

struct WorkerEntry {
  WorkerId id;
  Incarnation incarnation;
  std::string peer;  // routing id to answer to
  Hello hello;
  WorkerState state = WorkerState::kIdle;
  JobId job;  // what it said last
  Generation generation;
  Step step = 0;
};

class Membership {
 public:
  enum class Join { kNew, kSame, kReplaced, kOutdated };
  // kReplaced: a newer process of the same worker; the older one is gone. kOutdated: a newer process is already known;
  // nothing changed.
  Join hello(const std::string& peer, const Header& header, const Hello& hello);
  // The entry of exactly this process; null for a stranger or another incarnation.
  WorkerEntry* find(WorkerId id, Incarnation incarnation);
  WorkerEntry* find(WorkerId id);
  void remove(WorkerId id) { workers_.erase(id); }
  const std::map<WorkerId, WorkerEntry>& workers() const { return workers_; }

 private:
  std::map<WorkerId, WorkerEntry> workers_;
};

// The first field in which two numerics fingerprints ("name=value name=value") differ, as "onednn: 2.6.3 -> 3.1";
// empty when they are equal.
std::string fingerprint_difference(const std::string& pinned, const std::string& other);

}  // namespace strand
