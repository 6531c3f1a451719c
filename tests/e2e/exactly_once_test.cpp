// Exactly once, with real processes: clients of a data server write down every row that they are given; servers and
// clients are killed with SIGKILL at random moments and started again; the rows of all together are those of the
// undisturbed stream, each once, in its place, with its tokens, for any number of clients.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <random>
#include <thread>
#include <vector>

#include "dataserver/dataset.h"
#include "shared/base/check.h"
#include "shared/base/row_audit.h"
#include "shared/base/text.h"
#include "shared/fs/file_system.h"
#include "shared/net/transport.h"
#include "tests/e2e/group_job.h"
#include "tests/e2e/process.h"
#include "worker/batch_fetcher.h"

namespace strand::e2e {
namespace {

constexpr uint64_t kRowsAtOnce = 32;
constexpr uint64_t kPeriod = 256;  // rows of all clients before the first one's turn comes again
constexpr uint64_t kSeed = 7;

uint64_t from_environment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

// What a client writes down of a row.
struct Record {
  uint64_t row = 0, sample = 0, hash = 0;
};

Record record_of(uint64_t row, uint64_t sample, const uint16_t* tokens, size_t count) {
  RowAudit audit;
  audit.add(row, sample, tokens, count);
  return {row, sample, audit.sum()};
}

struct Stream {
  std::string endpoint, job_toml, folder;
  uint64_t rows = 0;
  size_t clients = 1;
  int64_t planted = 0;  // by so many rows a client errs when it begins again, for which it kills itself half way

