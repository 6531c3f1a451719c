// A file of sequences, read, parsed and packed on a thread of its own ahead of whoever takes its records in order. So
// many files are read at once, and what happens is still as if they were read one after the other.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <variant>

#include "dataserver/corpus/chunk.h"
#include "dataserver/corpus/fasta_parser.h"
#include "dataserver/formats/features.h"
#include "shared/base/result.h"

namespace strand {

struct RecordBegins {
  std::string name;
  int64_t line = 0;  // 1-based; 0: the format has no lines
};
struct RecordEnds {};
// A record's chunks have kChunkBases letters each, but for its last.
using FileEvent = std::variant<RecordBegins, Chunk, RecordEnds, Feature>;

class FileAhead final : private FastaSink, private FeatureSink {
 public:
  // Begins to read; waits while what nobody has taken has more than `most_bytes`.
  FileAhead(std::string path, uint64_t most_bytes);
  ~FileAhead() override;  // stops, wherever it is
  FileAhead(const FileAhead&) = delete;
  FileAhead& operator=(const FileAhead&) = delete;

  // Waits for the next event; none at the end of the file. An error of the file comes in its place, after the events
  // before it.
  Result<std::optional<FileEvent>> next();
  // Of the file, read so far.
  double share() const { return share_.load(); }

 private:
  Status begin_record(const std::string& name, int64_t line) override;
  Status bases(std::string_view letters) override;
  Status end_record() override;
  Status feature(Feature feature) override;
  Status flush();
  Status hand_over(FileEvent event, uint64_t bytes);
  void read(const std::string& path);

  const uint64_t most_bytes_;
  std::string pending_;  // letters of a chunk that is not full
  std::atomic<double> share_ = 0;
  std::atomic<bool> stop_ = false;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::pair<FileEvent, uint64_t>> events_;
  uint64_t bytes_ = 0;
  std::optional<Status> end_;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace strand
