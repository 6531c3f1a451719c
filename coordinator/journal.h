// The coordinator's memory: transitions of jobs and checkpoints, one synced batch each. Keys and values are the core's
// (see WriteJournal); this adds the format record and refuses what it cannot read.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/event.h"
#include "shared/store/store.h"

namespace strand {

constexpr int kJournalVersion = 1;

class Journal {
 public:
  // Opens or creates <directory>/journal. kConflict when another coordinator has it; kBadInput, naming both versions,
  // when a newer program made it.
  static Result<std::unique_ptr<Journal>> open(const std::string& directory);
  explicit Journal(std::unique_ptr<Store> store) : store_(std::move(store)) {}

  // Checks the format record, writing it into an empty journal.
  Status begin();
  // Every record, in order of keys.
  Result<std::vector<std::pair<std::string, std::string>>> read();
  // Durable on return.
  Status write(const WriteJournal& batch);

 private:
  std::unique_ptr<Store> store_;
};

}  // namespace strand
