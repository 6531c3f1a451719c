#include "dataserver/daemon.h"

#include <gtest/gtest.h>
#include <httplib.h>

#include <chrono>
#include <cmath>
#include <cstring>
#include <future>
#include <set>
#include <thread>

#include "shared/base/text.h"
#include "shared/job_spec/job_spec.h"
#include "shared/wire/messages.h"
#include "tests/unit/dataserver/genomes.h"

namespace strand {
namespace {

using testing::TemporaryFolder;

// A data server on a thread, over ipc.
class Server {
 public:
  Server(const std::string& endpoint, const std::string& directory) {
    options_.endpoint = endpoint;
    options_.run_directory = directory;
    options_.stop = &stop_;
    options_.metrics = &metrics_;
    options_.http = "127.0.0.1:0";
    options_.http_ready = [this](const std::string& address) { http_.set_value(address); };
    thread_ = std::thread([this] { status_ = run_dataserver(options_); });
  }
  ~Server() { EXPECT_TRUE(end().ok()); }
  Status end() {
    stop_.store(true);
    if (thread_.joinable()) thread_.join();
    return status_;
  }
  std::string http() { return http_.get_future().get(); }
  uint64_t dropped() { return metrics_.counter("strand_data_messages_dropped_total", "").value(); }

 private:
  DataServerOptions options_;
  MetricsRegistry metrics_;
  std::atomic<bool> stop_{false};
  Status status_;
  std::promise<std::string> http_;
  std::thread thread_;
};

struct Answer {
  WireMessage message;
  std::vector<std::string> bulk;
};

class Client {
 public:
  explicit Client(const std::string& endpoint, const std::string& name = "client")
      : transport_(make_zmq_transport()), socket_(*transport_->connect(endpoint, name)) {}

  void send(std::string bytes) {
    while (true) {
      std::vector<Frame> frames;
      frames.push_back(Frame::from_string(bytes));
      if (transport_->send(socket_, "", std::move(frames)).ok()) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }
  uint64_t send(Body body) {
    send_as(++last_, std::move(body));
    return last_;
  }
  void send_as(uint64_t request, Body body) {
    WireMessage message;
    message.header.request = request;
    message.body = std::move(body);
    send(encode_message(message));
  }
  std::optional<Answer> receive(double seconds = 20) {
    const auto incoming = transport_->receive(from_seconds(seconds));
    if (!incoming.ok() || !*incoming) return std::nullopt;
    Answer answer;
    auto message = decode_message((**incoming).frames[0].data(), (**incoming).frames[0].size());
    EXPECT_TRUE(message.ok());
    answer.message = *message;
    for (size_t i = 1; i < (**incoming).frames.size(); ++i) {
      answer.bulk.emplace_back((**incoming).frames[i].data(), (**incoming).frames[i].size());
    }
    return answer;
  }
  // Asks until the dataset is no longer being built.
  DatasetStatus open(const std::string& toml, const std::vector<FingerprintField>& expected, bool markov = false) {
    for (int i = 0; i < 400; ++i) {
      const uint64_t request = send(OpenDataset{toml, expected});
      const auto answer = receive();
      if (!answer) continue;
      EXPECT_EQ(answer->message.header.request, request);
      const auto status = std::get<DatasetStatus>(answer->message.body);
      if (status.state != DatasetState::kBuilding && (!markov || status.markov_ready)) return status;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    ADD_FAILURE() << "never ready";
    return {};
  }

 private:
  std::unique_ptr<Transport> transport_;
  SocketId socket_;
  uint64_t last_ = 0;
};

std::string job(const std::string& file, const std::string& more = "") {
  return concat("[job]\nname = \"t\"\n[model]\npreset = \"omni-dna-20m\"\nvocabulary = 16\n[tokenizer]\n",
                "kind = \"nucleotide\"\n[data]\nfiles = [\"", file,
                "\"]\nsegment = 100\nholdout = { fraction = 0.1 }\n", more);
}

class DataServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::mt19937_64 random(40);
    file_ = folder_.file("g.fa", testing::fasta({{"a", testing::random_sequence(&random, 60000)}}, 70));
    endpoint_ = "ipc://" + folder_.path() + "/d";
    directory_ = folder_.path() + "/run";
  }
  TemporaryFolder folder_;
  std::string file_, endpoint_, directory_;
};

TEST_F(DataServerTest, OpensFetchesAndGivesTheSameAfterARestart) {
  auto server = std::make_unique<Server>(endpoint_, directory_);
  Client client(endpoint_);
  const DatasetStatus status = client.open(job(file_), {}, true);
  ASSERT_EQ(status.state, DatasetState::kReady) << status.reason;
  EXPECT_EQ(status.vocabulary, 16);
  EXPECT_EQ(status.token_bases.size(), 16u);
  EXPECT_EQ(status.markov_bits.size(), 13u);
  const FetchRows fetches[] = {{status.fingerprint, 7, RowSet::kTraining, 123, 32},
                               {status.fingerprint, 7, RowSet::kHeldOut, 0, 8}};
  std::vector<Answer> before;
  for (const FetchRows& fetch : fetches) {
    const uint64_t request = client.send(fetch);
    auto answer = client.receive();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->message.header.request, request);
    const auto rows = std::get<Rows>(answer->message.body);
    EXPECT_EQ(rows.first_row, fetch.first_row);
    EXPECT_EQ(rows.rows, fetch.rows);
    EXPECT_EQ(rows.segment, 100u);
    ASSERT_EQ(answer->bulk.size(), 2u);
    EXPECT_EQ(rows.token_bytes, 1u) << "16 ids";
    EXPECT_EQ(answer->bulk[0].size(), size_t{fetch.rows} * 100);
    EXPECT_EQ(answer->bulk[1].size(), size_t{fetch.rows} * 2);
    EXPECT_EQ(rows.checksum, hash64(answer->bulk[0]) ^ hash64(answer->bulk[1]));
    before.push_back(*answer);
  }
  server.reset();
  server = std::make_unique<Server>(endpoint_, directory_);

