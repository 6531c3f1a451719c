// What to ask the data server for, and what to do with its answers: pure, time is an argument. Requests carry row
// numbers and are the same whoever answers, so a restarted data server needs no memory of us: unanswered requests are
// sent again.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "shared/base/clock.h"
#include "shared/net/request_tracker.h"
#include "shared/wire/messages.h"

namespace strand {

// A piece of one of the streams: training rows, held-out rows, test rows.
struct RowRange {
  RowSet set = RowSet::kTraining;
  uint64_t first_row = 0;
  uint32_t rows = 0;
  auto operator<=>(const RowRange&) const = default;
};

class DataStream {
 public:
  // `credits`: requests waiting or answered but not yet taken, at most.
  DataStream(OpenDataset open, uint64_t seed, uint32_t credits);

  struct Output {
    std::vector<WireMessage> send;
    std::optional<Error> failed;  // the server refused for good
  };

  // The consumer needs `range` next and will take ranges of the same size after it, up to `end_row` of that stream.
  // Forgets what was prefetched for that stream and is not on this path.
  Output want(const RowRange& range, uint64_t end_row, Time now);
  // Sends what is due: the opening, new requests, repeats.
  Output poll(Time now);
  Output on_message(const WireMessage& message, Time now);

  // The range of the request this Rows message answers, if it is still wanted (first answer only).
  std::optional<RowRange> accept(const WireMessage& rows);
  // Whether this range is on the way or answered and not yet taken.
  bool holds(const RowRange& range) const { return held_.contains(range); }
  // The consumer took this range: its credit is free.
  void taken(const RowRange& range);

  bool ready() const { return status_.state == DatasetState::kReady; }
  const DatasetStatus& status() const { return status_; }
  // Ask for the status again (the Markov figures come later than the dataset).
  void refresh() { reopen_ = true; }
  uint64_t dropped() const { return dropped_; }

 private:
  struct Stream {
    uint64_t next_row = 0, end_row = 0;  // what to request next
    uint32_t rows = 0;
  };
  void fill(Time now, Output* output);
  WireMessage fetch_message(uint64_t request, const RowRange& range) const;

  OpenDataset open_;
  uint64_t seed_;
  uint32_t credits_;
  DatasetStatus status_;
  RequestTracker tracker_;
  std::map<uint64_t, RowRange> waiting_;  // by request
  std::map<RowRange, bool> held_;         // ranges with a credit: true once answered
  Stream& stream(RowSet set) { return streams_[static_cast<size_t>(set)]; }

  Stream streams_[kRowSets];
  bool reopen_ = true;
  uint64_t open_request_ = 0;
  Time next_open_;
  uint64_t dropped_ = 0;
};

}  // namespace strand
