#include "worker/batch_fetcher.h"

#include <algorithm>

#include "shared/base/log.h"

namespace strand {
namespace {

constexpr Duration kPoll = std::chrono::milliseconds(1);

}  // namespace

BatchFetcher::BatchFetcher(std::unique_ptr<Transport> transport, const Clock& clock, BatchFetcherOptions options)
    : transport_(std::move(transport)),
      clock_(clock),
      options_(std::move(options)),
      stream_(options_.open, options_.seed, options_.credits, std::max<size_t>(1, options_.endpoints.size())) {
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

Status BatchFetcher::connect() {
  if (options_.endpoints.empty()) return unavailable("no data server is named");
  for (const std::string& endpoint : options_.endpoints) {
    STRAND_ASSIGN(const SocketId socket, transport_->connect(endpoint, options_.routing_id));
    sockets_.push_back(socket);
  }
  return {};
}

void BatchFetcher::run() {
  if (const Status connected = connect(); !connected.ok()) {
    std::lock_guard lock(mutex_);
    error_ = connected.error();
    changed_.notify_all();
    return;
  }
  while (!leaving_.load()) {
    auto incoming = transport_->receive(kPoll);
    std::lock_guard lock(mutex_);
    if (!incoming.ok()) {
      error_ = incoming.error();
      changed_.notify_all();
      return;
    }
    if (*incoming) receive(std::move(**incoming));
    watch_connections();
    DataStream::Output output;
    output.send.swap(unsent_);
    send(output);
    output = stream_.poll(clock_.now());
    log_changes(output);
    send(output);
  }
}

// A server that does not let us in says so to the transport only.
void BatchFetcher::watch_connections() {
  for (size_t server = 0; server < sockets_.size(); ++server) {
    if (const auto refusal = transport_->refusal(sockets_[server])) {
      send(stream_.on_refusal(server, *refusal, clock_.now()));
    }
  }
}

void BatchFetcher::log_changes(const DataStream::Output& output) const {
  for (const DataStream::Change& change : output.changes) {
    const std::string& endpoint = options_.endpoints[change.server];
    if (change.state == DataStream::ServerState::kReady) {
      log_info("data_server_ready", {{"endpoint", endpoint}});
    } else if (change.state == DataStream::ServerState::kRefused) {
      log_warning("data_server_refused", {{"endpoint", endpoint}, {"reason", change.reason}});
    } else {
      const bool silent = change.state == DataStream::ServerState::kSilent;
      log_warning("data_server_away", {{"endpoint", endpoint}, {"how", silent ? "silent" : "opening its dataset"}});
    }
  }
}

void BatchFetcher::receive(Incoming incoming) {
  const auto at = std::find(sockets_.begin(), sockets_.end(), incoming.socket);
  if (incoming.frames.empty() || at == sockets_.end()) return;
  const auto server = static_cast<size_t>(at - sockets_.begin());
  auto message = decode_message(incoming.frames[0].data(), incoming.frames[0].size());
  if (!message.ok()) {
    log_warning("data_message_dropped", {{"reason", message.error().message()}});
    // Whole, but of another version: it will never be otherwise.
    if (message.error().code() == ErrorCode::kBadInput) send(stream_.on_refusal(server, message.error(), clock_.now()));
    return;
  }
  if (const auto* rows = std::get_if<Rows>(&message->body)) {
    const auto range = stream_.accept(server, *message, clock_.now());
    if (!range) return;
    auto arrived = ArrivedRows::take(*rows, std::move(incoming.frames));
    if (!arrived.ok()) {
      // Asking again may mend a damaged answer; a server that damages every answer shows in the log and the wait.
      log_warning("data_rows_damaged", {{"reason", arrived.error().message()}});
      send(stream_.damaged(server, *range, clock_.now()));
      return;
    }
    arrived_[*range] = std::move(arrived).value();
  } else {
    send(stream_.on_message(server, *message, clock_.now()));
  }
  changed_.notify_all();
}

void BatchFetcher::send(const DataStream::Output& output) {
  if (output.failed) {
    error_ = output.failed;
    changed_.notify_all();
  }
  for (const DataStream::Letter& letter : output.send) {
    std::vector<Frame> frames;
    frames.push_back(Frame::from_string(encode_message(letter.message)));
    // A full queue or an absent server: the stream sends it again.
    if (auto sent = transport_->send(sockets_[letter.server], "", std::move(frames)); !sent.ok()) {
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

void BatchFetcher::set_training_slice(const RowSlice& slice) {
  std::lock_guard lock(mutex_);
  stream_.set_slice(slice);
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
  ArrivedRows& current = current_[static_cast<size_t>(range.set)];
  current = std::move(arrived_[range]);
  arrived_.erase(range);
  stream_.taken(range);
  return current.batch();
}

}  // namespace strand
