#include "dataserver/daemon.h"

#include <map>

#include "dataserver/answer_sender.h"
#include "dataserver/background.h"
#include "dataserver/dataset.h"
#include "dataserver/request_queue.h"
#include "dataserver/row_answer.h"
#include "dataserver/serving_metrics.h"
#include "dataserver/stream.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/http/http_server.h"
#include "shared/wire/messages.h"

namespace strand {

namespace {

// Also how soon a stop flag or a built dataset is seen.
constexpr Duration kLongestWait = std::chrono::milliseconds(20);
constexpr Duration kWaitForRoom = std::chrono::milliseconds(1);  // while a client's answers have not left
constexpr Duration kTidyEvery = std::chrono::milliseconds(100);
constexpr int kGentle = 5;  // niceness of the baseline's thread: rows come first

class DataDaemon {
 public:
  DataDaemon(const DataServerOptions& options, std::unique_ptr<Transport> transport, SocketId socket,
             MetricsRegistry* metrics)
      : options_(options),
        fs_(make_posix_file_system()),
        transport_(std::move(transport)),
        socket_(socket),
        metrics_(metrics),
        counters_(metrics),
        sender_(transport_.get(), socket) {}
  ~DataDaemon() { ending_.store(true); }

  Status run() {
    STRAND_TRY(start_http());
    const std::string endpoint = transport_->endpoint_of(socket_);
    log_info("dataserver_ready", {{"endpoint", endpoint}, {"directory", options_.run_directory}});
    if (options_.ready) options_.ready(endpoint);
    while (options_.stop == nullptr || !options_.stop->load()) {
      STRAND_TRY(take_requests());
      serve_next();
      take_results();
      tidy();
    }
    log_info("dataserver_ends", {{"requests", counters_.requests.value()},
                                 {"rows", counters_.rows.value()},
                                 {"cut_tokens", counters_.cut_tokens.value()},
                                 {"dropped", counters_.dropped.value()},
                                 {"clients_refused", counters_.turned_away.value()}});
    return {};
  }

 private:
  // What a background thread found out, to be told to the decisions on the serving thread.
  struct Found {
    std::string key;
    std::optional<Result<std::shared_ptr<const Dataset>>> built;
    std::optional<Result<std::vector<double>>> markov;
    double progress = 0;
  };

  Status start_http() {
    if (options_.http.empty()) return {};
    STRAND_ASSIGN(http_, HttpServer::start(options_.http, [metrics = metrics_](const std::string& path) {
                    if (path == "/metrics")
                      return HttpAnswer{200, "text/plain; version=0.0.4", metrics->prometheus_text()};
                    if (path == "/healthz") return HttpAnswer{200, "text/plain", "ok\n"};
                    return HttpAnswer{404, "text/plain", "expected /metrics or /healthz\n"};
                  }));
    log_info("dataserver_http", {{"address", http_->address()}});
    if (options_.http_ready) options_.http_ready(http_->address());
    return {};
  }

  // What has come, without waiting while there is somebody to answer.
  Status take_requests() {
    Duration wait = sender_.waits() ? kWaitForRoom : kLongestWait;
    if (may_serve_) wait = Duration::zero();
    auto incoming = transport_->receive(wait);
    if (!incoming.ok()) return incoming.error().with_context("receiving");
    for (int handled = 0; *incoming; ++handled) {
      handle(**incoming);
      if (handled == 256) break;
      incoming = transport_->receive(Duration::zero());
      if (!incoming.ok()) return incoming.error().with_context("receiving");
    }
    return {};
  }

  void serve_next() {
    const auto next = queue_.next([this](const std::string& client) { return sender_.may_have(client); });
    may_serve_ = next.has_value();
    if (next) serve(*next);
  }

  // What need not happen at once.
  void tidy() {
    const Time now = clock_.now();
    if (sender_.held() > 0 || now - tidied_at_ >= kTidyEvery) {
      const AnswerSender::Retried retried = sender_.retry(now);
      counters_.requests.add(retried.sent);
      if (retried.dropped > 0) drop("answers that their client did not take", retried.dropped);
    }
    if (now - tidied_at_ < kTidyEvery) return;
    tidied_at_ = now;
    if (const size_t expired = queue_.forget(now); expired > 0) counters_.expired.add(expired);
    counters_.turned_away.add(transport_->turned_away() - counters_.turned_away.value());
    counters_.clients.set(static_cast<double>(queue_.clients()));
    counters_.waiting.set(static_cast<double>(queue_.waiting()));
    counters_.datasets.set(static_cast<double>(datasets_.size()));
    CacheUse use = closed_use_;
    for (const auto& [key, dataset] : datasets_) use += dataset->cache_use();
    counters_.cache_hits.add(use.hits - counters_.cache_hits.value());
    counters_.cache_misses.add(use.misses - counters_.cache_misses.value());
    counters_.cache_bytes.set(static_cast<double>(use.bytes));
  }

