// What to ask which data server for, and what to do with the answers: pure, time is an argument. Requests carry row
// numbers and are the same whoever answers, so a restarted data server needs no memory of us, and any of several does:
// requests are spread over them by row number, and one that is silent or refuses is passed over until it answers again.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "shared/base/clock.h"
#include "shared/wire/messages.h"

namespace strand {

// A piece of one of the streams: training rows, held-out rows, test rows.
struct RowRange {
  RowSet set = RowSet::kTraining;
  uint64_t first_row = 0;
  uint32_t rows = 0;
  auto operator<=>(const RowRange&) const = default;
};

// The training rows that a reader takes: of every `period` rows those from `begin` to `end`. Period 0: all of them.
struct RowSlice {
  uint64_t period = 0, begin = 0, end = 0;
  bool operator==(const RowSlice&) const = default;
  // The first row of the slice that is not before `row`.
  uint64_t at_or_after(uint64_t row) const;
  // Of the slice, from this row of it on without a gap. The row must be of the slice.
  uint64_t run_from(uint64_t row) const { return period == 0 ? UINT64_MAX - row : end - row % period; }
};

class DataStream {
 public:
  // One server that says nothing this long to a request is passed over.
  static constexpr Duration kSilence = std::chrono::milliseconds(500);
  // With a server that refuses, one that never said a word is waited for this long before the job is given up.
  static constexpr Duration kPatience = std::chrono::seconds(10);

  // `credits`: requests waiting or answered but not yet taken, at most. `servers`: how many there are.
  DataStream(OpenDataset open, uint64_t seed, uint32_t credits, size_t servers = 1);

  enum class ServerState : uint8_t {
    kOpening,  // has not opened the dataset, as far as we know
    kReady,
    kSilent,   // was ready; requests go elsewhere until it says something
    kRefused,  // serves another dataset, or cannot read its own; asked again every two seconds
  };
  struct Letter {
    size_t server = 0;
    WireMessage message;
  };
  struct Change {  // for people
    size_t server = 0;
    ServerState state = ServerState::kOpening;
    std::string reason;  // of a refusal
  };
  struct Output {
    std::vector<Letter> send;
    std::vector<Change> changes;  // of poll()
    std::optional<Error> failed;  // no server is left that could answer
  };

  // The consumer needs `range` next and will take ranges of the same size after it, up to `end_row` of that stream.
  // Forgets what was prefetched for that stream and is not on this path.
  Output want(const RowRange& range, uint64_t end_row, Time now);
  // Which training rows come after each other. Nothing is fetched ahead before the next want(): where the stream stands
  // may be no row of this slice.
  void set_slice(const RowSlice& slice);
  // Sends what is due: openings, new requests, repeats. Call it at least every few milliseconds.
  Output poll(Time now);
  // Anything but Rows.
  Output on_message(size_t server, const WireMessage& message, Time now);
  // The server cannot be asked at all (it refuses our key).
  Output on_refusal(size_t server, const Error& error, Time now);

  // The range of the request this Rows message answers, if it is still wanted (first answer only).
  std::optional<RowRange> accept(size_t server, const WireMessage& rows, Time now);
  // What accept() gave was damaged on its way: it is asked for again, of another server when there is one.
  Output damaged(size_t server, const RowRange& range, Time now);
  // Whether this range is on the way or answered and not yet taken.
  bool holds(const RowRange& range) const { return held_.contains(range); }
  // The consumer took this range: its credit is free.
  void taken(const RowRange& range);

  // The dataset is known: from now on every server is held to it.
  bool ready() const { return status_.state == DatasetState::kReady; }
  const DatasetStatus& status() const { return status_; }
  ServerState state(size_t server) const { return servers_[server].state; }
  // Ask for the status again (the Markov figures come later than the dataset).
  void refresh() { refresh_ = true; }
  uint64_t dropped() const { return dropped_; }

 private:
  struct Stream {
    uint64_t next_row = 0, end_row = 0;  // what to request next
    uint32_t rows = 0;
  };
  struct Server {
    ServerState state = ServerState::kOpening;
    Time heard, next_open;
    uint64_t last_open = 0;            // number of the newest OpenDataset
    bool told_what_to_expect = false;  // by it
    std::optional<Error> refusal;
  };
  struct Waiting {
    RowRange range;
    std::optional<size_t> server;  // none: waits for one that is ready
    Time sent;
    Duration interval;
  };
  Stream& stream(RowSet set) { return streams_[static_cast<size_t>(set)]; }
  std::optional<size_t> ready_server(size_t from) const;
  // Where a range goes when all servers are ready.
  size_t home_of(const RowRange& range) const;
  void fill(Time now, Output* output);
  void send_openings(Time now, Output* output);
  void open(size_t server, Time now, Output* output);
  void send_fetch(uint64_t request, Waiting* waiting, size_t server, Time now, Output* output);
  void resend(Time now, Output* output);
  void set_state(size_t server, ServerState state, const std::string& reason);
  void on_status(size_t server, const WireMessage& message, const DatasetStatus& status, Time now, Output* output);
  void on_refused_rows(size_t server, uint64_t request, const DataRefused& refused, Time now, Output* output);
  void refuse(size_t server, const Error& error, Time now, Output* output);
  void give_up_without_servers(Time now, Output* output) const;

  OpenDataset open_;
  uint64_t seed_;
  uint32_t credits_;
  DatasetStatus status_;
  std::vector<Server> servers_;
  RowSlice slice_;
  std::map<uint64_t, Waiting> waiting_;  // by request
  std::map<RowRange, bool> held_;        // ranges with a credit: true once answered
  Stream streams_[kRowSets];
  std::vector<Change> changes_;  // not yet told
  bool began_ = false, refresh_ = false;
  uint64_t last_request_ = 0;
  uint64_t dropped_ = 0;
};

}  // namespace strand
