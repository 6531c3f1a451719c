// A cluster over tcp with keys: made by `strand keys new`, strangers turned away and counted while the job goes on, no
// secret anywhere but in its file.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>

#include "shared/base/text.h"
#include "tests/e2e/process.h"

namespace strand::e2e {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* kJob = R"(
[job]
name = "small"
[model]
preset = "omni-dna-20m"
vocabulary = 16
layers = 2
hidden = 64
heads = 4
mlp_hidden = 128
[tokenizer]
kind = "nucleotide"
[data]
files = ["small.fa"]
segment = 100
[data.holdout]
fraction = 0.1
[train]
steps = 300
lanes = 2
micro_batch = 8
learning_rate = 1e-3
warmup = 5
precision = "fp32"
[parallel]
threads = 1
[checkpoint]
every = 100
)";

using Words = std::vector<std::string>;

bool within(seconds limit, const std::function<bool()>& holds) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(milliseconds(20));
  }
  return true;
}

class KeysTest : public testing::Test {
 protected:
  void SetUp() override {
    write_file(path("small.fa"), small_fasta(60000, 1));
    write_file(path("job.toml"), kJob);
  }
  std::string path(const std::string& name) const { return folder_.path() + "/" + name; }
  Process strand(const std::string& tag, const Words& arguments) { return run(folder_.path(), tag, arguments); }

