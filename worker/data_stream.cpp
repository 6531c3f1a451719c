#include "worker/data_stream.h"

#include <algorithm>
#include <utility>

#include "shared/base/check.h"
#include "shared/base/text.h"

namespace strand {
namespace {

// Training waits for a data server as long as it takes: requests never expire. Repeated to the same server they come
// less and less often.
constexpr Duration kLongestRetry = std::chrono::seconds(2);

// How often a server that does not serve is asked to open the dataset.
constexpr Duration kOpenInterval = std::chrono::milliseconds(200);
constexpr Duration kHopelessInterval = std::chrono::seconds(2);  // it refuses, or has long been silent

bool may_pass(ErrorCode code) {
  return code == ErrorCode::kNotFound || code == ErrorCode::kUnavailable || code == ErrorCode::kConflict;
}

}  // namespace

uint64_t RowSlice::at_or_after(uint64_t row) const {
  if (period == 0) return row;
  const uint64_t start = row - row % period;
  if (row % period < begin) return start + begin;
  return row % period < end ? row : start + period + begin;
}

DataStream::DataStream(OpenDataset open, uint64_t seed, uint32_t credits, size_t servers)
    : open_(std::move(open)), seed_(seed), credits_(credits), servers_(servers) {
  STRAND_CHECK(servers > 0, "a stream needs a server");
}

std::optional<size_t> DataStream::ready_server(size_t from) const {
  for (size_t i = 0; i < servers_.size(); ++i) {
    const size_t server = (from + i) % servers_.size();
    if (servers_[server].state == ServerState::kReady) return server;
  }
  return std::nullopt;
}

size_t DataStream::home_of(const RowRange& range) const {
  return static_cast<size_t>(range.first_row / std::max(range.rows, uint32_t{1}) % servers_.size());
}

void DataStream::set_slice(const RowSlice& slice) {
  if (slice == slice_) return;
  slice_ = slice;
  stream(RowSet::kTraining).rows = 0;
}

DataStream::Output DataStream::want(const RowRange& range, uint64_t end_row, Time now) {
  Output output;
  Stream& stream = this->stream(range.set);
  const bool known = held_.contains(range);
  if (!known || stream.rows != range.rows) {
    std::erase_if(waiting_, [&](const auto& entry) { return entry.second.range.set == range.set; });
    std::erase_if(held_, [&](const auto& entry) { return entry.first.set == range.set; });
    stream.next_row = range.first_row;
    stream.rows = range.rows;
  }
  stream.end_row = end_row;
  fill(now, &output);
  return output;
}

void DataStream::fill(Time now, Output* output) {
  if (!ready()) return;
  for (const RowSet set : {RowSet::kTraining, RowSet::kHeldOut, RowSet::kTest}) {
    Stream& stream = this->stream(set);
    const RowSlice slice = set == RowSet::kTraining ? slice_ : RowSlice();
    const auto is_ours = [&](const auto& entry) { return entry.first.set == set; };
    auto used = static_cast<uint32_t>(std::count_if(held_.begin(), held_.end(), is_ours));
    while (stream.rows != 0 && stream.next_row < stream.end_row && used < credits_) {
      const uint64_t most = std::min(stream.end_row - stream.next_row, slice.run_from(stream.next_row));
      const RowRange range{set, stream.next_row, static_cast<uint32_t>(std::min<uint64_t>(stream.rows, most))};
      Waiting& waiting = waiting_[++last_request_];
      waiting.range = range;
      held_[range] = false;
      if (const auto server = ready_server(home_of(range))) send_fetch(last_request_, &waiting, *server, now, output);
      stream.next_row = slice.at_or_after(stream.next_row + range.rows);
      ++used;
    }
  }
}

void DataStream::send_fetch(uint64_t request, Waiting* waiting, size_t server, Time now, Output* output) {
  const bool again = waiting->server == server;
  waiting->interval = again ? std::min(waiting->interval * 2, kLongestRetry) : kSilence;
  waiting->server = server;
  waiting->sent = now;
  WireMessage message;
  message.header.request = request;
  const RowRange& range = waiting->range;
  message.body = FetchRows{status_.fingerprint, seed_, range.set, range.first_row, range.rows};
  output->send.push_back({server, std::move(message)});
}

void DataStream::open(size_t server, Time now, Output* output) {
  Server& to = servers_[server];
  WireMessage message;
  message.header.request = to.last_open = ++last_request_;
  to.told_what_to_expect = !open_.expected.empty();
  message.body = open_;
  output->send.push_back({server, std::move(message)});
  const bool hopeless = to.state == ServerState::kRefused || !(now - to.heard < kPatience);
  to.next_open = now + (hopeless ? kHopelessInterval : kOpenInterval);
}

void DataStream::send_openings(Time now, Output* output) {
  for (size_t i = 0; i < servers_.size(); ++i) {
    if (servers_[i].state != ServerState::kReady && !(now < servers_[i].next_open)) open(i, now, output);
  }
  if (!refresh_) return;
  const auto server = ready_server(0);
  if (!server || now < servers_[*server].next_open) return;
  refresh_ = false;
  open(*server, now, output);
}

DataStream::Output DataStream::poll(Time now) {
  Output output;
  if (!began_) {
    for (Server& server : servers_) server.heard = server.next_open = now;
    began_ = true;
  }
  send_openings(now, &output);
  if (!ready()) {
    output.changes = std::exchange(changes_, {});
    give_up_without_servers(now, &output);
    return output;
  }
  resend(now, &output);
  fill(now, &output);
  output.changes = std::exchange(changes_, {});
  give_up_without_servers(now, &output);
  return output;
}

// First who is silent, since requests to it need not run out one by one; then every request that nobody is working on.
void DataStream::resend(Time now, Output* output) {
  const auto ran_out = [&](const Waiting& w) { return w.server && !(now - w.sent < w.interval); };
  for (const auto& [request, waiting] : waiting_) {
    if (!ran_out(waiting)) continue;
    const Server& server = servers_[*waiting.server];
    const bool silent = !(waiting.sent < server.heard);
    if (silent && server.state == ServerState::kReady) set_state(*waiting.server, ServerState::kSilent, "");
  }
  for (auto& [request, waiting] : waiting_) {
    const bool due = ran_out(waiting);
    const bool idle = !waiting.server || servers_[*waiting.server].state != ServerState::kReady;
    if (!due && !idle) continue;
    const auto next = ready_server(due ? *waiting.server + 1 : home_of(waiting.range));
    if (next) {
      send_fetch(request, &waiting, *next, now, output);
    } else if (due) {
      send_fetch(request, &waiting, *waiting.server, now, output);  // it may only be slow
    }
  }
}

void DataStream::set_state(size_t server, ServerState state, const std::string& reason) {
  if (servers_[server].state == state) return;
  servers_[server].state = state;
  changes_.push_back({server, state, reason});
}

DataStream::Output DataStream::on_message(size_t server, const WireMessage& message, Time now) {
  Output output;
  servers_[server].heard = now;
  if (const auto* status = std::get_if<DatasetStatus>(&message.body)) {
    on_status(server, message, *status, now, &output);
  } else if (const auto* refused = std::get_if<DataRefused>(&message.body)) {
    on_refused_rows(server, message.header.request, *refused, now, &output);
  } else {
    ++dropped_;
  }
  fill(now, &output);
  return output;
}

void DataStream::on_status(size_t server, const WireMessage& message, const DatasetStatus& status, Time now,
                           Output* output) {
  Server& from = servers_[server];
  if (status.state == DatasetState::kRefused) {
    refuse(server, Error(static_cast<ErrorCode>(status.code), status.reason), now, output);
  } else if (status.state == DatasetState::kBuilding) {
    // A restarted server may be building again, and that is fine.
    set_state(server, ServerState::kOpening, "");
    if (!ready() && status_.progress <= status.progress) status_ = status;
  } else if (ready() && status.fingerprint != status_.fingerprint) {
    // Asked once more with what we expect, it names the field that differs.
    if (message.header.request == from.last_open && from.told_what_to_expect) {
      const std::string reason = "the data server now serves another dataset than the one this run began with";
      refuse(server, bad_input(reason), now, output);
    } else {
      set_state(server, ServerState::kOpening, "");
      from.next_open = now;
    }
  } else {
    if (!status_.markov_ready || status.markov_ready) status_ = status;
    open_.expected = status.fields;
    // What it had been asked for before it stopped serving it may have forgotten.
    if (from.state != ServerState::kReady) {
      for (auto& [request, waiting] : waiting_) {
        if (waiting.server == server) waiting.server.reset();
      }
    }
    set_state(server, ServerState::kReady, "");
  }
}

void DataStream::on_refused_rows(size_t server, uint64_t request, const DataRefused& refused, Time now,
                                 Output* output) {
  const auto found = waiting_.find(request);
  const bool ours = found != waiting_.end() && found->second.server == server;
  if (ours) found->second.server.reset();
  const auto code = static_cast<ErrorCode>(refused.code);
  if (code == ErrorCode::kNotFound || code == ErrorCode::kUnavailable) {
    // A restarted server has not opened our dataset yet.
    set_state(server, ServerState::kOpening, "");
  } else if (ours) {
    refuse(server, Error(code, refused.reason), now, output);
  }
}

DataStream::Output DataStream::on_refusal(size_t server, const Error& error, Time now) {
  Output output;
  refuse(server, error, now, &output);
  return output;
}

void DataStream::refuse(size_t server, const Error& error, Time now, Output* output) {
  servers_[server].refusal = error;
  set_state(server, ServerState::kRefused, error.message());
  servers_[server].next_open = now + kHopelessInterval;
  give_up_without_servers(now, output);
}

// The job cannot go on when all servers refuse it; those that have not said a word for long do not count.
void DataStream::give_up_without_servers(Time now, Output* output) const {
  const Error* reason = nullptr;
  for (const Server& server : servers_) {
    if (server.state == ServerState::kRefused) {
      // Of several reasons one that may pass is reported, so that the job is tried again.
      if (reason == nullptr || (!may_pass(reason->code()) && may_pass(server.refusal->code()))) {
        reason = &*server.refusal;
      }
    } else if (server.state == ServerState::kReady || now - server.heard < kPatience) {
      return;
    }
  }
  if (reason != nullptr) output->failed = *reason;
}

std::optional<RowRange> DataStream::accept(size_t server, const WireMessage& message, Time now) {
  servers_[server].heard = now;
  if (servers_[server].state == ServerState::kSilent) set_state(server, ServerState::kReady, "");
  const auto* rows = std::get_if<Rows>(&message.body);
  const auto found = waiting_.find(message.header.request);
  if (rows == nullptr || found == waiting_.end() || found->second.range.first_row != rows->first_row ||
      found->second.range.rows != rows->rows) {
    ++dropped_;  // a second answer to the same request, or to one no longer wanted
    return std::nullopt;
  }
  const RowRange range = found->second.range;
  waiting_.erase(found);
  held_[range] = true;
  return range;
}

DataStream::Output DataStream::damaged(size_t server, const RowRange& range, Time now) {
  Output output;
  held_[range] = false;
  Waiting& waiting = waiting_[++last_request_];
  waiting.range = range;
  if (const auto next = ready_server(server + 1)) send_fetch(last_request_, &waiting, *next, now, &output);
  return output;
}

void DataStream::taken(const RowRange& range) {
  held_.erase(range);
}

}  // namespace strand