  void handle(const Incoming& incoming) {
    auto message = incoming.frames.size() == 1 ? decode_message(incoming.frames[0].data(), incoming.frames[0].size())
                                               : Result<WireMessage>(bad_input("a request is one frame"));
    if (!message.ok()) {
      drop(message.error().message());
      const bool whole = incoming.frames.size() == 1 && message.error().code() == ErrorCode::kBadInput;
      if (whole) refuse_version(incoming.peer, message.error());
      return;
    }
    const Asker asker{incoming.peer, message->header};
    if (const auto* open = std::get_if<OpenDataset>(&message->body)) {
      open_dataset(asker, *open);
    } else if (const auto* fetch = std::get_if<FetchRows>(&message->body)) {
      perform(core_.on_fetch(asker, *fetch, clock_.now()));
    } else {
      drop(concat("a data server does not take ", message_name(message->body)));
    }
  }

  // Whoever speaks another version reads in the envelope of any answer which one is spoken here.
  void refuse_version(const std::string& peer, const Error& error) {
    Asker asker;
    asker.peer = peer;
    reply({asker, DataRefused{static_cast<uint8_t>(error.code()), error.message()}});
  }

  void drop(const std::string& reason, size_t messages = 1) {
    counters_.dropped.add(messages);
    log_warning("message_dropped", {{"reason", reason}, {"messages", messages}});
  }

  void open_dataset(const Asker& asker, const OpenDataset& open) {
    const ParsedJob job = parse_job(open.job_toml, "the job of open_dataset", "", {});
    if (!job.errors.empty()) {
      return reply(DataStreamServer::refuse_open(asker, job_errors("the job of open_dataset", job.errors)));
    }
    const DatasetSpec spec = dataset_spec(job.spec);
    const std::string key = spec.key();
    DataActions actions = core_.on_open(asker, key, open.expected, clock_.now());
    for (const DataAction& action : actions) {
      if (std::holds_alternative<BuildDataset>(action)) specs_[key] = spec;
    }
    perform(actions);
  }

  void perform(const DataActions& actions) {
    for (const DataAction& action : actions) {
      if (const auto* build = std::get_if<BuildDataset>(&action)) {
        start_build(build->key);
      } else if (const auto* markov = std::get_if<ComputeMarkov>(&action)) {
        start_markov(markov->key);
      } else if (const auto* close = std::get_if<CloseDataset>(&action)) {
        close_dataset(close->key);
      } else if (const auto* send = std::get_if<SendReply>(&action)) {
        reply(*send);
      } else if (!queue_.add(std::get<ServeRows>(action), clock_.now())) {
        counters_.dropped.add();
        log_debug("request_not_taken", {{"reason", "its client has too many waiting; it should have fewer credits"}});
      }
    }
  }

  void close_dataset(const std::string& key) {
    const auto found = datasets_.find(key);
    if (found != datasets_.end()) {
      closed_use_ += found->second->cache_use();
      closed_use_.bytes = 0;
      datasets_.erase(found);
    }
    specs_.erase(key);
  }

  void start_build(const std::string& key) {
    builder_.post([this, key, spec = specs_.at(key)] {
      const Progress progress = [&](double share) {
        report({key, std::nullopt, std::nullopt, share});
        return !ending_.load();
      };
      report({key, build(spec, progress), std::nullopt, 1});
    });
  }

  // On the building thread, the only one that touches home_.
  Result<std::shared_ptr<const Dataset>> build(const DatasetSpec& spec, const Progress& progress) {
    if (!home_ || home_->read_only) STRAND_TRY(open_home());
    auto dataset = Dataset::open(*home_, spec, progress);
    if (dataset.ok() || !home_->read_only) return dataset;
    const ErrorCode code = dataset.error().code();
    if (code != ErrorCode::kNotFound && code != ErrorCode::kCorrupt) return dataset;
    return not_yet_built(dataset.error());
  }

  // Several data servers may have one store: the first to open it builds, the others read what it has built.
  Status open_home() {
    const std::string store = options_.run_directory + "/store";
    auto home = open_data_home(fs_.get(), store, false);
    if (!home.ok() && home.error().code() == ErrorCode::kConflict) {
      home = open_data_home(fs_.get(), store, true);
      if (!home.ok()) return not_yet_built(home.error());
    }
    if (!home.ok()) return home.error();
    home_ = std::move(home).value();
    home_->clock = &clock_;
    return {};
  }

  static Error not_yet_built(const Error& error) {
    return unavailable(concat("waiting for the data server that builds this store: ", error.message()));
  }

  void start_markov(const std::string& key) {
    baseline_.post([this, key, dataset = datasets_.at(key)] {
      report({key, std::nullopt, dataset->markov_bits(), 1});
    });
  }

  void report(Found found) {
    const std::lock_guard lock(mutex_);
    found_.push_back(std::move(found));
  }

