// The link between the stages of one replica that are processes: numbered messages over a network that may lose, delay,
// repeat and reorder them, with the bounds of every link (stage_link.h).
//
// Each message of a kind has its number in the pass. The receiver says how many it has taken and how many have arrived
// (StageTaken): taken ones are forgotten and leave room, arrived ones are not sent again. What is not taken is sent
// again less and less often, without its bulk once it has arrived: then it only asks for the count.
//
// Messages of a pass that are on the way when it ends here stay on the way until they are taken: the neighbour may
// still need them. They count as messages of the next pass do, so no more than kLinkBuffers of a kind are ever kept.
#pragma once

#include <compare>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <vector>

#include "shared/base/clock.h"
#include "shared/base/ids.h"
#include "shared/base/result.h"
#include "shared/net/transport.h"
#include "shared/wire/shard_messages.h"
#include "worker/pipeline/schedule.h"
#include "worker/pipeline/stage_link.h"

namespace strand {

// What the messages of one run of a schedule are stamped with; a later run has a greater one.
struct PassStamp {
  Generation generation;
  Step step = 0;
  uint32_t pass = 0;  // 0: the training pass of `step`; 1, 2, ...: evaluation passes after it
  auto operator<=>(const PassStamp&) const = default;
};

// Link calls, open and close: the training thread. deliver and flush: the hub's thread. The others: any.
class StageMailbox final : public StageLink {
 public:
  struct Outgoing {
    WorkerId to;
    ShardMessage message;
    Frame bulk;
  };

  // `wake` makes the hub's thread call flush soon; called from any thread, never with a lock held.
  StageMailbox(JobId job, WorkerId self, Incarnation incarnation, const Clock& clock, std::function<void()> wake);

  // From now on messages are of this pass. What has arrived for it is there, what arrived for older ones is gone; what
  // was sent in older passes of the same generation is still sent until it is taken. `stamp` is greater than every
  // earlier one: a pass that was given up has no second try. `previous` and `next` are the neighbours on the ring of
  // stages: whom activations come from and go to. Both are this worker itself when there is one stage.
  void open(const PassStamp& stamp, const PipelineShape& shape, int stage, WorkerId previous, WorkerId next);
  // No pass is open: link calls are an internal error.
  void close();

  // A newer plan came: link calls in passes of generations before `older_than`, now or later, end with this error at
  // once, and their messages are gone. The neighbours are not told; they hear of the plan themselves.
  void interrupt(Generation older_than, const Error& reason);

  Result<bool> send(const MessageTag& tag, const Frame& bytes, Duration wait) override;
  Result<std::optional<Frame>> receive(const MessageTag& tag, Duration wait) override;
  void abort(const Error& reason) override;

  // Everything sent has been taken, and nothing is left to say. Whoever leaves the group for good waits for this (with
  // a limit): its neighbours may need what it sent last.
  bool quiet() const;

  // A message with is_stage_message(body), whose job, generation and sender the caller has fenced. Of a newer pass than
  // the open one it is kept (bounded); of an older one it is dropped, its data with an answer that ends its resending.
  void deliver(const ShardMessage& message, Frame bulk, Time now);
  // What is to be sent now, repetitions too. Whatever of it cannot be sent comes again.
  std::vector<Outgoing> flush(Time now);

  // Messages that were of no use: of nobody in the ring, malformed, too many.
  uint64_t dropped() const;

 private:
  static constexpr size_t kKinds = 2;
  struct Message {
    MessageTag tag;
    Frame bytes;
  };
  struct Inbox {
    WorkerId from;                        // of the first that came; 0: none yet
    std::map<uint64_t, Message> waiting;  // by number, not taken
    uint64_t taken = 0, arrived = 0;      // all below this number
    std::optional<Time> answer_at;        // when StageTaken is due
  };
  struct Pass {
    Inbox inbox[kKinds];
    std::optional<Error> failure;
  };
  // When to say something again: at once for the first time, then less and less often.
  struct Repetition {
    std::optional<Time> next;  // nothing: not said yet
    Duration wait{};
    bool due(Time now);
  };
  struct Sent {
    PassStamp stamp;
    WorkerId to;
    MessageTag tag;
    uint64_t sequence = 0;
    Frame bytes;
    bool arrived = false;
    Repetition repetition;
  };
  struct Abort {
    PassStamp stamp;
    WorkerId to;
    Error reason;
    int told = 0;
    Repetition repetition;
  };
  struct Answer {
    PassStamp stamp;
    WorkerId to;
    StageTaken taken;
  };

  // All with the lock held.
  template <class Ready>
  bool wait_until(std::unique_lock<std::mutex>* lock, Duration wait, Ready ready);
  const Error* failure() const;
  bool interrupted() const { return stamp_.generation < interrupted_before_; }
  bool alone() const { return next_ == self_; }
  WorkerId receiver(size_t kind) const { return kind == 0 ? next_ : previous_; }
  WorkerId sender(size_t kind) const { return kind == 0 ? previous_ : next_; }
  bool is_over(const PassStamp& stamp) const { return stamp < stamp_ || (stamp == stamp_ && !open_); }
  Pass* pass_for(const PassStamp& stamp);
  void end_passes_before(const PassStamp& stamp);
  void forget_before(Generation generation);
  bool on_data(const PassStamp& stamp, WorkerId from, const StageData& data, Frame bulk, Time now);
  bool on_taken(const PassStamp& stamp, WorkerId from, const StageTaken& taken);
  bool on_abort(const PassStamp& stamp, WorkerId from, const StageAbort& abort);
  void say_taken(Time now, std::vector<Outgoing>* out);
  void say_data(Time now, std::vector<Outgoing>* out);
  void say_aborts(Time now, std::vector<Outgoing>* out);
  Outgoing stamped(const PassStamp& stamp, WorkerId to, ShardBody body, Frame bulk = {}) const;

  const JobId job_;
  const WorkerId self_;
  const Incarnation incarnation_;
  const Clock& clock_;
  const std::function<void()> wake_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  PassStamp stamp_;  // the newest that was opened
  bool open_ = false;
  WorkerId previous_, next_;
  uint64_t next_sequence_[kKinds] = {};
  std::map<PassStamp, Pass> passes_;  // the open one and newer ones
  std::deque<Sent> sent_[kKinds];     // not taken, in order of pass and number
  std::vector<Abort> aborts_;
  std::vector<Answer> answers_;  // to messages of passes that are over
  Generation interrupted_before_;
  std::optional<Error> interruption_;
  uint64_t dropped_ = 0;
};

}  // namespace strand
