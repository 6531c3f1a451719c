// The file system that all machines of a simulated cluster share. Every process sees it through a view of its own, and
// a machine that loses power takes with it what its processes had not synced: bytes, then names. Strict as POSIX allows
// it to be: bytes are durable after sync(), a name (made, replaced, removed) after sync_directory() of its folder.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "shared/fs/file_system.h"
#include "tests/sim/sim_random.h"

namespace strand::sim {

class SharedDisk {
 public:
  struct Node {
    std::string bytes;
    size_t synced = 0;  // so many of them are on disk
    uint64_t writer = 0;
  };
  using NodeRef = std::shared_ptr<Node>;

  // The machine of this writer loses power.
  void lose_unsynced(uint64_t writer, SimRandom* random);
  // Whether what is there now, name and bytes, survives anything.
  bool is_durable(const std::string& path) const;
  // All that a writer has written reaches the disk by itself.
  void flush(uint64_t writer);

 private:
  friend class DiskView;
  struct Change {  // of a name, since the last sync of its folder
    uint64_t writer = 0;
    NodeRef before;  // null: there was none
  };
  void note_change(const std::string& path, uint64_t writer);
  bool is_folder(const std::string& path) const { return folders_.contains(path) || path == "/"; }

  std::map<std::string, NodeRef> files_;
  std::map<std::string, Change> changes_;
  std::set<std::string> folders_;
};

// One process's hand on it.
class DiskView final : public FileSystem {
 public:
  DiskView(SharedDisk* disk, uint64_t writer) : disk_(disk), writer_(writer) {}

  // The process dies at its `calls`-th call from now on that changes something, with the call half done or not done.
  void die_in(int calls) { countdown_ = calls; }
  bool dead() const { return dead_; }
  // A defect to be found: it says that bytes and names are durable before they are.
  void lie_about_syncs() { lies_ = true; }

  Result<std::string> read_file(const std::string& path) override;
  Result<std::unique_ptr<WritableFile>> create_exclusive(const std::string& path) override {
    return open(path, true, false);
  }
  Result<std::unique_ptr<WritableFile>> create(const std::string& path) override { return open(path, false, true); }
  Result<std::unique_ptr<WritableFile>> open_append(const std::string& path) override {
    return open(path, false, false);
  }
  Status rename(const std::string& from, const std::string& to) override;
  Status remove(const std::string& path) override;
  Status remove_tree(const std::string& path) override;
  Status make_directories(const std::string& path) override;
  Status sync_directory(const std::string& path) override;
  bool exists(const std::string& path) override;
  Result<uint64_t> file_size(const std::string& path) override;
  Result<std::vector<std::string>> list_directory(const std::string& path) override;
  Result<uint64_t> free_bytes(const std::string&) override { return uint64_t{1} << 40; }

 private:
  class File;
  Status changes(const char* doing, const std::string& path);
  Result<std::unique_ptr<WritableFile>> open(const std::string& path, bool exclusive, bool truncate);

  SharedDisk* disk_;
  uint64_t writer_;
  int countdown_ = -1;
  bool dead_ = false, lies_ = false;
};

}  // namespace strand::sim