  std::string log(size_t client) const { return concat(folder, "/client-", client, ".rows"); }
  uint64_t width() const { return kPeriod / clients; }
  // The k-th row of a client.
  uint64_t row(size_t client, uint64_t k) const { return k / width() * kPeriod + client * width() + k % width(); }
};

uint64_t written(const Stream& stream, size_t client) {
  std::error_code none;
  const auto bytes = std::filesystem::file_size(stream.log(client), none);
  return none ? 0 : bytes / sizeof(Record);
}

// --- a client's process ---------------------------------------------------------------------------------------------

// Its only memory is what it wrote down: a record that was cut short when it died is none.
[[noreturn]] void be_client(const Stream& stream, size_t client) {
  const int log = open(stream.log(client).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  auto next = static_cast<int64_t>(written(stream, client));
  STRAND_CHECK(log >= 0 && ftruncate(log, next * static_cast<int64_t>(sizeof(Record))) == 0, "the log of a client");
  lseek(log, 0, SEEK_END);
  if (next > 0) next += stream.planted;
  const SystemClock clock;
  BatchFetcherOptions options;
  options.endpoints = {stream.endpoint};
  options.routing_id = concat("client-", client, "-", getpid());
  options.open.job_toml = stream.job_toml;
  options.seed = kSeed;
  options.training_rows = stream.rows;
  BatchFetcher fetcher(make_zmq_transport(), clock, options);
  const auto begin = static_cast<uint64_t>(client) * stream.width();
  fetcher.set_training_slice({kPeriod, begin, begin + stream.width()});
  for (auto k = static_cast<uint64_t>(next); stream.row(client, k) < stream.rows;) {
    const uint64_t first = stream.row(client, k), count = kRowsAtOnce - k % kRowsAtOnce;
    const auto batch = fetcher.training_rows(first, static_cast<int64_t>(count));
    STRAND_CHECK(batch.ok(), batch.ok() ? "" : batch.error().message());
    std::vector<Record> records;
    for (uint64_t i = 0; i < count; ++i) {
      const auto tokens = batch->tokens + i * static_cast<uint64_t>(batch->segment);
      records.push_back(record_of(first + i, batch->samples[i], tokens, batch->lengths[i]));
    }
    const auto bytes = static_cast<ssize_t>(records.size() * sizeof(Record));
    STRAND_CHECK(write(log, records.data(), static_cast<size_t>(bytes)) == bytes, "the log of a client");
    k += count;
    if (stream.planted != 0 && next == 0 && 2 * k >= stream.rows / stream.clients) raise(SIGKILL);
  }
  _exit(0);
}

pid_t start_client(const Stream& stream, size_t client) {
  const pid_t pid = fork();
  STRAND_CHECK(pid >= 0, "no process");
  if (pid == 0) be_client(stream, client);
  return pid;
}

// --- what came of it ------------------------------------------------------------------------------------------------

// The first thing that is wrong with the rows of all clients; empty when nothing is.
std::string first_mistake(const Stream& stream, const Dataset& dataset) {
  std::vector<std::optional<Record>> taken(stream.rows);
  for (size_t client = 0; client < stream.clients; ++client) {
    const std::string log = read_file(stream.log(client));
    for (size_t at = 0; at + sizeof(Record) <= log.size(); at += sizeof(Record)) {
      Record record;
      std::copy_n(log.data() + at, sizeof record, reinterpret_cast<char*>(&record));
      const uint64_t k = at / sizeof(Record);
      if (record.row >= stream.rows) return concat("row ", record.row, " does not exist");
      if (taken[record.row]) return concat("row ", record.row, " is there twice");
      if (record.row != stream.row(client, k))
        return concat("client ", client, " took row ", record.row, " out of turn");
      taken[record.row] = record;
    }
  }
  for (uint64_t first = 0; first < stream.rows; first += 4096) {
    const auto count = static_cast<uint32_t>(std::min<uint64_t>(4096, stream.rows - first));
    const auto block = dataset.rows(kSeed, RowSet::kTraining, first, count);
    if (!block.ok()) return block.error().message();
    const size_t segment = block->tokens.size() / count;
    for (uint32_t i = 0; i < count; ++i) {
      const auto& found = taken[first + i];
      if (!found) return concat("row ", first + i, " is missing");
      const Record expected =
          record_of(first + i, block->samples[i], block->tokens.data() + i * segment, block->lengths[i]);
      if (found->sample != expected.sample || found->hash != expected.hash) {
        return concat("row ", first + i, " is another one");
      }
    }
  }
  return {};
}

class ExactlyOnceTest : public testing::Test {
 protected:
  void SetUp() override {
    write_file(folder_.path() + "/small.fa", small_fasta(400000, 1));
    stream_.job_toml = concat(R"(
[job]
name = "stream"
[model]
preset = "omni-dna-20m"
vocabulary = 16
[tokenizer]
kind = "nucleotide"
[data]
segment = 40
files = [")",
                              folder_.path(), R"(/small.fa"]
[train]
steps = 1
lanes = 1
warmup = 0
seed = 7
)");
    stream_.endpoint = concat("ipc://", folder_.path(), "/d");
    stream_.rows = from_environment("STRAND_STREAM_ROWS", 50000) / kPeriod * kPeriod;
  }

  void start_server() {
    server_ = std::make_unique<Process>(
        folder_.path(), concat("server-", ++servers_),
        std::vector<std::string>{"dataserver", "--bind", stream_.endpoint, "--dir", folder_.path() + "/data"});
  }

  // Kills when so many rows have been written, any process, each as likely; it is started again at once.
  void disturb(std::vector<pid_t>* clients, uint64_t kills, uint64_t seed) {
    std::mt19937_64 random(seed);
    std::vector<uint64_t> moments;
    for (uint64_t i = 0; i < kills; ++i) moments.push_back(random() % (stream_.rows * 9 / 10));
    std::ranges::sort(moments);
    for (const uint64_t moment : moments) {
      if (!within(std::chrono::minutes(2), [&] { return all_written() >= moment; })) return;  // a client has died
      const size_t victim = random() % (clients->size() + 1);
      if (victim == clients->size()) {
        server_->signal(SIGKILL);
        server_->wait(std::chrono::seconds(10));
        start_server();
        continue;
      }
      kill((*clients)[victim], SIGKILL);
      waitpid((*clients)[victim], nullptr, 0);
      (*clients)[victim] = start_client(stream_, victim);
    }
  }
  uint64_t all_written() const {
    uint64_t sum = 0;
    for (size_t client = 0; client < stream_.clients; ++client) sum += written(stream_, client);
    return sum;
  }

  // All rows by so many clients, with so many kills: what is wrong with them.
  std::string mistake(size_t clients, uint64_t kills, int64_t planted = 0) {
    stream_.clients = clients;
    stream_.planted = planted;
    stream_.folder = concat(folder_.path(), "/", clients, "-", planted);
    std::filesystem::create_directories(stream_.folder);
    start_server();
    std::vector<pid_t> pids;
    for (size_t client = 0; client < clients; ++client) pids.push_back(start_client(stream_, client));
    if (planted == 0) disturb(&pids, kills, 17 + clients);
    for (size_t client = 0; planted != 0 && client < clients; ++client) {
      waitpid(pids[client], nullptr, 0);
      pids[client] = start_client(stream_, client);
    }
    for (const pid_t pid : pids) {
      int status = 0;
      waitpid(pid, &status, 0);
      if (status != 0) return concat("a client ended with ", status, "\n", server_->err());
    }
    server_->signal(SIGKILL);
    server_->wait(std::chrono::seconds(10));
    return compared();
  }

  std::string compared() const {
    const auto fs = make_posix_file_system();
    const auto home = open_data_home(fs.get(), folder_.path() + "/data/store", /*read_only=*/true);
    if (!home.ok()) return home.error().message();
    const ParsedJob job = parse_job(stream_.job_toml, "job", folder_.path(), {});
    if (!job.errors.empty()) return job.errors.front().message;
    const auto dataset = Dataset::open(*home, dataset_spec(job.spec), [](double) { return true; });
    return dataset.ok() ? first_mistake(stream_, **dataset) : dataset.error().message();
  }

  TemporaryFolder folder_;
  Stream stream_;
  std::unique_ptr<Process> server_;
  int servers_ = 0;
};

TEST_F(ExactlyOnceTest, AnyNumberOfClientsAndKillsGivesTheUndisturbedStream) {
  const uint64_t kills = from_environment("STRAND_STREAM_KILLS", 6);
  for (const size_t clients : {1, 2, 4}) EXPECT_EQ(mistake(clients, kills), "") << clients << " clients";
}

TEST_F(ExactlyOnceTest, AClientThatErrsByOneIsFound) {
  stream_.rows = 20 * kPeriod;
  EXPECT_NE(mistake(1, 0, 1), "") << "a row skipped";
  EXPECT_NE(mistake(1, 0, -1), "") << "a row taken twice";
}

}  // namespace
}  // namespace strand::e2e
