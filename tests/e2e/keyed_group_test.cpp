// A 2 x 2 group whose tensors travel over tcp with keys: strangers cannot talk to its workers, and it goes on.
#include <gtest/gtest.h>

#include <memory>

#include "shared/base/text.h"
#include "tests/e2e/chaos.h"

namespace strand::e2e {
namespace {

using std::chrono::seconds;

class KeyedGroupTest : public ChaosTest {
 protected:
  // `strand show` that takes a worker for a coordinator.
  Process speak_to(const std::string& worker, const std::string& tag, const Words& options) const {
    return Process(folder_.path(), tag, Words{"show", "small", "--coordinator", site_->endpoint(worker)} + options);
  }
  static std::string log_of(const Cluster& cluster, const std::string& worker) {
    return read_file(cluster.logs() + "/" + worker + ".log");
  }

  std::shared_ptr<KeyedSite> site_;
};

TEST_F(KeyedGroupTest, StrangersCannotTalkToWorkersAndTheGroupGoesOn) {
  const Digests expected = undisturbed(kSteps);
  site_ = std::make_shared<KeyedSite>(
      folder_.path(), "127.77.0.",
      Words{"client", "coordinator", "data-1", "worker-1", "worker-2", "worker-3", "worker-4"}, 0);
  const std::string stranger = make_key_pair(folder_.path(), "stranger");
  const std::string key = split(stranger, '\n').at(1);
  Cluster cluster(folder_.path(), 1, site_);
  cluster.start_workers(4);
  ASSERT_TRUE(within(seconds(20), [&] { return cluster.submit(kTwoByTwo); }));
  ASSERT_TRUE(cluster.reaches(5)) << cluster.show().dump();

  // One with a key that is in no list, one without any, and one that is in the list and is no worker.
  Process foreign = speak_to("worker-2", "foreign", KeyedSite::keys("stranger"));
  Process plain = speak_to("worker-3", "plain", {});
  Process client = speak_to("worker-4", "client-of-a-worker", KeyedSite::keys("client"));
  for (Process* process : {&foreign, &plain, &client}) {
    EXPECT_TRUE(process->wait(seconds(30)));
    EXPECT_NE(process->exit_code(), 0);
  }
  EXPECT_EQ(foreign.exit_code(), 2) << foreign.err();
  EXPECT_NE(foreign.err().find("is not in the list of keys"), std::string::npos) << foreign.err();
  EXPECT_EQ(plain.exit_code(), 2) << plain.err();
  EXPECT_NE(plain.err().find("speaks only with keys"), std::string::npos) << plain.err();
  const std::string refusal = log_of(cluster, "worker-2");
  const size_t refused = refusal.find("client_refused");
  ASSERT_NE(refused, std::string::npos) << refusal;
  EXPECT_NE(refusal.find(key, refused), std::string::npos) << refusal;
  EXPECT_NE(log_of(cluster, "worker-4").find("peer_message_dropped"), std::string::npos) << "what it says is nothing";

  EXPECT_EQ(cluster.end(), expected) << cluster.show().dump();
  EXPECT_EQ(cluster.show()["generation"], 1) << "nobody noticed";
  for (const char* worker : {"worker-1", "worker-2", "worker-3", "worker-4"}) {
    EXPECT_NE(log_of(cluster, worker).find(concat("peers=", site_->endpoint(worker))), std::string::npos) << worker;
  }
}

}  // namespace
}  // namespace strand::e2e
