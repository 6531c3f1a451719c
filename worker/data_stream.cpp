#include "worker/data_stream.h"

#include <algorithm>

#include "shared/base/text.h"

namespace strand {
namespace {

// Training waits for a data server as long as it takes: requests never expire.
constexpr RetryPolicy kFetchRetry{std::chrono::milliseconds(500), std::chrono::seconds(2), Duration(0)};
constexpr Duration kOpenInterval = std::chrono::milliseconds(200);

}  // namespace

DataStream::DataStream(OpenDataset open, uint64_t seed, uint32_t credits)
    : open_(std::move(open)), seed_(seed), credits_(credits), tracker_(kFetchRetry) {}

WireMessage DataStream::fetch_message(uint64_t request, const RowRange& range) const {
  WireMessage message;
  message.header.request = request;
  message.body = FetchRows{status_.fingerprint, seed_, range.set, range.first_row, range.rows};
  return message;
}

DataStream::Output DataStream::want(const RowRange& range, uint64_t end_row, Time now) {
  Output output;
  Stream& stream = this->stream(range.set);
  const bool known = held_.contains(range);
  if (!known || stream.rows != range.rows) {
    std::erase_if(waiting_, [&](const auto& entry) {
      if (entry.second.set != range.set) return false;
      tracker_.complete(entry.first);
      return true;
    });
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
    const auto is_ours = [&](const auto& entry) { return entry.first.set == set; };
    auto used = static_cast<uint32_t>(std::count_if(held_.begin(), held_.end(), is_ours));
    while (stream.rows != 0 && stream.next_row < stream.end_row && used < credits_) {
      const auto rows = static_cast<uint32_t>(std::min<uint64_t>(stream.rows, stream.end_row - stream.next_row));
      const RowRange range{set, stream.next_row, rows};
      const uint64_t request = tracker_.begin(now);
      waiting_[request] = range;
      held_[range] = false;
      output->send.push_back(fetch_message(request, range));
      stream.next_row += rows;
      ++used;
    }
  }
}

DataStream::Output DataStream::poll(Time now) {
  Output output;
  const bool opening = reopen_ || !ready();
  if (opening && !(now < next_open_)) {
    WireMessage message;
    message.header.request = ++open_request_;
    message.body = open_;
    output.send.push_back(std::move(message));
    next_open_ = now + kOpenInterval;
    return output;
  }
  fill(now, &output);
  if (!ready()) return output;
  for (const uint64_t request : tracker_.poll(now).resend) {
    const auto found = waiting_.find(request);
    if (found != waiting_.end()) output.send.push_back(fetch_message(request, found->second));
  }
  return output;
}

DataStream::Output DataStream::on_message(const WireMessage& message, Time now) {
  Output output;
  if (const auto* status = std::get_if<DatasetStatus>(&message.body)) {
    if (status->state == DatasetState::kRefused) {
      output.failed = Error(static_cast<ErrorCode>(status->code), status->reason);
      return output;
    }
    // Once ready we have a fingerprint to hold the server to: a restarted one may be building again, and that is fine.
    if (ready() && status->state == DatasetState::kReady && status->fingerprint != status_.fingerprint) {
      output.failed = bad_input("the data server now serves another dataset than the one this run began with");
      return output;
    }
    if (status->state == DatasetState::kReady) {
      status_ = *status;
      reopen_ = false;
      open_.expected = status->fields;
    } else if (!ready()) {
      status_ = *status;
    }
    fill(now, &output);
  } else if (const auto* refused = std::get_if<DataRefused>(&message.body)) {
    const auto code = static_cast<ErrorCode>(refused->code);
    if (code == ErrorCode::kNotFound || code == ErrorCode::kUnavailable) {
      reopen_ = true;  // a restarted server has not opened our dataset yet; the fetch is repeated by the tracker
    } else if (waiting_.contains(message.header.request)) {
      output.failed = Error(code, refused->reason);
    }
  } else {
    ++dropped_;
  }
  return output;
}

std::optional<RowRange> DataStream::accept(const WireMessage& message) {
  const auto* rows = std::get_if<Rows>(&message.body);
  const auto found = waiting_.find(message.header.request);
  if (rows == nullptr || found == waiting_.end() || found->second.first_row != rows->first_row ||
      found->second.rows != rows->rows) {
    ++dropped_;  // a second answer to the same request, or to one no longer wanted
    return std::nullopt;
  }
  const RowRange range = found->second;
  waiting_.erase(found);
  tracker_.complete(message.header.request);
  held_[range] = true;
  return range;
}

void DataStream::taken(const RowRange& range) {
  held_.erase(range);
}

}  // namespace strand
