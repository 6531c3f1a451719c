// The simulated file system of the tests: in memory, strict about what is durable, and failing on request.
//
//   FaultyFileSystem fs;
//   fs.fail_at(3, ENOSPC);   // the 3rd call from now (counting from 0) fails; an append writes half of its bytes first
//   fs.crash_at(5);          // the 5th call and all later ones fail, until restart()
//   fs.restart(seed);        // what was not synced is lost, or kept, or cut anywhere: drawn from the seed
//
// A file's bytes are durable after sync(); a name (creation, rename, removal) after sync_directory() of its folder.
// Folders themselves are durable when made. Every call that can fail counts, reads included; exists() does not count.
#pragma once

#include <cerrno>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "shared/base/rng.h"
#include "shared/base/text.h"
#include "shared/fs/errno_error.h"
#include "shared/fs/file_system.h"

namespace strand {

class FaultyFileSystem final : public FileSystem {
 public:
  void fail_at(uint64_t call, int number) { set_plan(call, number); }
  void crash_at(uint64_t call) { set_plan(call, 0); }
  void clear_faults() {
    const std::lock_guard lock(mutex_);
    plan_.reset();
  }
  // Calls so far: run once without faults to learn how many steps an operation has.
  uint64_t calls() const {
    const std::lock_guard lock(mutex_);
    return calls_;
  }
  bool crashed() const {
    const std::lock_guard lock(mutex_);
    return crashed_;
  }
  // The machine comes back. Files opened before are dead.
  void restart(uint64_t seed) {
    const std::lock_guard lock(mutex_);
    uint64_t draws = 0;
    const PhiloxKey key = philox_key(seed, Purpose::kTest);
    const auto draw = [&](uint64_t n) { return random_word(key, draws++, 0, 0) % n; };
    // Each changed name by itself reached the disk or did not.
    std::set<std::string> names;
    for (const auto& [name, node] : live_) names.insert(name);
    for (const auto& [name, node] : durable_) names.insert(name);
    std::map<std::string, NodePointer> survived;
    for (const std::string& name : names) {
      const auto live = live_.find(name), durable = durable_.find(name);
      const bool same = live != live_.end() && durable != durable_.end() && live->second == durable->second;
      const bool take_live = same || draw(2) == 1;
      if (take_live && live != live_.end()) survived[name] = live->second;
      if (!take_live && durable != durable_.end()) survived[name] = durable->second;
    }
    for (auto& [name, node] : survived) {
      if (node->content == node->synced) continue;
      // Between the synced bytes and the written ones, anything may be there.
      if (draw(2) == 1 && node->content.size() > node->synced.size()) {
        node->synced =
            node->content.substr(0, node->synced.size() + draw(node->content.size() - node->synced.size() + 1));
      }
      node->content = node->synced;
    }
    live_ = survived;
    durable_ = survived;
    crashed_ = false;
    plan_.reset();
    ++life_;
  }

  Result<std::string> read_file(const std::string& path) override {
    const std::lock_guard lock(mutex_);
    if (auto fault = step("reading", path)) return *fault;
    const auto at = live_.find(path);
    if (at == live_.end()) return errno_error(folders_.contains(path) ? EISDIR : ENOENT, "reading", path);
    return at->second->content;
  }
  Result<std::unique_ptr<WritableFile>> create_exclusive(const std::string& path) override {
    return open(path, /*exclusive=*/true, /*truncate=*/false);
  }
  Result<std::unique_ptr<WritableFile>> create(const std::string& path) override { return open(path, false, true); }
  Result<std::unique_ptr<WritableFile>> open_append(const std::string& path) override {
    return open(path, false, false);
  }
  Status rename(const std::string& from, const std::string& to) override {
    const std::lock_guard lock(mutex_);
    if (auto fault = step("renaming", from)) return *fault;
    const auto at = live_.find(from);
    if (at != live_.end()) {
      const NodePointer node = at->second;
      live_.erase(at);
      live_[to] = node;
      return {};
    }
    if (!folders_.contains(from)) return errno_error(ENOENT, "renaming", from);
    move_tree(live_, from, to);
    move_tree(durable_, from, to);
    std::set<std::string> moved;
    for (const auto& folder : folders_) moved.insert(inside(folder, from) ? to + folder.substr(from.size()) : folder);
    folders_ = std::move(moved);
    return {};
  }
  Status remove(const std::string& path) override {
    const std::lock_guard lock(mutex_);
    if (auto fault = step("removing", path)) return *fault;
    live_.erase(path);
    return {};
  }
  Status remove_tree(const std::string& path) override {
    const std::lock_guard lock(mutex_);
    if (auto fault = step("removing", path)) return *fault;
    std::erase_if(live_, [&](const auto& entry) { return inside(entry.first, path); });
    std::erase_if(folders_, [&](const auto& folder) { return inside(folder, path); });
    return {};
  }
  Status make_directories(const std::string& path) override {
    const std::lock_guard lock(mutex_);
    if (auto fault = step("making the folder", path)) return *fault;
    for (std::filesystem::path at = path; !at.empty(); at = at.parent_path()) {
      if (live_.contains(at.string())) return errno_error(ENOTDIR, "making the folder", path);
      folders_.insert(at.string());
      if (at == at.parent_path()) break;
    }
    return {};
  }
  Status sync_directory(const std::string& path) override {
    const std::lock_guard lock(mutex_);
    if (auto fault = step("syncing the folder", path)) return *fault;
    if (!is_folder(path)) return errno_error(ENOENT, "syncing the folder", path);
    std::erase_if(durable_, [&](const auto& entry) { return parent(entry.first) == path; });
    for (const auto& [name, node] : live_) {
      if (parent(name) == path) durable_[name] = node;
    }
    return {};
  }
  bool exists(const std::string& path) override {
    const std::lock_guard lock(mutex_);
    return live_.contains(path) || folders_.contains(path);
  }
  Result<uint64_t> file_size(const std::string& path) override {
    const std::lock_guard lock(mutex_);
    if (auto fault = step("looking at", path)) return *fault;
    const auto at = live_.find(path);
    if (at == live_.end()) return errno_error(ENOENT, "looking at", path);
    return static_cast<uint64_t>(at->second->content.size());
  }
  Result<std::vector<std::string>> list_directory(const std::string& path) override {
    const std::lock_guard lock(mutex_);
    if (auto fault = step("listing", path)) return *fault;
    if (!is_folder(path)) return errno_error(ENOENT, "listing", path);
    std::set<std::string> names;
    for (const auto& [name, node] : live_) {
      if (parent(name) == path) names.insert(std::filesystem::path(name).filename().string());
    }
    for (const auto& folder : folders_) {
      if (folder != path && parent(folder) == path) names.insert(std::filesystem::path(folder).filename().string());
    }
    return std::vector<std::string>(names.begin(), names.end());
  }
  Result<uint64_t> free_bytes(const std::string& path) override {
    const std::lock_guard lock(mutex_);
    if (auto fault = step("asking for the free space of", path)) return *fault;
    return uint64_t{1} << 40;
  }
  // Flips one bit of a file, durably: for tests of checksums.
  void flip_bit(const std::string& path, size_t byte, int bit) {
    const std::lock_guard lock(mutex_);
    std::string& content = live_.at(path)->content;
    content.at(byte) = static_cast<char>(content[byte] ^ (1 << bit));
    live_.at(path)->synced = content;
  }

