// Speed of the data path.
//
//   data_bench stream --fasta FILE [--dir FOLDER] [--tokenizer nucleotide|FILE] [--segment 1000] [--rows 64]
//                     [--clients 1] [--credits 8] [--seconds 5] [--warm 1] [--endpoint tcp://127.0.0.1:0]
//                     [--server-core 0] [--baseline yes|no]
//       A data server in a process of its own, held to one core, and clients on the other cores, each with so many
//       requests under way. Tokens a second by the clock and by the server's processor time, time to batch (from asking
//       to having the rows checked and widened), resident memory of the server meanwhile, time to open the dataset.
//   data_bench windows --fasta FILE [--dir FOLDER] [--segment 1000] [--rows 256] [--windows 1000000] [--places FILE]
//       Random windows in process with the store open, one thread: as tokens (rows of a training pass) and as letters
//       at random places, or those of FILE (pairs of int64: record, begin), with the sum of their XXH3-64.
//   data_bench index [--segments 10000000000] [--runs 1000000]
//       An index of so many segments in so many runs, without a base: seconds to make it, nanoseconds to find the
//       window at a random position of a pass.
//
// FILE is built into the store of FOLDER (default: a temporary one) first, untimed, with its Markov baseline unless
// that is "no". One line of JSON a run.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <random>
#include <span>
#include <thread>

#include "dataserver/corpus/corpus_reader.h"
#include "dataserver/daemon.h"
#include "dataserver/dataset.h"
#include "dataserver/examples/windows.h"
#include "dataserver/sampler/sampler.h"
#include "shared/base/check.h"
#include "shared/base/hash.h"
#include "shared/base/text.h"
#include "shared/formats/json.h"
#include "worker/row_frames.h"

