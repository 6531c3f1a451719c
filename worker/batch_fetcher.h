// Batches from the data servers, fetched ahead by a thread of its own: the training thread waits only when data is
// late.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "shared/base/clock.h"
#include "shared/net/transport.h"
#include "worker/data_stream.h"
#include "worker/row_frames.h"
#include "worker/trainer.h"

namespace strand {

struct BatchFetcherOptions {
  std::vector<std::string> endpoints;  // any of them answers any request; at least one
  std::string routing_id;
  OpenDataset open;
  uint64_t seed = 0;
  uint64_t training_rows = 0;  // rows of the whole run: nothing is fetched beyond them
  uint32_t credits = 8;
  const std::atomic<bool>* stop = nullptr;  // when set, whoever waits gets kStopped
};

class BatchFetcher final : public BatchSource {
 public:
  // `transport` is used by the fetcher's thread only. `clock` must outlive the fetcher.
  BatchFetcher(std::unique_ptr<Transport> transport, const Clock& clock, BatchFetcherOptions options);
  ~BatchFetcher() override;

  // Blocks until the dataset is open; kBadInput when refused, kStopped when asked to stop.
  Result<DatasetStatus> wait_ready(const std::function<void(double progress)>& building);
  // Blocks until the Markov baseline has been computed.
  Result<DatasetStatus> wait_markov();

  // Which training rows follow each other, so that the right ones are fetched ahead: those of a replica's lanes. All,
  // when never called.
  void set_training_slice(const RowSlice& slice);

  Result<Batch> training_rows(uint64_t first_row, int64_t rows) override;
  Result<Batch> held_out_rows(uint64_t first_row, int64_t rows) override;
  Result<Batch> test_rows(uint64_t first_row, int64_t rows) override;

 private:
  void run();
  Status connect();
  void receive(Incoming incoming);
  void watch_connections();
  void send(const DataStream::Output& output);
  void log_changes(const DataStream::Output& output) const;
  Result<Batch> rows(const RowRange& range);
  uint64_t end_of(RowSet set) const;
  Status interrupted() const;

  std::unique_ptr<Transport> transport_;
  const Clock& clock_;
  BatchFetcherOptions options_;
  std::vector<SocketId> sockets_;  // by server
  std::mutex mutex_;
  std::condition_variable changed_;
  DataStream stream_;                        // guarded by mutex_
  std::map<RowRange, ArrivedRows> arrived_;  // guarded by mutex_
  std::vector<DataStream::Letter> unsent_;   // guarded by mutex_: made by the training thread, sent by the fetcher's
  ArrivedRows current_[kRowSets];            // what the last Batch of each stream points into
  std::optional<Error> error_;               // guarded by mutex_
  std::atomic<bool> leaving_{false};
  std::thread thread_;
};

}  // namespace strand