  void take_results() {
    std::vector<Found> found;
    {
      const std::lock_guard lock(mutex_);
      found.swap(found_);
    }
    for (Found& one : found) {
      if (one.built) {
        take_built(one.key, *one.built);
      } else if (one.markov) {
        if (!one.markov->ok()) log_warning("markov_failed", {{"reason", one.markov->error().message()}});
        core_.on_markov(one.key, *one.markov);
      } else {
        core_.on_progress(one.key, one.progress);
      }
    }
  }

  void take_built(const std::string& key, const Result<std::shared_ptr<const Dataset>>& built) {
    if (!built.ok()) {
      log_error("dataset_refused", {{"reason", built.error().message()}});
      return perform(core_.on_built(key, built.error(), clock_.now()));
    }
    const DatasetSummary& summary = (*built)->summary();
    datasets_[key] = *built;
    log_info("dataset_ready", {{"fingerprint", summary.fingerprint.hex()},
                               {"segments", summary.segments},
                               {"eval_rows", summary.eval_rows},
                               {"test_rows", summary.test_rows},
                               {"vocabulary", summary.vocabulary}});
    for (size_t set = 0; set < summary.cut_rows.size(); ++set) {
      if (summary.cut_rows[set] == 0) continue;
      log_warning("rows_cut", {{"set", row_set_name(static_cast<RowSet>(set))},
                               {"rows", summary.cut_rows[set]},
                               {"tokens", summary.cut_tokens[set]},
                               {"row_length", summary.segment},
                               {"longest", summary.longest_row},
                               {"mend", "lengthen data.segment, as far as model.max_sequence allows"}});
    }
    perform(core_.on_built(key, summary, clock_.now()));
  }

  void serve(const RequestQueue::Waiting& waiting) {
    const Time begin = clock_.now();
    const auto& [to, key, fetch] = waiting.request;
    const auto found = datasets_.find(key);
    if (found == datasets_.end()) {
      return reply({to, DataRefused{static_cast<uint8_t>(ErrorCode::kNotFound), "the dataset was closed"}});
    }
    const Dataset& dataset = *found->second;
    auto rows = dataset.rows(fetch.seed, fetch.set, fetch.first_row, fetch.rows);
    if (!rows.ok()) {
      const auto code = static_cast<uint8_t>(rows.error().code());
      return reply({to, DataRefused{code, rows.error().message()}});
    }
    const auto block = std::make_shared<const RowBlock>(std::move(rows).value());
    RowAnswer answer = make_row_answer(block, fetch.first_row, token_bytes_for(dataset.summary().vocabulary));
    counters_.count(*block, answer);
    queue_.charge(to.peer, answer.bytes);
    reply({to, std::move(answer.rows)}, std::move(answer.bulk));
    const Time end = clock_.now();
    counters_.serving.record((end - begin).count());
    counters_.time_to_batch.record((end - waiting.since).count());
  }

  void reply(const SendReply& send, std::vector<Frame> bulk = {}) {
    WireMessage message;
    message.header.request = send.to.header.request;
    message.header.job = send.to.header.job;
    message.body = send.body;
    std::vector<Frame> frames;
    frames.push_back(Frame::from_string(encode_message(message)));
    for (Frame& frame : bulk) frames.push_back(std::move(frame));
    if (sender_.send(send.to.peer, std::move(frames), clock_.now())) {
      counters_.requests.add();
    } else {
      counters_.held.add();
    }
  }

  DataServerOptions options_;
  SystemClock clock_;
  std::unique_ptr<FileSystem> fs_;
  std::unique_ptr<Transport> transport_;
  SocketId socket_;
  MetricsRegistry* metrics_;
  ServingMetrics counters_;
  AnswerSender sender_;
  RequestQueue queue_;
  bool may_serve_ = false;  // somebody was answered last time: there may be more
  Time tidied_at_;
  CacheUse closed_use_;  // of datasets that were closed
  DataStreamServer core_;
  std::map<std::string, DatasetSpec> specs_;  // of what core_ knows
  std::map<std::string, std::shared_ptr<const Dataset>> datasets_;
  std::optional<DataHome> home_;
  std::mutex mutex_;
  std::vector<Found> found_;
  std::atomic<bool> ending_{false};
  BackgroundThread builder_;  // the threads last: they use what stands above and end first
  BackgroundThread baseline_{kGentle};
  std::unique_ptr<HttpServer> http_;
};

}  // namespace

Status run_dataserver(const DataServerOptions& options) {
  MetricsRegistry own;
  auto transport = options.make_transport ? options.make_transport() : make_zmq_transport();
  STRAND_ASSIGN(const SocketId socket, transport->bind(options.endpoint));
  return DataDaemon(options, std::move(transport), socket, options.metrics != nullptr ? options.metrics : &own).run();
}

}  // namespace strand
