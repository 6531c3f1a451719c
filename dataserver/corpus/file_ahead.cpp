#include "dataserver/corpus/file_ahead.h"

#include <algorithm>

#include "dataserver/formats/sequence_reader.h"
#include "shared/base/text.h"

namespace strand {

namespace {
constexpr uint64_t kSmallEvent = 256;  // a record's begin, say, with its place in the queue
}  // namespace

FileAhead::FileAhead(std::string path, uint64_t most_bytes)
    : most_bytes_(most_bytes), thread_([this, path = std::move(path)] { read(path); }) {}

FileAhead::~FileAhead() {
  {
    const std::lock_guard lock(mutex_);
    stop_.store(true);
  }
  changed_.notify_all();
  thread_.join();
}

void FileAhead::read(const std::string& path) {
  const auto progress = [this](double share) {
    share_.store(share);
    return !stop_.load();
  };
  Status status = read_sequences_into(path, this, this, progress);
  {
    const std::lock_guard lock(mutex_);
    end_ = std::move(status);
  }
  changed_.notify_all();
}

Result<std::optional<FileEvent>> FileAhead::next() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !events_.empty() || end_; });
  if (events_.empty()) {
    STRAND_TRY(*end_);
    return std::optional<FileEvent>();
  }
  auto [event, bytes] = std::move(events_.front());
  events_.pop_front();
  bytes_ -= bytes;
  lock.unlock();
  changed_.notify_all();
  return std::optional<FileEvent>(std::move(event));
}

Status FileAhead::hand_over(FileEvent event, uint64_t bytes) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return bytes_ < most_bytes_ || stop_.load(); });
  if (stop_.load()) return Error(ErrorCode::kStopped, "stopped while a file of sequences was read");
  events_.emplace_back(std::move(event), bytes);
  bytes_ += bytes;
  lock.unlock();
  changed_.notify_all();
  return {};
}

Status FileAhead::begin_record(const std::string& name, int64_t line) {
  return hand_over(RecordBegins{name, line}, kSmallEvent + name.size());
}

Status FileAhead::bases(std::string_view letters) {
  while (!letters.empty()) {
    const size_t take = std::min(letters.size(), static_cast<size_t>(kChunkBases) - pending_.size());
    pending_.append(letters.substr(0, take));
    letters.remove_prefix(take);
    if (pending_.size() == static_cast<size_t>(kChunkBases)) STRAND_TRY(flush());
  }
  return {};
}

Status FileAhead::end_record() {
  if (!pending_.empty()) STRAND_TRY(flush());
  return hand_over(RecordEnds{}, kSmallEvent);
}

Status FileAhead::feature(Feature feature) {
  return hand_over(std::move(feature), kSmallEvent);
}

Status FileAhead::flush() {
  Chunk chunk = pack_chunk(pending_);
  pending_.clear();
  const uint64_t bytes = chunk.footprint();
  return hand_over(std::move(chunk), bytes);
}

}  // namespace strand
