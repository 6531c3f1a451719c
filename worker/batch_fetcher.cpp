#include "worker/batch_fetcher.h"

#include <cstring>

#include "shared/base/hash.h"
#include "shared/base/log.h"

namespace strand {
namespace {

constexpr Duration kPoll = std::chrono::milliseconds(1);

// Sizes and checksum of the bulk frames against what the message says of them.
Status check_rows(const Rows& rows, const std::vector<Frame>& frames, const RowRange& range) {
  const size_t cells = size_t{rows.rows} * rows.segment;
  std::vector<size_t> sizes = {2 * cells, 2 * size_t{rows.rows}};
  if (rows.targets) sizes.push_back(2 * cells);
  if (rows.labels_per_row > 0) sizes.push_back(4 * size_t{rows.rows} * rows.labels_per_row);
  bool right = frames.size() == sizes.size() + 1;
  uint64_t found = 0;
  for (size_t i = 0; right && i < sizes.size(); ++i) {
    right = frames[i + 1].size() == sizes[i];
    found ^= hash64(frames[i + 1].data(), frames[i + 1].size());
  }
  if (!right) {
    return corrupt(concat("rows from ", range.first_row, ": the frames do not have the sizes their message says"));
  }
  if (found != rows.checksum) return corrupt(concat("rows from ", range.first_row, ": damaged on the way"));
  return {};
}

const uint16_t* words(const Frame& frame) {
  return reinterpret_cast<const uint16_t*>(frame.data());
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
      send(stream_.want(*range, end_of(range->set), clock_.now()));
      return;
    }
    arrived_[*range] = Arrived{std::move(incoming.frames), *rows, {}};
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
  return rows({RowSet::kTraining, first_row, static_cast<uint32_t>(count)});
}

Result<Batch> BatchFetcher::held_out_rows(uint64_t first_row, int64_t count) {
  return rows({RowSet::kHeldOut, first_row, static_cast<uint32_t>(count)});
}

Result<Batch> BatchFetcher::test_rows(uint64_t first_row, int64_t count) {
  return rows({RowSet::kTest, first_row, static_cast<uint32_t>(count)});
}

uint64_t BatchFetcher::end_of(RowSet set) const {
  if (set == RowSet::kTraining) return options_.training_rows;
  return set == RowSet::kTest ? stream_.status().test_rows : stream_.status().eval_rows;
}

Result<Batch> BatchFetcher::rows(const RowRange& range) {
  std::unique_lock lock(mutex_);
  // The thread sends; it polls every millisecond, and requests for this range usually left long ago.
  if (!arrived_.contains(range)) {
    const auto output = stream_.want(range, end_of(range.set), clock_.now());
    std::erase_if(arrived_, [&](const auto& entry) { return !stream_.holds(entry.first); });
    unsent_.insert(unsent_.end(), output.send.begin(), output.send.end());
  }
  STRAND_TRY(interrupted());
  while (!arrived_.contains(range)) {
    changed_.wait_for(lock, std::chrono::milliseconds(100));
    STRAND_TRY(interrupted());
  }
  Arrived& current = current_[static_cast<size_t>(range.set)];
  current = std::move(arrived_[range]);
  arrived_.erase(range);
  stream_.taken(range);
  Batch batch;
  batch.first_row = range.first_row;
  batch.rows = range.rows;
  batch.segment = current.rows.segment;
  batch.tokens = words(current.frames[1]);
  batch.lengths = words(current.frames[2]);
  if (current.rows.targets) batch.targets = words(current.frames[3]);
  batch.labels_per_row = current.rows.labels_per_row;
  if (batch.labels_per_row > 0) {
    const Frame& frame = current.frames.back();
    current.labels.resize(frame.size() / sizeof(float));
    std::memcpy(current.labels.data(), frame.data(), frame.size());
    batch.labels = current.labels.data();
  }
  return batch;
}

}  // namespace strand