namespace strand {
namespace {

using Flags = std::map<std::string, std::string>;

uint64_t number(const Flags& flags, const std::string& name) {
  return std::strtoull(flags.at(name).c_str(), nullptr, 10);
}

double cpu_seconds(clockid_t which) {
  timespec now{};
  clock_gettime(which, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

std::string job_text(const Flags& flags) {
  const std::string& tokenizer = flags.at("tokenizer");
  const bool built_in = tokenizer == "nucleotide";
  return concat("[job]\nname = \"bench\"\n[model]\npreset = \"omni-dna-20m\"\nmax_sequence = 65536\nvocabulary = ",
                built_in ? 16 : 4096, "\n[tokenizer]\n",
                built_in ? "kind = \"nucleotide\"" : concat("kind = \"file\"\nfile = \"", tokenizer, "\""),
                "\n[data]\nfiles = [\"", flags.at("fasta"), "\"]\nsegment = ", flags.at("segment"),
                "\nholdout = { fraction = 0.01 }\n");
}

template <class T>
T must(Result<T> result) {
  if (!result.ok()) {
    std::fprintf(stderr, "data_bench: %s\n", result.error().message().c_str());
    std::exit(exit_code(result.error()));
  }
  return std::move(result).value();
}

void need(const Status& status) {
  if (!status.ok()) must(Result<int>(status.error()));
}

// --- the server's process -------------------------------------------------------------------------------------------

class Server {
 public:
  // core: the one it is held to; -1: none.
  Server(const std::string& endpoint, const std::string& directory, int core) {
    int ends[2];
    STRAND_CHECK(pipe(ends) == 0, "no pipe");
    pid_ = fork();
    STRAND_CHECK(pid_ >= 0, "no process");
    if (pid_ == 0) serve(endpoint, directory, core, ends[1]);
    ::close(ends[1]);
    char text[512];
    ssize_t got = 0, all = 0;
    while ((got = ::read(ends[0], text + all, sizeof text - static_cast<size_t>(all))) > 0) all += got;
    ::close(ends[0]);
    endpoint_.assign(text, static_cast<size_t>(std::max<ssize_t>(all, 0)));
    STRAND_CHECK(!endpoint_.empty(), "the server did not start");
  }
  ~Server() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  const std::string& endpoint() const { return endpoint_; }

  // Of all its threads, as of the last exact accounting.
  double cpu() const {
    clockid_t clock{};
    STRAND_CHECK(clock_getcpuclockid(pid_, &clock) == 0, "the server is gone");
    return cpu_seconds(clock);
  }
  int64_t resident() const {
    std::ifstream file(concat("/proc/", pid_, "/statm"));
    int64_t pages = 0;
    file >> pages >> pages;
    return pages * sysconf(_SC_PAGESIZE);
  }

 private:
  [[noreturn]] static void serve(const std::string& endpoint, const std::string& directory, int core, int out) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (core >= 0) {
      cpu_set_t set;
      CPU_ZERO(&set);
      CPU_SET(core, &set);
      STRAND_CHECK(sched_setaffinity(0, sizeof set, &set) == 0, "no core ", core);
    }
    DataServerOptions options;
    options.endpoint = endpoint;
    options.run_directory = directory;
    options.ready = [out](const std::string& at) {
      STRAND_CHECK(::write(out, at.data(), at.size()) == static_cast<ssize_t>(at.size()), "nobody listens");
      ::close(out);
    };
    const Status ended = run_dataserver(options);
    if (!ended.ok()) std::fprintf(stderr, "data_bench: %s\n", ended.error().message().c_str());
    std::_Exit(1);
  }

  pid_t pid_ = 0;
  std::string endpoint_;
};

// --- clients --------------------------------------------------------------------------------------------------------

class Client {
 public:
  Client(const std::string& endpoint, const std::string& name)
      : transport_(make_zmq_transport()), socket_(must(transport_->connect(endpoint, name))) {}

  DatasetStatus open(const std::string& job, bool markov) {
    while (true) {
      send(OpenDataset{job, {}});
      const auto answer = receive(1);
      if (!answer) continue;
      const auto message = must(decode_message(answer->frames[0].data(), answer->frames[0].size()));
      const auto& status = std::get<DatasetStatus>(message.body);
      if (status.state == DatasetState::kRefused) must(Result<int>(bad_input(status.reason)));
      if (status.state == DatasetState::kReady && (status.markov_ready || !markov)) return status;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

  uint64_t send(Body body) {
    WireMessage message;
    message.header.request = ++last_;
    message.body = std::move(body);
    std::vector<Frame> frames;
    frames.push_back(Frame::from_string(encode_message(message)));
    STRAND_CHECK(transport_->send(socket_, "", std::move(frames)).ok(), "the queue to the server is full");
    return last_;
  }
  std::optional<Incoming> receive(double seconds) { return must(transport_->receive(from_seconds(seconds))); }

 private:
  std::unique_ptr<Transport> transport_;
  SocketId socket_;
  uint64_t last_ = 0;
};

struct Taken {
  std::vector<double> waits;  // seconds from asking to having, of batches asked for after the warm-up
  uint64_t tokens = 0;        // of them, real ones
  uint64_t bytes = 0;         // of their bulk frames
};

// Asks for rows from `first` on, each time the next `step`, keeping `credits` requests under way.
class Reader {
 public:
  Reader(const Flags& flags, const std::string& endpoint, const std::string& name, const DatasetStatus& status,
         uint64_t first, uint64_t step)
      : client_(endpoint, name),
        status_(status),
        rows_(static_cast<uint32_t>(number(flags, "rows"))),
        credits_(number(flags, "credits")),
        next_(first),
        step_(step) {}

  void run(const std::atomic<bool>& measuring, const std::atomic<bool>& stop) {
    while (!stop.load()) {
      while (asked_.size() < credits_) ask(measuring.load());
      const auto incoming = client_.receive(1);
      STRAND_CHECK(incoming, "no answer for a second");
      take(*incoming);
    }
  }
  const Taken& taken() const { return taken_; }

 private:
  struct Asked {
    Time at;
    bool counts = false;
  };
  void ask(bool counts) {
    const Time now = clock_.now();
    const uint64_t request = client_.send(FetchRows{status_.fingerprint, 7, RowSet::kTraining, next_, rows_});
    asked_[request] = {now, counts};
    next_ += step_;
  }
  void take(const Incoming& incoming) {
    const auto message = must(decode_message(incoming.frames[0].data(), incoming.frames[0].size()));
    const auto* rows = std::get_if<Rows>(&message.body);
    STRAND_CHECK(rows != nullptr, "an answer that is no rows");
    uint64_t bytes = 0;
    for (size_t i = 1; i < incoming.frames.size(); ++i) bytes += incoming.frames[i].size();
    const ArrivedRows arrived = must(ArrivedRows::take(*rows, incoming.frames));
    const auto asked = asked_.find(message.header.request);
    STRAND_CHECK(asked != asked_.end(), "an answer to nothing");
    if (asked->second.counts) {
      taken_.waits.push_back(to_seconds(clock_.now() - asked->second.at));
      taken_.bytes += bytes;
      const Batch batch = arrived.batch();
      for (int64_t i = 0; i < batch.rows; ++i) taken_.tokens += batch.lengths[i];
    }
    asked_.erase(asked);
  }

  SystemClock clock_;
  Client client_;
  DatasetStatus status_;
  uint32_t rows_;
  size_t credits_;
  uint64_t next_, step_;
  std::map<uint64_t, Asked> asked_;
  Taken taken_;
};

void leave_core(int core) {
  const long cores = sysconf(_SC_NPROCESSORS_ONLN);
  if (core < 0 || cores < 2) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  for (int i = 0; i < cores; ++i) {
    if (i != core) CPU_SET(i, &set);
  }
  sched_setaffinity(0, sizeof set, &set);
}

double quantile(const std::vector<double>& sorted, double q) {
  if (sorted.empty()) return 0;
  const auto at = static_cast<size_t>(q * static_cast<double>(sorted.size()));
  return sorted[std::min(at, sorted.size() - 1)];
}

// --- the runs -------------------------------------------------------------------------------------------------------

// Builds the store, the Markov baseline too, so that nothing of it is measured.
void build(const Flags& flags) {
  const Server server("tcp://127.0.0.1:0", flags.at("dir"), -1);
  Client(server.endpoint(), "builder").open(job_text(flags), flags.at("baseline") == "yes");
}

int stream(const Flags& flags) {
  build(flags);
  const int core = static_cast<int>(number(flags, "server-core"));
  const Server server(flags.at("endpoint"), flags.at("dir"), core);
  leave_core(core);
  const SystemClock clock;
  Time begin = clock.now();
  const DatasetStatus status = Client(server.endpoint(), "opener").open(job_text(flags), false);
  const double opening = to_seconds(clock.now() - begin);
  if (flags.at("baseline") == "yes") Client(server.endpoint(), "waiter").open(job_text(flags), true);

  const uint64_t clients = number(flags, "clients"), rows = number(flags, "rows");
  std::atomic<bool> measuring{false}, stop{false};
  std::vector<std::unique_ptr<Reader>> readers;
  std::vector<std::thread> threads;
  for (uint64_t i = 0; i < clients; ++i) {
    readers.push_back(
        std::make_unique<Reader>(flags, server.endpoint(), concat("client-", i), status, i * rows, clients * rows));
    threads.emplace_back([&, reader = readers.back().get()] { reader->run(measuring, stop); });
  }
  std::this_thread::sleep_for(from_seconds(std::atof(flags.at("warm").c_str())));
  const double cpu_before = server.cpu(), own_before = cpu_seconds(CLOCK_PROCESS_CPUTIME_ID);
  begin = clock.now();
  measuring.store(true);
  int64_t resident = 0;
  const double seconds = std::atof(flags.at("seconds").c_str());
  while (to_seconds(clock.now() - begin) < seconds) {
    resident = std::max(resident, server.resident());
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  measuring.store(false);
  const double elapsed = to_seconds(clock.now() - begin);
  const double cpu = server.cpu() - cpu_before, own = cpu_seconds(CLOCK_PROCESS_CPUTIME_ID) - own_before;
  stop.store(true);
  for (std::thread& thread : threads) thread.join();

  Taken all;
  for (const auto& reader : readers) {
    all.waits.insert(all.waits.end(), reader->taken().waits.begin(), reader->taken().waits.end());
    all.tokens += reader->taken().tokens;
    all.bytes += reader->taken().bytes;
  }
  std::ranges::sort(all.waits);
  const double tokens = static_cast<double>(all.tokens);
  std::printf("%s\n", dump_json({{"tokens_per_second", tokens / elapsed},
                                 {"tokens_per_server_cpu_second", tokens / cpu},
                                 {"server_cpu_share", cpu / elapsed},
                                 {"client_cpu_share", own / elapsed},
                                 {"bytes_per_token", static_cast<double>(all.bytes) / tokens},
                                 {"batches", all.waits.size()},
                                 {"wait_p50_ms", 1e3 * quantile(all.waits, 0.5)},
                                 {"wait_p99_ms", 1e3 * quantile(all.waits, 0.99)},
                                 {"wait_p999_ms", 1e3 * quantile(all.waits, 0.999)},
                                 {"p999_over_median", quantile(all.waits, 0.999) / quantile(all.waits, 0.5)},
                                 {"resident_mb", static_cast<double>(resident) / 1e6},
                                 {"open_seconds", opening}})
                          .c_str());
  return 0;
}

// Places of windows: from a file of pairs of int64 (record, begin), else drawn.
std::vector<BaseRun> places(const Flags& flags, const CorpusInfo& info, int64_t length) {
  std::vector<BaseRun> runs;
  if (!flags.at("places").empty()) {
    std::ifstream file(flags.at("places"), std::ios::binary);
    int64_t pair[2];
    while (file.read(reinterpret_cast<char*>(pair), sizeof pair)) {
      runs.push_back({static_cast<uint64_t>(pair[0]), pair[1], pair[1] + length});
    }
    return runs;
  }
  std::mt19937_64 random(1);
  for (int i = 0; i < 100000; ++i) {
    const uint64_t record = random() % info.records.size();
    const int64_t bases = info.records[record].bases;
    const auto begin = static_cast<int64_t>(random() % static_cast<uint64_t>(std::max<int64_t>(1, bases - length)));
    runs.push_back({record, begin, std::min(begin + length, bases)});
  }
  return runs;
}

// take(text) for the letters of each run, with the chunks of so many at once pinned.
template <class Take>
void read_letters(CorpusReader* reader, std::span<const BaseRun> runs, const Take& take) {
  constexpr size_t kAtOnce = 128;
  PinnedRuns pins;
  std::string text;
  for (size_t begin = 0; begin < runs.size(); begin += kAtOnce) {
    const auto group = runs.subspan(begin, std::min(kAtOnce, runs.size() - begin));
    need(reader->pin(group, &pins));
    for (size_t i = 0; i < group.size(); ++i) {
      text.resize(static_cast<size_t>(group[i].length()));
      char* at = text.data();
      for (const ChunkPiece& piece : pins.pieces(i)) {
        unpack_bases(*piece.chunk, piece.begin, piece.count, at);
        at += piece.count;
      }
      take(text);
    }
  }
}

int windows(const Flags& flags) {
  build(flags);
  const auto fs = make_posix_file_system();
  const DataHome home = must(open_data_home(fs.get(), flags.at("dir") + "/store", true));
  const ParsedJob job = parse_job(job_text(flags), "data_bench", "", {});
  const auto dataset = must(Dataset::open(home, dataset_spec(job.spec), [](double) { return true; }));
  const uint64_t count = number(flags, "windows"), rows = number(flags, "rows");
  uint64_t checksum = 0, letters_sum = 0;
  const auto tokens = [&](uint64_t first, uint64_t windows) {
    for (uint64_t at = 0; at < windows; at += rows) {
      const RowBlock block = must(dataset->rows(7, RowSet::kTraining, first + at, static_cast<uint32_t>(rows)));
      checksum += block.tokens[0];
    }
  };
  CorpusReader reader(home.store.get(), must(find_corpus(home.store.get(), {flags.at("fasta")})));
  const std::vector<BaseRun> runs = places(flags, reader.info(), static_cast<int64_t>(number(flags, "segment")));
  const auto speed = [&](uint64_t windows, const auto& work) {
    const double begin = cpu_seconds(CLOCK_THREAD_CPUTIME_ID);
    work();
    return static_cast<double>(windows) / (cpu_seconds(CLOCK_THREAD_CPUTIME_ID) - begin);
  };
  // Once untimed: every chunk is in memory then.
  tokens(0, std::min<uint64_t>(count, 20000));
  read_letters(&reader, runs, [&](const std::string& text) { letters_sum += hash64(text); });
  const double as_tokens = speed(count, [&] { tokens(20000, count); });
  const uint64_t turns = std::max<uint64_t>(1, count / std::max<size_t>(1, runs.size()));
  const double as_letters = speed(turns * runs.size(), [&] {
    for (uint64_t i = 0; i < turns; ++i) {
      read_letters(&reader, runs, [&](const std::string& text) { checksum += static_cast<uint8_t>(text[0]); });
    }
  });
  std::printf("%s\n", dump_json({{"windows_per_cpu_second", as_tokens},
                                 {"letter_windows_per_cpu_second", as_letters},
                                 {"letters_sum", letters_sum},
                                 {"checksum", checksum}})
                          .c_str());
  return 0;
}

int index(const Flags& flags) {
  constexpr int64_t kWindow = 1000;
  const uint64_t count = number(flags, "segments"), run_count = number(flags, "runs");
  std::vector<BaseRun> runs;
  for (uint64_t i = 0; i < run_count; ++i) {
    const auto windows = static_cast<int64_t>((i + 1) * count / run_count - i * count / run_count);
    runs.push_back({i, 0, windows * kWindow});
  }
  const SystemClock clock;
  Time begin = clock.now();
  const WindowIndex index(std::move(runs), kWindow, kWindow);
  const double opening = to_seconds(clock.now() - begin);
  constexpr uint64_t kPositions = 2'000'000;
  std::mt19937_64 random(1);
  uint64_t checksum = 0;
  begin = clock.now();
  for (uint64_t i = 0; i < kPositions; ++i) {
    const SampledRow row = sample_row(7, index.size(), true, random());
    checksum += static_cast<uint64_t>(index.window(row.window).begin);
  }
  const double each = to_seconds(clock.now() - begin) / kPositions;
  std::printf("%s\n", dump_json({{"segments", index.size()},
                                 {"runs", run_count},
                                 {"open_seconds", opening},
                                 {"nanoseconds_per_position", 1e9 * each},
                                 {"checksum", checksum}})
                          .c_str());
  return 0;
}

int run(int count, char** words) {
  const std::string what = count > 1 ? words[1] : "";
  Flags flags = {{"fasta", ""},
                 {"dir", ""},
                 {"tokenizer", "nucleotide"},
                 {"segment", "1000"},
                 {"rows", ""},
                 {"clients", "1"},
                 {"credits", "8"},
                 {"seconds", "5"},
                 {"warm", "1"},
                 {"windows", "1000000"},
                 {"segments", "10000000000"},
                 {"places", ""},
                 {"baseline", "yes"},
                 {"runs", "1000000"},
                 {"endpoint", "tcp://127.0.0.1:0"},
                 {"server-core", "0"}};
  for (int i = 2; i + 1 < count; i += 2) {
    const std::string flag = words[i];
    STRAND_CHECK(flag.starts_with("--") && flags.contains(flag.substr(2)), "unknown option ", flag);
    flags[flag.substr(2)] = words[i + 1];
  }
  if (what == "index") return index(flags);
  if (flags["fasta"].empty() || (what != "stream" && what != "windows")) {
    std::fprintf(stderr, "data_bench stream|windows|index ...; the head of bench/data_bench.cpp has the options\n");
    return 2;
  }
  if (flags["rows"].empty()) flags["rows"] = what == "stream" ? "64" : "256";
  flags["fasta"] = std::filesystem::absolute(flags["fasta"]).string();
  std::string temporary;
  if (flags["dir"].empty()) {
    char folder[] = "/tmp/data_bench.XXXXXX";
    STRAND_CHECK(mkdtemp(folder) != nullptr, "no temporary folder");
    flags["dir"] = temporary = folder;
  }
  const int result = what == "stream" ? stream(flags) : windows(flags);
  if (!temporary.empty()) std::filesystem::remove_all(temporary);
  return result;
}

}  // namespace
}  // namespace strand

int main(int count, char** words) {
  return strand::run(count, words);
}
