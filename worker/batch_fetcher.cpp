#include "worker/batch_fetcher.h"

#include "shared/base/hash.h"
#include "shared/base/log.h"

namespace strand {
namespace {

constexpr Duration kPoll = std::chrono::milliseconds(1);

// The checksum of both frames one after the other, as the data server sends it.
Status check_rows(const Rows& rows, const std::vector<Frame>& frames, const RowRange& range) {
  const size_t cells = static_cast<size_t>(rows.rows) * rows.segment;
  if (frames.size() != 3 || frames[1].size() != 2 * cells || frames[2].size() != 2 * size_t{rows.rows}) {
    return corrupt(concat("rows from ", range.first_row, ": the frames do not have the sizes their message says"));
  }
  const uint64_t found = hash64(frames[1].data(), frames[1].size()) ^ hash64(frames[2].data(), frames[2].size());
  if (found != rows.checksum) return corrupt(concat("rows from ", range.first_row, ": damaged on the way"));
  return {};
}

}  // namespace

BatchFetcher::BatchFetcher(std::unique_ptr<Transport> transport, const Clock& clock, BatchFetcherOptions options)
    : transport_(std::move(transport)),
      clock_(clock),
      options_(std::move(options)),
      stream_(options_.open, options_.seed, options_.credits) {
  thread_ = std::thread([this] { run(); });
}

BatchFetcher::~BatchFetcher() {
  leaving_.store(true);
  thread_.join();
}

Status BatchFetcher::interrupted() const {
  if (error_) return *error_;
  if (options_.stop != nullptr && options_.stop->load()) return Error(ErrorCode::kStopped, "asked to stop");
  return {};
}

void BatchFetcher::run() {
  auto socket = transport_->connect(options_.endpoint, options_.routing_id);
  if (!socket.ok()) {
    std::lock_guard lock(mutex_);
    error_ = socket.error();
    changed_.notify_all();
    return;
  }
  socket_ = *socket;
  while (!leaving_.load()) {
    auto incoming = transport_->receive(kPoll);
    std::lock_guard lock(mutex_);
    if (!incoming.ok()) {
      error_ = incoming.error();
      changed_.notify_all();
      return;
    }
    if (*incoming) receive(std::move(**incoming));
    DataStream::Output output;
    output.send.swap(unsent_);
    send(output);
    send(stream_.poll(clock_.now()));
  }
}

void BatchFetcher::receive(Incoming incoming) {
  if (incoming.frames.empty()) return;
  auto message = decode_message(incoming.frames[0].data(), incoming.frames[0].size());
  if (!message.ok()) {
    log_warning("data_message_dropped", {{"reason", message.error().message()}});
    return;
  }
  if (const auto* rows = std::get_if<Rows>(&message->body)) {
    const auto range = stream_.accept(*message);
    if (!range) return;
    if (auto checked = check_rows(*rows, incoming.frames, *range); !checked.ok()) {
      // Asking again may mend a damaged answer; a server that damages every answer shows in the log and the wait.
      log_warning("data_rows_damaged", {{"reason", checked.error().message()}});
      stream_.taken(*range);
      const uint64_t end = range->held_out ? stream_.status().eval_rows : options_.training_rows;
      send(stream_.want(*range, end, clock_.now()));
      return;
    }
    arrived_[*range] = Arrived{std::move(incoming.frames), rows->segment};
  } else {
    send(stream_.on_message(*message, clock_.now()));
  }
  changed_.notify_all();
}

void BatchFetcher::send(const DataStream::Output& output) {
  if (output.failed) {
    error_ = output.failed;
    changed_.notify_all();
  }
  for (const WireMessage& message : output.send) {
    std::vector<Frame> frames;
    frames.push_back(Frame::from_string(encode_message(message)));
    // A full queue or an absent server: the tracker sends it again.
    if (auto sent = transport_->send(socket_, "", std::move(frames)); !sent.ok()) {
      log_debug("data_request_not_sent", {{"reason", sent.error().message()}});
    }
  }
}

Result<DatasetStatus> BatchFetcher::wait_ready(const std::function<void(double)>& building) {
  std::unique_lock lock(mutex_);
  while (!stream_.ready()) {
    STRAND_TRY(interrupted());
    changed_.wait_for(lock, std::chrono::milliseconds(100));
    if (building) building(stream_.status().progress);
  }
  return stream_.status();
}

Result<DatasetStatus> BatchFetcher::wait_markov() {
  std::unique_lock lock(mutex_);
  while (!stream_.status().markov_ready) {
    STRAND_TRY(interrupted());
    stream_.refresh();
    changed_.wait_for(lock, std::chrono::milliseconds(100));
  }
  return stream_.status();
}

Result<Batch> BatchFetcher::training_rows(uint64_t first_row, int64_t count) {
  return rows({false, first_row, static_cast<uint32_t>(count)});
}

Result<Batch> BatchFetcher::held_out_rows(uint64_t first_row, int64_t count) {
  return rows({true, first_row, static_cast<uint32_t>(count)});
}

Result<Batch> BatchFetcher::rows(const RowRange& range) {
  std::unique_lock lock(mutex_);
  const uint64_t end = range.held_out ? stream_.status().eval_rows : options_.training_rows;
  // The thread sends; it polls every millisecond, and requests for this range usually left long ago.
  if (!arrived_.contains(range)) {
    const auto output = stream_.want(range, end, clock_.now());
    std::erase_if(arrived_, [&](const auto& entry) { return !stream_.holds(entry.first); });
    unsent_.insert(unsent_.end(), output.send.begin(), output.send.end());
  }
  STRAND_TRY(interrupted());
  while (!arrived_.contains(range)) {
    changed_.wait_for(lock, std::chrono::milliseconds(100));
    STRAND_TRY(interrupted());
  }
  Arrived& current = current_[range.held_out];
  current = std::move(arrived_[range]);
  arrived_.erase(range);
  stream_.taken(range);
  Batch batch;
  batch.first_row = range.first_row;
  batch.rows = range.rows;
  batch.segment = current.segment;
  batch.tokens = reinterpret_cast<const uint16_t*>(current.frames[1].data());
  batch.lengths = reinterpret_cast<const uint16_t*>(current.frames[2].data());
  return batch;
}

}  // namespace strand