  // The restarted one has nothing open and says so; after opening, all is as before.
  Client again(endpoint_, "again");
  again.send(fetches[0]);
  auto refused = again.receive();
  ASSERT_TRUE(refused);
  EXPECT_EQ(std::get<DataRefused>(refused->message.body).code, static_cast<uint8_t>(ErrorCode::kNotFound));
  const DatasetStatus reopened = again.open(job(file_), status.fields, true);
  ASSERT_EQ(reopened.state, DatasetState::kReady) << reopened.reason;
  EXPECT_EQ(reopened.fingerprint, status.fingerprint);
  EXPECT_EQ(reopened.markov_bits, status.markov_bits);
  for (size_t i = 0; i < 2; ++i) {
    for (int twice = 0; twice < 2; ++twice) {
      again.send(fetches[i]);
      const auto answer = again.receive();
      ASSERT_TRUE(answer);
      EXPECT_EQ(answer->bulk, before[i].bulk);
    }
  }
}

// Frames of targets and labels travel where the dataset has them, and the checksum covers them.
TEST_F(DataServerTest, TargetsAndLabelsTravelInFramesOfTheirOwn) {
  Server server(endpoint_, directory_);
  Client client(endpoint_);
  const std::string start =
      "[job]\nname = \"t\"\n[tokenizer]\nkind = \"nucleotide\"\n[model]\nvocabulary = 16\ncausal = false\n";
  const std::string masked = start + "[data]\nfiles = [\"" + file_ + "\"]\nsegment = 100\n";
  const std::string table = folder_.file("t.csv", "sequence,a,b\nACGT,1,\nAAC,0,1\nG,1,1\nTT,0,0\n");
  const std::string other = folder_.file("u.csv", "sequence,a,b\nCA,0,1\nT,1,0\nGG,1,1\nC,0,0\n");
  const std::string task = start +
                           "[train]\nlanes = 1\nmicro_batch = 2\n[[task]]\nname = \"t\"\nkind = \"multi-label\"\n"
                           "labels = [\"a\", \"b\"]\ntrain = \"" +
                           other + "\"\ntest = \"" + table + "\"\n";
  const auto fetch = [&](const DatasetStatus& status, RowSet set, uint32_t count) {
    client.send(FetchRows{status.fingerprint, 7, set, 0, count});
    auto answer = client.receive();
    EXPECT_TRUE(answer);
    uint64_t checksum = 0;
    for (const std::string& frame : answer->bulk) checksum ^= hash64(frame);
    EXPECT_EQ(std::get<Rows>(answer->message.body).checksum, checksum);
    return *answer;
  };
  const DatasetStatus genome = client.open(masked, {});
  ASSERT_EQ(genome.state, DatasetState::kReady) << genome.reason;
  EXPECT_EQ(genome.segment, 100u);
  const Answer rows = fetch(genome, RowSet::kTraining, 8);
  EXPECT_TRUE(std::get<Rows>(rows.message.body).targets);
  ASSERT_EQ(rows.bulk.size(), 3u);
  EXPECT_EQ(rows.bulk[2].size(), 2 * rows.bulk[0].size()) << "targets have two bytes whatever the vocabulary";

  const DatasetStatus labelled =
      client.open("job.kind = \"finetune\"\n" + std::string("job.name = \"t\"\n") + task.substr(task.find("[tok")), {});
  ASSERT_EQ(labelled.state, DatasetState::kReady) << labelled.reason;
  EXPECT_EQ(labelled.segments, 4u);
  EXPECT_EQ(labelled.eval_rows, 0u);
  EXPECT_EQ(labelled.test_rows, 4u);
  EXPECT_EQ(labelled.segment, 6u) << "[CLS] ACGT [SEP]";
  EXPECT_EQ(labelled.output_names, (std::vector<std::string>{"a", "b"}));
  const Answer test = fetch(labelled, RowSet::kTest, 4);
  EXPECT_FALSE(std::get<Rows>(test.message.body).targets);
  EXPECT_EQ(std::get<Rows>(test.message.body).labels_per_row, 2u);
  ASSERT_EQ(test.bulk.size(), 3u);
  std::vector<float> labels(8);
  ASSERT_EQ(test.bulk[2].size(), sizeof(float) * labels.size());
  std::memcpy(labels.data(), test.bulk[2].data(), test.bulk[2].size());
  EXPECT_TRUE(std::isnan(labels[1]));
  EXPECT_EQ(std::vector<float>(labels.begin() + 2, labels.end()), (std::vector<float>{0, 1, 1, 1, 0, 0}));
}

TEST_F(DataServerTest, RefusesWhatIsNotTheDatasetOfBefore) {
  Server server(endpoint_, directory_);
  Client client(endpoint_);
  const DatasetStatus status = client.open(job(file_), {});
  ASSERT_EQ(status.state, DatasetState::kReady) << status.reason;
  const DatasetStatus refused = client.open(job(file_, "stride = 50\n"), status.fields);
  EXPECT_EQ(refused.state, DatasetState::kRefused);
  EXPECT_NE(refused.reason.find("'stride' differs: expected 100, found 50"), std::string::npos) << refused.reason;
  client.send(FetchRows{Digest128{1, 2}, 7, RowSet::kTraining, 0, 1});
  const auto answer = client.receive();
  ASSERT_TRUE(answer);
  EXPECT_TRUE(std::holds_alternative<DataRefused>(answer->message.body));
  client.send(FetchRows{status.fingerprint, 7, RowSet::kHeldOut, status.eval_rows, 1});
  const auto beyond = client.receive();
  ASSERT_TRUE(beyond);
  EXPECT_EQ(std::get<DataRefused>(beyond->message.body).code, static_cast<uint8_t>(ErrorCode::kBadInput));
}

TEST_F(DataServerTest, BadInputIsToldWithItsPlace) {
  Server server(endpoint_, directory_);
  Client client(endpoint_);
  const DatasetStatus key = client.open(job(file_, "segmnet = 5\n"), {});
  EXPECT_EQ(key.state, DatasetState::kRefused);
  EXPECT_NE(key.reason.find("segmnet"), std::string::npos) << key.reason;
  const std::string bad = folder_.file("bad.fa", ">a\nACGT\nAC!T\n");
  const DatasetStatus letter = client.open(job(bad), {});
  EXPECT_EQ(letter.state, DatasetState::kRefused);
  EXPECT_EQ(letter.code, static_cast<uint8_t>(ErrorCode::kBadInput));
  EXPECT_NE(letter.reason.find("bad.fa: line 3, column 3"), std::string::npos) << letter.reason;
}

TEST_F(DataServerTest, DropsAndCountsDamagedAndUnknownMessages) {
  Server server(endpoint_, directory_);
  Client client(endpoint_);
  WireMessage message;
  message.body = OpenDataset{job(file_), {}};
  std::string bytes = encode_message(message);
  client.send(bytes.substr(0, bytes.size() / 2));
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  client.send(bytes);
  client.send("");
  client.send(Heartbeat{});
  EXPECT_EQ(client.open(job(file_), {}).state, DatasetState::kReady);
  EXPECT_EQ(server.dropped(), 4u);
}

// Whoever speaks another version reads it in the envelope of the answer; a BatchFetcher gives such a server up.
TEST_F(DataServerTest, AnotherVersionIsAnsweredInThisOne) {
  Server server(endpoint_, directory_);
  Client client(endpoint_);
  std::string bytes = encode_message({{}, OpenDataset{job(file_), {}}});
  const std::string payload = bytes.substr(24);
  bytes = bytes.substr(0, 16);
  bytes[4] = static_cast<char>(kWireVersion - 1);
  const uint64_t checksum = hash64(payload) ^ hash64(bytes);
  bytes.append(reinterpret_cast<const char*>(&checksum), sizeof checksum);
  client.send(bytes + payload);
  const auto answer = client.receive();
  ASSERT_TRUE(answer);
  const auto refused = std::get<DataRefused>(answer->message.body);
  EXPECT_EQ(refused.code, static_cast<uint8_t>(ErrorCode::kBadInput));
  for (const uint32_t version : {kWireVersion - 1, kWireVersion}) {
    EXPECT_NE(refused.reason.find(concat("version ", version)), std::string::npos) << refused.reason;
  }
  EXPECT_EQ(server.dropped(), 1u);
}

// One that asks and does not read: the others get their rows all the same, and it gets its own when it reads, those
// that did not wait for it in a queue once it asks again.
TEST_F(DataServerTest, AClientThatDoesNotReadHoldsUpNobody) {
  Server server(endpoint_, directory_);
  Client client(endpoint_), asleep(endpoint_, "asleep");
  const DatasetStatus status = client.open(job(file_), {}, true);
  ASSERT_EQ(status.state, DatasetState::kReady) << status.reason;
  const FetchRows large{status.fingerprint, 7, RowSet::kTraining, 0, 400};
  std::set<uint64_t> missing;
  for (const size_t more : {900, 600}) {  // more than its own queue of a thousand holds
    for (size_t i = 0; i < more; ++i) missing.insert(asleep.send(large));
    for (uint64_t row = 0; row < 100; ++row) {
      const uint64_t request = client.send(FetchRows{status.fingerprint, 7, RowSet::kTraining, row, 1});
      const auto answer = client.receive();
      ASSERT_TRUE(answer) << row;
      EXPECT_EQ(answer->message.header.request, request);
    }
  }
  std::optional<std::vector<std::string>> first;
  while (!missing.empty()) {
    const auto answer = asleep.receive(2);
    if (!answer) {
      for (const uint64_t request : missing) asleep.send_as(request, large);
      continue;
    }
    EXPECT_TRUE(std::holds_alternative<Rows>(answer->message.body));
    if (!first) first = answer->bulk;
    EXPECT_EQ(answer->bulk, *first);
    missing.erase(answer->message.header.request);
  }
}

TEST_F(DataServerTest, MetricsOverHttp) {
  Server server(endpoint_, directory_);
  Client client(endpoint_);
  const DatasetStatus status = client.open(job(file_), {}, true);
  ASSERT_EQ(status.state, DatasetState::kReady) << status.reason;
  uint64_t tokens = 0, bytes = 0;
  for (uint64_t row = 0; row < 20; ++row) {
    client.send(FetchRows{status.fingerprint, 7, RowSet::kTraining, 8 * row, 8});
    const auto answer = client.receive();
    ASSERT_TRUE(answer);
    for (const std::string& frame : answer->bulk) bytes += frame.size();
    for (size_t i = 0; i < 8; ++i) {
      uint16_t length = 0;
      std::memcpy(&length, answer->bulk[1].data() + 2 * i, 2);
      tokens += length;
    }
  }
  httplib::Client http("http://" + server.http());
  std::string text;
  for (int i = 0; i < 100 && text.find("strand_data_clients 1\n") == text.npos; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    const auto page = http.Get("/metrics");
    ASSERT_TRUE(page);
    text = page->body;
  }
  for (const std::string& line :
       {concat("strand_data_batches_total 20\n"), concat("strand_data_rows_total 160\n"),
        concat("strand_data_tokens_total ", tokens, "\n"), concat("strand_data_bytes_total ", bytes, "\n"),
        concat("strand_data_time_to_batch_seconds_count 20\n"), concat("strand_data_cache_misses_total 1\n"),
        concat("strand_data_clients 1\n"), concat("strand_data_datasets 1\n")}) {
    EXPECT_NE(text.find("\n" + line), std::string::npos) << line << text;
  }
  for (const char* quantile : {"0.5", "0.99", "0.999"}) {
    EXPECT_NE(text.find(concat("strand_data_time_to_batch_seconds{quantile=\"", quantile, "\"}")), std::string::npos);
  }
  EXPECT_EQ(http.Get("/healthz")->status, 200);
  EXPECT_EQ(http.Get("/nothing")->status, 404);
}

TEST_F(DataServerTest, TwoServersOnOneEndpointOrOneStore) {
  Server server(endpoint_, directory_);
  Client client(endpoint_);
  ASSERT_EQ(client.open(job(file_), {}).state, DatasetState::kReady);
  DataServerOptions second;
  second.endpoint = endpoint_;
  second.run_directory = directory_;
  const Status taken = run_dataserver(second);
  ASSERT_FALSE(taken.ok());
  EXPECT_EQ(taken.error().code(), ErrorCode::kConflict) << taken.error().message();
}

// The first builds the store, the second waits for it and reads: the same dataset, rows and baseline from both, also
// when the first one goes away.
TEST_F(DataServerTest, TwoServersShareOneStore) {
  auto first = std::make_unique<Server>(endpoint_, directory_);
  Server second(endpoint_ + "2", directory_);
  Client client(endpoint_), other(endpoint_ + "2", "other");
  const DatasetStatus one = client.open(job(file_), {}, true), two = other.open(job(file_), one.fields, true);
  ASSERT_EQ(one.state, DatasetState::kReady) << one.reason;
  ASSERT_EQ(two.state, DatasetState::kReady) << two.reason;
  EXPECT_EQ(one.fingerprint, two.fingerprint);
  EXPECT_EQ(one.markov_bits, two.markov_bits);
  EXPECT_EQ(one.markov_bits.size(), 13u);
  const auto rows = [&](Client& from) {
    from.send(FetchRows{one.fingerprint, 7, RowSet::kTraining, 90, 16});
    auto answer = from.receive();
    EXPECT_TRUE(answer);
    EXPECT_EQ(std::get<Rows>(answer->message.body).samples.size(), 16u);
    return answer ? answer->bulk : std::vector<std::string>();
  };
  const auto before = rows(client);
  EXPECT_EQ(rows(other), before);
  first.reset();
  EXPECT_EQ(rows(other), before);
  // With the builder gone the other one builds what it is asked for.
  const DatasetStatus shorter = other.open(job(file_, "stride = 50\n"), {});
  EXPECT_EQ(shorter.state, DatasetState::kReady) << shorter.reason;
  const std::string more = folder_.file("h.fa", testing::fasta({{"b", std::string(20000, 'A') + "CGT"}}, 70));
  const DatasetStatus built = other.open(job(more), {});
  EXPECT_EQ(built.state, DatasetState::kReady) << built.reason;
}

}  // namespace
}  // namespace strand
