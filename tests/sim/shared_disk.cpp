#include "tests/sim/shared_disk.h"

#include <cerrno>
#include <filesystem>

#include "shared/base/text.h"
#include "shared/fs/errno_error.h"

namespace strand::sim {
namespace {

std::string parent(const std::string& path) {
  return std::filesystem::path(path).parent_path().string();
}
std::string name(const std::string& path) {
  return std::filesystem::path(path).filename().string();
}
bool inside(const std::string& path, const std::string& folder) {
  return path == folder || path.starts_with(folder + "/");
}

}  // namespace

// --- the disk -------------------------------------------------------------------------------------------------------

void SharedDisk::note_change(const std::string& path, uint64_t writer) {
  const auto found = files_.find(path);
  Change& change =
      changes_.try_emplace(path, Change{writer, found == files_.end() ? nullptr : found->second}).first->second;
  change.writer = writer;
}

void SharedDisk::lose_unsynced(uint64_t writer, SimRandom* random) {
  // Each changed name by itself reached the disk or did not.
  for (auto change = changes_.begin(); change != changes_.end();) {
    if (change->second.writer != writer) {
      ++change;
      continue;
    }
    if (random->chance(0.5)) {
      if (change->second.before) {
        files_[change->first] = change->second.before;
      } else {
        files_.erase(change->first);
      }
    }
    change = changes_.erase(change);
  }
  for (auto& [path, node] : files_) {
    if (node->writer != writer || node->synced == node->bytes.size()) continue;
    // The unsynced tail is gone, cut anywhere, or torn: of the right length with other bytes.
    const auto tail = static_cast<int64_t>(node->bytes.size() - node->synced);
    const auto kept = node->synced + static_cast<size_t>(random->pick(tail + 1));
    if (random->chance(0.5)) {
      node->bytes.resize(kept);
    } else {
      std::fill(node->bytes.begin() + static_cast<int64_t>(kept), node->bytes.end(), '\0');
    }
    node->synced = node->bytes.size();
  }
}

bool SharedDisk::is_durable(const std::string& path) const {
  const auto found = files_.find(path);
  return found != files_.end() && found->second->synced == found->second->bytes.size() && !changes_.contains(path);
}

void SharedDisk::flush(uint64_t writer) {
  std::erase_if(changes_, [&](const auto& entry) { return entry.second.writer == writer; });
  for (auto& [path, node] : files_) {
    if (node->writer == writer) node->synced = node->bytes.size();
  }
}

// --- a view ---------------------------------------------------------------------------------------------------------

class DiskView::File final : public WritableFile {
 public:
  File(DiskView* view, SharedDisk::NodeRef node, std::string path)
      : view_(view), node_(std::move(node)), path_(std::move(path)) {}
  Status append(const void* data, size_t bytes) override {
    const Status status = view_->changes("writing", path_);
    node_->writer = view_->writer_;
    node_->bytes.append(static_cast<const char*>(data), status.ok() ? bytes : bytes / 2);
    return status;
  }
  Status sync() override {
    STRAND_TRY(view_->changes("syncing", path_));
    if (!view_->lies_) node_->synced = node_->bytes.size();
    return {};
  }
  Status close() override { return {}; }

 private:
  DiskView* view_;
  SharedDisk::NodeRef node_;
  std::string path_;
};

Status DiskView::changes(const char* doing, const std::string& path) {
  if (countdown_ > 0) --countdown_;
  if (countdown_ == 0) dead_ = true;
  if (dead_) return internal_error(concat(doing, " ", path, ": this process is dead"));
  return {};
}

Result<std::string> DiskView::read_file(const std::string& path) {
  const auto found = disk_->files_.find(path);
  if (found == disk_->files_.end()) return errno_error(ENOENT, "reading", path);
  return found->second->bytes;
}

Result<std::unique_ptr<WritableFile>> DiskView::open(const std::string& path, bool exclusive, bool truncate) {
  STRAND_TRY(changes("creating", path));
  if (!disk_->is_folder(parent(path))) return errno_error(ENOENT, "creating", path);
  const auto found = disk_->files_.find(path);
  if (found != disk_->files_.end() && exclusive) return errno_error(EEXIST, "creating", path);
  if (found == disk_->files_.end()) {
    disk_->note_change(path, writer_);
    disk_->files_[path] = std::make_shared<SharedDisk::Node>();
  }
  const SharedDisk::NodeRef node = disk_->files_.at(path);
  node->writer = writer_;
  if (truncate) {
    node->bytes.clear();
    node->synced = 0;
  }
  return std::unique_ptr<WritableFile>(std::make_unique<File>(this, node, path));
}

Status DiskView::rename(const std::string& from, const std::string& to) {
  STRAND_TRY(changes("renaming", from));
  const auto found = disk_->files_.find(from);
  if (found == disk_->files_.end() || !disk_->is_folder(parent(to))) return errno_error(ENOENT, "renaming", from);
  const SharedDisk::NodeRef node = found->second;
  disk_->note_change(from, writer_);
  disk_->note_change(to, writer_);
  disk_->files_.erase(from);
  disk_->files_[to] = node;
  return {};
}

Status DiskView::remove(const std::string& path) {
  STRAND_TRY(changes("removing", path));
  if (!disk_->files_.contains(path)) return {};
  disk_->note_change(path, writer_);
  disk_->files_.erase(path);
  return {};
}

Status DiskView::remove_tree(const std::string& path) {
  STRAND_TRY(changes("removing", path));
  std::erase_if(disk_->files_, [&](const auto& entry) { return inside(entry.first, path); });
  std::erase_if(disk_->changes_, [&](const auto& entry) { return inside(entry.first, path); });
  std::erase_if(disk_->folders_, [&](const auto& folder) { return inside(folder, path); });
  return {};
}

Status DiskView::make_directories(const std::string& path) {
  STRAND_TRY(changes("making the folder", path));
  for (std::filesystem::path at = path; at != at.parent_path(); at = at.parent_path()) {
    disk_->folders_.insert(at.string());
  }
  return {};
}

Status DiskView::sync_directory(const std::string& path) {
  STRAND_TRY(changes("syncing the folder", path));
  if (!disk_->is_folder(path)) return errno_error(ENOENT, "syncing the folder", path);
  if (lies_) return {};
  std::erase_if(disk_->changes_, [&](const auto& entry) { return parent(entry.first) == path; });
  return {};
}

bool DiskView::exists(const std::string& path) {
  return disk_->files_.contains(path) || disk_->is_folder(path);
}

Result<uint64_t> DiskView::file_size(const std::string& path) {
  const auto found = disk_->files_.find(path);
  if (found == disk_->files_.end()) return errno_error(ENOENT, "looking at", path);
  return uint64_t{found->second->bytes.size()};
}

Result<std::vector<std::string>> DiskView::list_directory(const std::string& path) {
  if (!disk_->is_folder(path)) return errno_error(ENOENT, "listing", path);
  std::set<std::string> names;
  for (const auto& [file, node] : disk_->files_) {
    if (parent(file) == path) names.insert(name(file));
  }
  for (const std::string& folder : disk_->folders_) {
    if (parent(folder) == path) names.insert(name(folder));
  }
  return std::vector<std::string>(names.begin(), names.end());
}

}  // namespace strand::sim
