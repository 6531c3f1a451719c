#include "dataserver/daemon.h"

#include <map>

#include "dataserver/background.h"
#include "dataserver/dataset.h"
#include "dataserver/stream.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/wire/messages.h"

namespace strand {

namespace {

constexpr Duration kLongestWait =
    std::chrono::milliseconds(20);  // also how soon a stop flag or a built dataset is seen

struct Counters {
  explicit Counters(MetricsRegistry* registry)
      : requests(registry->counter("strand_data_requests_total", "Requests answered")),
        rows(registry->counter("strand_data_rows_total", "Rows served")),
        cut_tokens(registry->counter("strand_data_cut_tokens_total", "Tokens beyond a row's length, dropped")),
        dropped(registry->counter("strand_data_messages_dropped_total", "Messages damaged, unknown or unanswerable")),
        turned_away(registry->counter("strand_data_clients_refused_total", "Connections whose key is not listed")),
        serving(registry->histogram("strand_data_serve_seconds", "Time to make the rows of one request")) {}
  Counter& requests;
  Counter& rows;
  Counter& cut_tokens;
  Counter& dropped;
  Counter& turned_away;
  Histogram& serving;
};

class DataDaemon {
 public:
  DataDaemon(const DataServerOptions& options, std::unique_ptr<Transport> transport, SocketId socket,
             MetricsRegistry* metrics)
      : options_(options),
        fs_(make_posix_file_system()),
        transport_(std::move(transport)),
        socket_(socket),
        counters_(metrics) {}
  ~DataDaemon() { ending_.store(true); }

  Status run() {
    const std::string endpoint = transport_->endpoint_of(socket_);
    log_info("dataserver_ready", {{"endpoint", endpoint}, {"directory", options_.run_directory}});
    if (options_.ready) options_.ready(endpoint);
    while (options_.stop == nullptr || !options_.stop->load()) {
      auto incoming = transport_->receive(kLongestWait);
      if (!incoming.ok()) return incoming.error().with_context("receiving");
      for (int handled = 0; *incoming; ++handled) {
        handle(**incoming);
        if (handled == 256) break;
        incoming = transport_->receive(Duration::zero());
        if (!incoming.ok()) return incoming.error().with_context("receiving");
      }
      take_results();
      counters_.turned_away.add(transport_->turned_away() - counters_.turned_away.value());
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

  void handle(const Incoming& incoming) {
    auto message = incoming.frames.size() == 1 ? decode_message(incoming.frames[0].data(), incoming.frames[0].size())
                                               : Result<WireMessage>(bad_input("a request is one frame"));
    if (!message.ok()) return drop(message.error().message());
    const Asker asker{incoming.peer, message->header};
    if (const auto* open = std::get_if<OpenDataset>(&message->body)) {
      open_dataset(asker, *open);
    } else if (const auto* fetch = std::get_if<FetchRows>(&message->body)) {
      perform(core_.on_fetch(asker, *fetch, clock_.now()));
    } else {
      drop(concat("a data server does not take ", message_name(message->body)));
    }
  }

  void drop(const std::string& reason) {
    counters_.dropped.add();
    log_warning("message_dropped", {{"reason", reason}});
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
        datasets_.erase(close->key);
        specs_.erase(close->key);
      } else if (const auto* send = std::get_if<SendReply>(&action)) {
        reply(*send);
      } else {
        serve(std::get<ServeRows>(action));
      }
    }
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

  void serve(const ServeRows& serve) {
    const Time begin = clock_.now();
    const FetchRows& fetch = serve.fetch;
    auto rows = datasets_.at(serve.key)->rows(fetch.seed, fetch.set, fetch.first_row, fetch.rows);
    if (!rows.ok()) {
      const auto code = static_cast<uint8_t>(rows.error().code());
      return reply({serve.to, DataRefused{code, rows.error().message()}});
    }
    const auto block = std::make_shared<const RowBlock>(std::move(rows).value());
    Rows answer;
    answer.first_row = fetch.first_row;
    answer.rows = fetch.rows;
    answer.segment = static_cast<uint32_t>(block->tokens.size() / block->lengths.size());
    answer.targets = !block->targets.empty();
    answer.labels_per_row = static_cast<uint32_t>(block->labels.size() / block->lengths.size());
    answer.samples = block->samples;
    std::vector<Frame> bulk;
    const auto add = [&](const auto& values) {
      bulk.push_back(Frame::view_of(values.data(), values.size() * sizeof(values[0]), block));
      answer.checksum ^= hash64(bulk.back().data(), bulk.back().size());
    };
    add(block->tokens);
    add(block->lengths);
    if (answer.targets) add(block->targets);
    if (answer.labels_per_row > 0) add(block->labels);
    counters_.rows.add(fetch.rows);
    counters_.cut_tokens.add(block->cut_tokens);
    reply({serve.to, answer}, std::move(bulk));
    counters_.serving.record((clock_.now() - begin).count());
  }

  void reply(const SendReply& send, std::vector<Frame> bulk = {}) {
    WireMessage message;
    message.header.request = send.to.header.request;
    message.header.job = send.to.header.job;
    message.body = send.body;
    std::vector<Frame> frames;
    frames.push_back(Frame::from_string(encode_message(message)));
    for (Frame& frame : bulk) frames.push_back(std::move(frame));
    const Status sent = transport_->send(socket_, send.to.peer, std::move(frames));
    if (!sent.ok()) return drop(sent.error().message());  // the client asks again
    counters_.requests.add();
  }

  DataServerOptions options_;
  SystemClock clock_;
  std::unique_ptr<FileSystem> fs_;
  std::unique_ptr<Transport> transport_;
  SocketId socket_;
  Counters counters_;
  DataStreamServer core_;
  std::map<std::string, DatasetSpec> specs_;  // of what core_ knows
  std::map<std::string, std::shared_ptr<const Dataset>> datasets_;
  std::optional<DataHome> home_;
  std::mutex mutex_;
  std::vector<Found> found_;
  std::atomic<bool> ending_{false};
  BackgroundThread builder_;  // the threads last: they use what stands above and end first
  BackgroundThread baseline_;
};

}  // namespace

Status run_dataserver(const DataServerOptions& options) {
  MetricsRegistry own;
  auto transport = options.make_transport ? options.make_transport() : make_zmq_transport();
  STRAND_ASSIGN(const SocketId socket, transport->bind(options.endpoint));
  return DataDaemon(options, std::move(transport), socket, options.metrics != nullptr ? options.metrics : &own).run();
}

}  // namespace strand