  // A pair in keys/NAME; its secret.
  std::string make_keys(const std::string& name, const Words& more = {}) {
    Words arguments = {"keys", "new", "--dir", "keys/" + name};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Process made = strand("keys-" + name, arguments);
    EXPECT_EQ(made.exit_code(), 0) << made.err();
    const std::string file = path("keys/" + name + "/strand.key");
    struct stat status {};
    EXPECT_EQ(::stat(file.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600u);
    const std::vector<std::string> lines = split(read_file(file), '\n');
    const std::string secret = lines.size() > 1 ? lines[1] : "";
    EXPECT_EQ(secret.size(), 40u);
    EXPECT_EQ(made.out().find(secret), std::string::npos);
    secrets_.push_back(secret);
    return secret;
  }
  static Words keyed(Words arguments, const std::string& name, const std::string& list = "cluster.keys") {
    arguments.insert(arguments.end(), {"--keys", "keys/" + name, "--allow", list});
    return arguments;
  }
  // The endpoint that a data server says it listens on, in its log.
  std::string logged_endpoint(const std::string& log) {
    std::string endpoint;
    within(seconds(20), [&] {
      const std::string text = read_file(path(log));
      const size_t at = text.find("endpoint=tcp://"), end = text.find_first_of(" \n", at);
      if (at != std::string::npos && end != std::string::npos) endpoint = text.substr(at + 9, end - at - 9);
      return !endpoint.empty();
    });
    return endpoint;
  }
  void expect_no_secret(const std::string& where, const std::string& text) const {
    for (const std::string& secret : secrets_) EXPECT_EQ(text.find(secret), std::string::npos) << where;
  }
  void expect_no_secret_in_processes() const {
    for (const auto& entry : fs::directory_iterator("/proc")) {
      const std::string pid = entry.path().filename().string();
      if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
      expect_no_secret("command line of " + pid, read_file(entry.path().string() + "/cmdline"));
    }
  }
  void expect_no_secret_in_files() const {
    int files = 0;
    for (const auto& entry : fs::recursive_directory_iterator(folder_.path())) {
      if (!entry.is_regular_file() || entry.path().filename() == "strand.key") continue;
      expect_no_secret(entry.path().string(), read_file(entry.path().string()));
      ++files;
    }
    EXPECT_GT(files, 20) << "logs, journal, store, checkpoints and results are among them";
  }
  Json show(const Words& cluster) {
    Words arguments = {"show", "small", "--json"};
    arguments.insert(arguments.end(), cluster.begin(), cluster.end());
    return strand("show", keyed(arguments, "laptop")).json();
  }
  // Of the job; 0 as long as the coordinator does not know it.
  int step() {
    const Json json = show({"--dir", "c"});
    const auto found = json.find("step");
    return found != json.end() && found->is_number() ? found->get<int>() : 0;
  }

  TemporaryFolder folder_;
  std::vector<std::string> secrets_;
};

TEST_F(KeysTest, AClusterWithKeysTurnsStrangersAwayAndLeaksNoSecret) {
  make_keys("servers", {"--host", "127.0.0.1"});
  for (const char* name : {"worker", "laptop", "stranger"}) make_keys(name);
  const Process again = strand("again", {"keys", "new", "--dir", "keys/worker"});
  EXPECT_EQ(again.exit_code(), 2);
  EXPECT_NE(again.err().find("never overwritten"), std::string::npos) << again.err();
  std::string list;
  for (const char* name : {"servers", "worker", "laptop"}) {
    list += read_file(path(std::string("keys/") + name + "/strand.key.pub"));
  }
  write_file(path("cluster.keys"), list);

  Process data(folder_.path(), "data", keyed({"dataserver", "--bind", "tcp://127.0.0.1:0", "--dir", "c"}, "servers"));
  const std::string endpoint = logged_endpoint("c/logs/dataserver.log");
  ASSERT_FALSE(endpoint.empty()) << data.err();
  const std::string late = "ipc://" + path("late");
  Process coordinator(
      folder_.path(), "coordinator",
      keyed({"coordinator", "--bind", "tcp://127.0.0.1:0", "--dir", "c", "--data", endpoint, "--data", late},
            "servers"));
  ASSERT_TRUE(within(seconds(20), [&] { return fs::exists(path("c/coordinator.json")); })) << coordinator.err();
  const std::string at = parse_json(read_file(path("c/coordinator.json")), "c")->at("endpoint").get<std::string>();
  ASSERT_TRUE(at.starts_with("tcp://127.0.0.1:")) << at;
  Process worker(folder_.path(), "worker", keyed({"worker", "--coordinator", at, "--dir", "c"}, "worker"));
  Process job(folder_.path(), "job", keyed({"submit", "job.toml", "--follow", "--json", "--dir", "c"}, "laptop"));
  ASSERT_TRUE(within(seconds(60), [&] { return step() > 10; })) << worker.err();

  // Strangers learn why; nobody else notices them.
  const Process no_worker = strand("stranger", keyed({"worker", "--coordinator", at}, "stranger"));
  EXPECT_EQ(no_worker.exit_code(), 2) << no_worker.err();
  EXPECT_NE(no_worker.err().find("is not in the list of keys"), std::string::npos) << no_worker.err();
  const Process no_client = strand("stranger-client", keyed({"jobs", "--dir", "c"}, "stranger"));
  EXPECT_EQ(no_client.exit_code(), 2) << no_client.err();
  const Process plain = strand("plain", {"jobs", "--dir", "c"});
  EXPECT_EQ(plain.exit_code(), 2) << plain.err();
  EXPECT_NE(plain.err().find("--keys"), std::string::npos) << plain.err();
  // A data server that comes late and has another genome is refused by field, and the run goes on with the first.
  write_file(path("small.fa"), small_fasta(60000, 2));
  Process other(folder_.path(), "other", {"dataserver", "--bind", late, "--dir", "other"});
  EXPECT_TRUE(within(seconds(20), [&] {
    const std::string log = read_file(path("c/logs/worker.log"));
    const size_t refused = log.find("data_server_refused");
    return refused != std::string::npos && log.find("'bases' differs", refused) != std::string::npos;
  })) << read_file(path("c/logs/worker.log"));
  expect_no_secret_in_processes();
  ASSERT_TRUE(job.wait(seconds(120)));
  EXPECT_EQ(job.exit_code(), 0) << job.err();
  const Json done = show({"--dir", "c"});
  EXPECT_EQ(done["state"], "done");
  EXPECT_EQ(done["restarts"], 0) << done.dump();
  EXPECT_GE(done["counters"]["refused_keys"].get<int>(), 2);
  write_file(path("small.fa"), small_fasta(60000, 1));
  const Process audit = strand("audit", keyed({"data", "audit", "small", "--dir", "c", "--json"}, "laptop"));
  EXPECT_EQ(audit.exit_code(), 0) << audit.err();
  EXPECT_EQ(audit.json()["steps"], 300);

  const Process alone = strand("alone", {"run", "job.toml", "--json", "--dir", "alone"});
  EXPECT_EQ(alone.json()["digest"], done["digest"]) << "keys change nothing but who gets in";
  for (Process* process : {&worker, &coordinator, &data, &other}) process->signal(SIGTERM);
  for (Process* process : {&worker, &coordinator, &data, &other}) EXPECT_TRUE(process->wait(seconds(20)));
  expect_no_secret_in_files();
}

TEST_F(KeysTest, ListeningToOtherMachinesNeedsKeys) {
  make_keys("a");
  write_file(path("cluster.keys"), read_file(path("keys/a/strand.key.pub")));
  for (const Words& daemon : {Words{"dataserver", "--dir", "d"}, Words{"coordinator", "--dir", "c"}}) {
    Words arguments = daemon;
    arguments.insert(arguments.end(), {"--bind", "tcp://0.0.0.0:0"});
    const Process open = strand(daemon[0] + "-open", arguments);
    EXPECT_EQ(open.exit_code(), 2) << open.err();
    for (const char* word : {"0.0.0.0", "--keys", "--allow", "strand keys new"}) {
      EXPECT_NE(open.err().find(word), std::string::npos) << open.err();
    }
    Process locked(folder_.path(), daemon[0] + "-locked", keyed(arguments, "a"));
    EXPECT_NE(logged_endpoint(daemon[2] + "/logs/" + daemon[0] + ".log"), "") << locked.err();
  }
  const Process half = strand("half", {"dataserver", "--dir", "d", "--bind", "tcp://0.0.0.0:0", "--keys", "keys/a"});
  EXPECT_EQ(half.exit_code(), 2);
  EXPECT_NE(half.err().find("--allow"), std::string::npos) << half.err();
  ASSERT_EQ(::chmod(path("keys/a/strand.key").c_str(), 0644), 0);
  const Process readable = strand("readable", keyed({"dataserver", "--dir", "d", "--bind", "tcp://127.0.0.1:0"}, "a"));
  EXPECT_EQ(readable.exit_code(), 2);
  EXPECT_NE(readable.err().find("chmod 600"), std::string::npos) << readable.err();
}

}  // namespace
}  // namespace strand::e2e