 private:
  struct Node {
    std::string content;  // what readers see
    std::string synced;   // what a crash leaves
  };
  using NodePointer = std::shared_ptr<Node>;
  struct Plan {
    uint64_t call = 0;
    int number = 0;  // 0: crash
  };

  class File final : public WritableFile {
   public:
    File(FaultyFileSystem* fs, NodePointer node, std::string path, uint64_t life)
        : fs_(fs), node_(std::move(node)), path_(std::move(path)), life_(life) {}
    Status append(const void* data, size_t bytes) override {
      const std::lock_guard lock(fs_->mutex_);
      const auto fault = fs_->step("writing", path_, life_);
      if (fault && fs_->life_ != life_) return *fault;
      node_->content.append(static_cast<const char*>(data), fault ? bytes / 2 : bytes);
      if (fault) return *fault;
      return {};
    }
    Status sync() override {
      const std::lock_guard lock(fs_->mutex_);
      if (const auto fault = fs_->step("syncing", path_, life_)) return *fault;
      node_->synced = node_->content;
      return {};
    }
    Status close() override {
      const std::lock_guard lock(fs_->mutex_);
      if (const auto fault = fs_->step("closing", path_, life_)) return *fault;
      return {};
    }

   private:
    FaultyFileSystem* fs_;
    NodePointer node_;
    std::string path_;
    uint64_t life_;
  };

  static bool inside(const std::string& path, const std::string& folder) {
    return path == folder || path.starts_with(folder + "/");
  }
  static std::string parent(const std::string& path) {
    const std::string folder = std::filesystem::path(path).parent_path().string();
    return folder.empty() ? "." : folder;
  }
  static void move_tree(std::map<std::string, NodePointer>& files, const std::string& from, const std::string& to) {
    std::map<std::string, NodePointer> moved;
    for (auto& [name, node] : files) moved[inside(name, from) ? to + name.substr(from.size()) : name] = node;
    files = std::move(moved);
  }
  bool is_folder(const std::string& path) const { return path == "." || path == "/" || folders_.contains(path); }

  void set_plan(uint64_t call, int number) {
    const std::lock_guard lock(mutex_);
    plan_ = Plan{calls_ + call, number};
  }
  // Counts the call; the error it fails with, if it does.
  std::optional<Error> step(const char* doing, const std::string& path, std::optional<uint64_t> life = {}) {
    const uint64_t call = calls_++;
    if (life && *life != life_) return errno_error(EBADF, doing, path);
    if (plan_ && plan_->call == call && plan_->number == 0) crashed_ = true;
    if (crashed_) return internal_error(concat(doing, " ", path, ": the simulated machine has crashed"));
    if (plan_ && plan_->call == call) return errno_error(plan_->number, doing, path);
    return std::nullopt;
  }
  Result<std::unique_ptr<WritableFile>> open(const std::string& path, bool exclusive, bool truncate) {
    const std::lock_guard lock(mutex_);
    if (auto fault = step("creating", path)) return *fault;
    if (folders_.contains(path)) return errno_error(EISDIR, "creating", path);
    if (!is_folder(parent(path))) return errno_error(ENOENT, "creating", path);
    NodePointer& node = live_[path];
    if (node && exclusive) return errno_error(EEXIST, "creating", path);
    if (!node) node = std::make_shared<Node>();
    if (truncate) node->content.clear();
    return std::unique_ptr<WritableFile>(std::make_unique<File>(this, node, path, life_));
  }

  mutable std::mutex mutex_;
  std::map<std::string, NodePointer> live_, durable_;
  std::set<std::string> folders_;
  std::optional<Plan> plan_;
  uint64_t calls_ = 0, life_ = 0;
  bool crashed_ = false;
};

}  // namespace strand
