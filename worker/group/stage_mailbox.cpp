#include "worker/group/stage_mailbox.h"

#include <algorithm>
#include <utility>

#include "shared/base/check.h"
#include "shared/base/text.h"

namespace strand {
namespace {

constexpr Duration kFirstWait = std::chrono::milliseconds(500), kLongestWait = std::chrono::seconds(4);
// An arrival is answered after this, unless the message is taken before: then one answer says both.
constexpr Duration kAnswerDelay = std::chrono::milliseconds(100);
constexpr int kAbortsTold = 5;
// Passes of which messages are kept before they are opened. A neighbour has at most kLinkBuffers messages of a kind on
// the way, so of no more passes than that; one more for a pass that it gave up before it sent anything.
constexpr size_t kMostEarlyPasses = 2 * kLinkBuffers + 1;

size_t index_of(MessageKind kind) {
  return kind == MessageKind::kActivation ? 0 : 1;
}
MessageKind kind_of(size_t index) {
  return index == 0 ? MessageKind::kActivation : MessageKind::kGradient;
}

}  // namespace

StageMailbox::StageMailbox(JobId job, WorkerId self, Incarnation incarnation, const Clock& clock,
                           std::function<void()> wake)
    : job_(job), self_(self), incarnation_(incarnation), clock_(clock), wake_(std::move(wake)) {}

// --- passes ---------------------------------------------------------------------------------------------------------

void StageMailbox::open(const PassStamp& stamp, const PipelineShape& shape, int stage, WorkerId previous,
                        WorkerId next) {
  STRAND_CHECK(stage >= 0 && stage < shape.stages);
  STRAND_CHECK((previous == self_) == (shape.stages == 1) && (next == self_) == (shape.stages == 1));
  {
    const std::lock_guard lock(mutex_);
    STRAND_CHECK(stamp > stamp_, "a pass is opened once, and none after a later one");
    if (stamp.generation != stamp_.generation) forget_before(stamp.generation);
    end_passes_before(stamp);
    stamp_ = stamp;
    open_ = true;
    previous_ = previous;
    next_ = next;
    Pass& pass = passes_[stamp];
    for (size_t kind = 0; kind < kKinds; ++kind) {
      next_sequence_[kind] = 0;
      Inbox& inbox = pass.inbox[kind];
      if (inbox.from != sender(kind)) inbox = {};  // from somebody who is no neighbour
      inbox.from = sender(kind);
    }
  }
  wake_();
}

void StageMailbox::close() {
  {
    const std::lock_guard lock(mutex_);
    if (!open_) return;
    open_ = false;
    const auto newer = passes_.upper_bound(stamp_);
    if (newer == passes_.end()) {
      end_passes_before({{UINT64_MAX}, 0, 0});
    } else {
      end_passes_before(newer->first);
    }
  }
  wake_();
}

void StageMailbox::interrupt(Generation older_than, const Error& reason) {
  const std::lock_guard lock(mutex_);
  if (older_than <= interrupted_before_) return;
  interrupted_before_ = older_than;
  interruption_ = reason;
  forget_before(older_than);
  changed_.notify_all();
}

// Their senders are told that nothing of them is awaited any more, where they do not know it yet.
void StageMailbox::end_passes_before(const PassStamp& stamp) {
  const auto end = passes_.lower_bound(stamp);
  for (auto it = passes_.begin(); it != end; ++it) {
    for (uint8_t kind = 0; kind < kKinds; ++kind) {
      const Inbox& inbox = it->second.inbox[kind];
      if (!inbox.answer_at || inbox.from == self_) continue;
      const uint64_t count = inbox.waiting.empty() ? inbox.taken : inbox.waiting.rbegin()->first + 1;
      answers_.push_back({it->first, inbox.from, {it->first.pass, kind, count, count}});
    }
  }
  passes_.erase(passes_.begin(), end);
}

void StageMailbox::forget_before(Generation generation) {
  const auto is_older = [&](const auto& item) { return item.stamp.generation < generation; };
  for (auto& sent : sent_) std::erase_if(sent, is_older);
  std::erase_if(aborts_, is_older);
  std::erase_if(answers_, is_older);
  std::erase_if(passes_, [&](const auto& item) {
    return item.first.generation < generation && !(open_ && item.first == stamp_);
  });
}

// --- the link -------------------------------------------------------------------------------------------------------

template <class Ready>
bool StageMailbox::wait_until(std::unique_lock<std::mutex>* lock, Duration wait, Ready ready) {
  const Time deadline = clock_.now() + wait;
  while (!ready()) {
    const Duration left = deadline - clock_.now();
    if (left <= Duration::zero()) return false;
    changed_.wait_for(*lock, left);
  }
  return true;
}

const Error* StageMailbox::failure() const {
  static const Error closed = internal_error("the link between stages is used while no pass is open");
  if (!open_) return &closed;
  if (interrupted()) return &*interruption_;
  const auto& failure = passes_.at(stamp_).failure;
  return failure ? &*failure : nullptr;
}

Result<bool> StageMailbox::send(const MessageTag& tag, const Frame& bytes, Duration wait) {
  const size_t kind = index_of(tag.kind);
  {
    std::unique_lock lock(mutex_);
    std::deque<Sent>& sent = sent_[kind];
    // With one stage nobody else could make room, and the messages take none: they are views.
    const bool room = wait_until(&lock, wait, [&] {
      return failure() != nullptr || alone() || sent.size() < static_cast<size_t>(kLinkBuffers);
    });
    if (const Error* error = failure()) return *error;
    if (!room) return false;
    const uint64_t sequence = next_sequence_[kind]++;
    if (alone()) {
      passes_.at(stamp_).inbox[kind].waiting[sequence] = {tag, bytes};
      return true;
    }
    sent.push_back({stamp_, receiver(kind), tag, sequence, bytes, false, {}});
  }
  wake_();
  return true;
}

Result<std::optional<Frame>> StageMailbox::receive(const MessageTag& tag, Duration wait) {
  const size_t kind = index_of(tag.kind);
  Frame bytes;
  {
    std::unique_lock lock(mutex_);
    const auto front = [&]() -> const Message* {
      const Inbox& inbox = passes_.at(stamp_).inbox[kind];
      const auto first = inbox.waiting.begin();
      return first != inbox.waiting.end() && first->first == inbox.taken ? &first->second : nullptr;
    };
    const bool there = wait_until(&lock, wait, [&] { return failure() != nullptr || front() != nullptr; });
    if (const Error* error = failure()) return *error;
    if (!there) return std::optional<Frame>();
    if (front()->tag != tag) {
      return internal_error(concat("worker ", self_.value, " takes ", to_text(tag), " of step ", stamp_.step,
                                   " and finds ", to_text(front()->tag)));
    }
    Inbox& inbox = passes_.at(stamp_).inbox[kind];
    bytes = std::move(inbox.waiting.begin()->second.bytes);
    inbox.waiting.erase(inbox.waiting.begin());
    inbox.arrived = std::max(inbox.arrived, ++inbox.taken);
    if (alone()) return std::optional<Frame>(std::move(bytes));
    inbox.answer_at = Time{INT64_MIN};
  }
  wake_();
  return std::optional<Frame>(std::move(bytes));
}

void StageMailbox::abort(const Error& reason) {
  {
    const std::lock_guard lock(mutex_);
    if (!open_ || interrupted()) return;
    Pass& pass = passes_.at(stamp_);
    if (!pass.failure) pass.failure = reason;
    if (alone()) return;
    for (auto& sent : sent_) {
      std::erase_if(sent, [&](const Sent& s) { return s.stamp == stamp_; });
    }
    aborts_.push_back({stamp_, next_, reason, 0, {}});
    if (previous_ != next_) aborts_.push_back({stamp_, previous_, reason, 0, {}});
  }
  wake_();
}

bool StageMailbox::quiet() const {
  const std::lock_guard lock(mutex_);
  for (const auto& [stamp, pass] : passes_) {
    for (const Inbox& inbox : pass.inbox) {
      if (inbox.answer_at) return false;
    }
  }
  const auto told = [](const Abort& abort) { return abort.told > 0; };
  return sent_[0].empty() && sent_[1].empty() && answers_.empty() && std::all_of(aborts_.begin(), aborts_.end(), told);
}

uint64_t StageMailbox::dropped() const {
  const std::lock_guard lock(mutex_);
  return dropped_;
}

// --- what arrives ---------------------------------------------------------------------------------------------------

void StageMailbox::deliver(const ShardMessage& message, Frame bulk, Time now) {
  const Header& header = message.header;
  const auto stamp = [&](uint32_t pass) { return PassStamp{header.generation, header.step, pass}; };
  const std::lock_guard lock(mutex_);
  bool useful = false;
  if (header.generation < interrupted_before_) {
    useful = false;
  } else if (const auto* data = std::get_if<StageData>(&message.body)) {
    useful = data->kind < kKinds && on_data(stamp(data->pass), header.sender, *data, std::move(bulk), now);
  } else if (const auto* taken = std::get_if<StageTaken>(&message.body)) {
    useful = taken->kind < kKinds && on_taken(stamp(taken->pass), header.sender, *taken);
  } else if (const auto* abort = std::get_if<StageAbort>(&message.body)) {
    useful = on_abort(stamp(abort->pass), header.sender, *abort);
  }
  if (useful) {
    changed_.notify_all();
  } else {
    ++dropped_;
  }
}

// Of a pass that is not over: the open one, or an early one while there is room. A plan that never began here leaves
// its early passes behind; a newer plan's take their room.
StageMailbox::Pass* StageMailbox::pass_for(const PassStamp& stamp) {
  const auto known = passes_.find(stamp);
  if (known != passes_.end()) return &known->second;
  const auto first_early = passes_.upper_bound(stamp_);
  if (static_cast<size_t>(std::distance(first_early, passes_.end())) >= kMostEarlyPasses) {
    if (first_early->first.generation >= stamp.generation) return nullptr;
    passes_.erase(first_early);
  }
  return &passes_[stamp];
}

bool StageMailbox::on_data(const PassStamp& stamp, WorkerId from, const StageData& data, Frame bulk, Time now) {
  if (is_over(stamp)) {
    answers_.push_back({stamp, from, {data.pass, data.kind, data.sequence + 1, data.sequence + 1}});
    return true;
  }
  Pass* pass = pass_for(stamp);
  if (pass == nullptr) return false;
  Inbox& inbox = pass->inbox[data.kind];
  if (inbox.from == WorkerId{}) inbox.from = from;
  if (inbox.from != from || from == self_) return false;
  if (bulk.size() == 0 || data.sequence < inbox.taken || inbox.waiting.contains(data.sequence)) {
    inbox.answer_at = now;
    return true;
  }
  if (data.sequence >= inbox.taken + static_cast<uint64_t>(kLinkBuffers)) return false;
  const MessageTag tag{kind_of(data.kind), static_cast<int>(data.chunk), static_cast<int>(data.micro_batch)};
  inbox.waiting[data.sequence] = {tag, std::move(bulk)};
  while (inbox.waiting.contains(inbox.arrived)) ++inbox.arrived;
  inbox.answer_at = std::min(inbox.answer_at.value_or(now + kAnswerDelay), now + kAnswerDelay);
  return true;
}

bool StageMailbox::on_taken(const PassStamp& stamp, WorkerId from, const StageTaken& taken) {
  std::deque<Sent>& sent = sent_[taken.kind];
  std::erase_if(sent, [&](const Sent& s) { return s.stamp == stamp && s.to == from && s.sequence < taken.taken; });
  for (Sent& s : sent) {
    if (s.stamp == stamp && s.to == from && s.sequence < taken.arrived) s.arrived = true;
  }
  return true;
}

bool StageMailbox::on_abort(const PassStamp& stamp, WorkerId from, const StageAbort& abort) {
  if (is_over(stamp)) return true;
  if (stamp == stamp_ && from != previous_ && from != next_) return false;
  Pass* pass = pass_for(stamp);
  if (pass == nullptr) return false;
  const bool known = abort.code <= static_cast<uint8_t>(ErrorCode::kGaveUp);
  if (!pass->failure) pass->failure.emplace(known ? ErrorCode{abort.code} : ErrorCode::kInternal, abort.reason);
  return true;
}

// --- what is sent ---------------------------------------------------------------------------------------------------

bool StageMailbox::Repetition::due(Time now) {
  if (next && now < *next) return false;
  wait = next ? std::min(wait * 2, kLongestWait) : kFirstWait;
  next = now + wait;
  return true;
}

StageMailbox::Outgoing StageMailbox::stamped(const PassStamp& stamp, WorkerId to, ShardBody body, Frame bulk) const {
  Header header;
  header.job = job_;
  header.generation = stamp.generation;
  header.sender = self_;
  header.incarnation = incarnation_;
  header.step = stamp.step;
  return {to, {header, std::move(body)}, std::move(bulk)};
}

std::vector<StageMailbox::Outgoing> StageMailbox::flush(Time now) {
  std::vector<Outgoing> out;
  const std::lock_guard lock(mutex_);
  say_taken(now, &out);
  say_data(now, &out);
  say_aborts(now, &out);
  return out;
}

void StageMailbox::say_taken(Time now, std::vector<Outgoing>* out) {
  for (const Answer& answer : std::exchange(answers_, {})) {
    out->push_back(stamped(answer.stamp, answer.to, answer.taken));
  }
  for (auto& [stamp, pass] : passes_) {
    for (uint8_t kind = 0; kind < kKinds; ++kind) {
      Inbox& inbox = pass.inbox[kind];
      if (!inbox.answer_at || now < *inbox.answer_at) continue;
      inbox.answer_at.reset();
      out->push_back(stamped(stamp, inbox.from, StageTaken{stamp.pass, kind, inbox.taken, inbox.arrived}));
    }
  }
}

void StageMailbox::say_data(Time now, std::vector<Outgoing>* out) {
  for (uint8_t kind = 0; kind < kKinds; ++kind) {
    for (Sent& s : sent_[kind]) {
      if (!s.repetition.due(now)) continue;
      const StageData data{s.stamp.pass, kind, static_cast<uint32_t>(s.tag.chunk),
                           static_cast<uint32_t>(s.tag.micro_batch), s.sequence};
      out->push_back(stamped(s.stamp, s.to, data, s.arrived ? Frame() : s.bytes));
    }
  }
}

void StageMailbox::say_aborts(Time now, std::vector<Outgoing>* out) {
  for (Abort& abort : aborts_) {
    if (!abort.repetition.due(now)) continue;
    ++abort.told;
    const StageAbort body{abort.stamp.pass, static_cast<uint8_t>(abort.reason.code()), abort.reason.message()};
    out->push_back(stamped(abort.stamp, abort.to, body));
  }
  std::erase_if(aborts_, [](const Abort& abort) { return abort.told == kAbortsTold; });
}

}  // namespace strand
