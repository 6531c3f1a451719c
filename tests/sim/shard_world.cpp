#include "tests/sim/shard_world.h"

#include <algorithm>

namespace strand::sim {
namespace {

constexpr Duration kTick = std::chrono::milliseconds(20);
constexpr uint64_t kCoordinator = 0;

SerialJob job_of(const WorldShape& shape) {
  SerialJob job;
  job.lanes = shape.lanes;
  job.reads_weights = shape.staleness == 0;
  int64_t first = 0;
  for (int stage = 0; stage < shape.stages; ++stage) {
    for (int r = 0; r < shape.ranges_per_stage; ++r) {
      const int64_t blocks = 1 + (stage + r) % 3;
      const bool tied = shape.tied && stage == 0 && r == 0;
      job.ranges.push_back({{first, blocks * kRangeBlockElements}, {stage, tied ? shape.stages - 1 : -1}, blocks});
      first += blocks * kRangeBlockElements;
    }
  }
  return job;
}

}  // namespace

ShardWorld::ShardWorld(const WorldShape& shape, uint64_t seed)
    : shape_(shape), random_(seed), network_(&queue_, &random_), wanted_(shape.replicas) {
  serial_ = std::make_unique<SerialRun>(job_of(shape));
  ShardChecks::World seen;
  seen.living = [this] {
    std::vector<ShardChecks::Member> living;
    for (const Process& p : workers_) {
      if (p.alive) living.push_back(member(p));
    }
    return living;
  };
  seen.plan = [this](Generation generation) -> const GroupPlan& { return plans_.at(generation.value); };
  seen.newest_plan = [this] { return Generation{plans_.rbegin()->first}; };
  seen.violation = [this](const std::string& text) { violation(text); };
  seen.note = [this](const std::string& text) {
    history_.push_back(concat(to_seconds(queue_.now() - Time{}), " s: ", text));
  };
  checks_ = std::make_unique<ShardChecks>(serial_.get(), seen);
  workers_.resize(static_cast<size_t>(shape.stages * shape.replicas + shape.spares));
  for (size_t i = 0; i < workers_.size(); ++i) {
    workers_[i].id.value = i + 1;
    start(workers_[i]);
  }
  replan();
}

void ShardWorld::violation(const std::string& text) {
  violations_.push_back(concat("at ", to_seconds(queue_.now() - Time{}), " s: ", text));
}

void ShardWorld::start(Process& p) {
  p.incarnation.value = ++incarnations_;
  p.alive = p.known = true;
  p.paused_until = {};
  p.stage = -1;
  p.updating = false;
  p.pass = nullptr;
  p.readable.clear();
  p.store = std::make_unique<SymbolicStore>(serial_.get(), [this, id = p.id](const std::string& text) {
    violation(concat("worker ", id.value, ": ", text));
  });
  ProtocolOptions options;
  options.job.value = 1;
  options.self = p.id;
  options.incarnation = p.incarnation;
  options.ranges = serial_->job().ranges;
  options.staleness = shape_.staleness;
  options.last_step = shape_.last_step;
  options.resend = std::chrono::milliseconds(40);
  options.deadline = std::chrono::seconds(1);
  p.protocol = std::make_unique<CommitProtocol>(options, p.store.get());
  queue_.after(kTick, [this, i = index_of(p.id), inc = p.incarnation] { tick(i, inc); });
}

// --- time and messages ----------------------------------------------------------------------------------------------

void ShardWorld::tick(size_t worker, Incarnation incarnation) {
  Process& p = workers_[worker];
  if (!p.alive || p.incarnation != incarnation) return;
  when_awake(worker, incarnation, ProtocolTick{});
  const Time next = std::max(queue_.now() + kTick, p.paused_until);
  queue_.at(next, [this, worker, incarnation] { tick(worker, incarnation); });
}

// A paused process finds what came meanwhile when it wakes up.
void ShardWorld::when_awake(size_t worker, Incarnation incarnation, const ProtocolEvent& event) {
  Process& p = workers_[worker];
  if (!p.alive || p.incarnation != incarnation) return;
  if (queue_.now() < p.paused_until) {
    queue_.at(p.paused_until, [this, worker, incarnation, event] { when_awake(worker, incarnation, event); });
    return;
  }
  happens(p, event);
}

void ShardWorld::happens(Process& p, const ProtocolEvent& event) {
  const auto* plan = std::get_if<NewPlan>(&event);
  if (plan != nullptr || !p.protocol->training()) checks_->before(member(p));
  const auto* loaded = std::get_if<CheckpointLoaded>(&event);
  if (loaded != nullptr && loaded->generation == p.protocol->generation()) {
    for (const uint32_t range : p.loading.ranges) p.store->load(range, p.loading.step);
  }
  if (const auto* ready = std::get_if<GradientReady>(&event)) check_still_there(p, *ready);
  if (std::holds_alternative<UpdateNext>(event)) p.updating = false;
  for (const ProtocolAction& action : p.protocol->handle(event, queue_.now())) perform(p, action);
  if (p.updating || p.protocol->updates_left() == 0) return;
  p.updating = true;
  const Duration wait = random_.between(Duration(0), std::chrono::milliseconds(2));
  queue_.after(wait, [this, i = index_of(p.id), inc = p.incarnation] { when_awake(i, inc, UpdateNext{}); });
}

void ShardWorld::deliver(size_t to, const ShardMail& mail) {
  Process& p = workers_[to];
  if (!p.alive) return;
  if (shape_.plant != Plant::kNoFencing && shape_.plant != Plant::kClosedOnCount) {
    when_awake(to, p.incarnation, mail);
    return;
  }
  if (queue_.now() < p.paused_until) {
    queue_.at(p.paused_until, [this, to, mail] { deliver(to, mail); });
    return;
  }
  ShardMail changed = mail;
  if (shape_.plant == Plant::kNoFencing) changed.message.header.generation = p.protocol->generation();
  if (shape_.plant == Plant::kClosedOnCount && p.protocol->generation().value > 0) {
    const GroupPlan& plan = plans_.at(p.protocol->generation().value);
    for (const ShardMail& made : closed_on_count(plan, serial_->job().ranges, mail, p.id, &norm_count_)) {
      happens(p, made);
    }
  }
  happens(p, changed);
}

void ShardWorld::perform(Process& p, const ProtocolAction& action) {
  if (const auto* out = std::get_if<SendToWorker>(&action)) send(p, *out);
  if (const auto* step = std::get_if<StartStep>(&action)) start_pass(p, *step);
  if (const auto* here = std::get_if<RangeReadable>(&action)) {
    p.readable[here->range] = here->version;
    if (p.pass && std::exchange(p.pass->waits, false)) read_next(index_of(p.id), p.incarnation, p.pass);
  }
  if (const auto* done = std::get_if<StepCommitted>(&action)) checks_->committed(member(p), done->record);
  if (const auto* failed = std::get_if<StepFailed>(&action)) {
    violation(concat("worker ", p.id.value, " failed step ", failed->record.step));
  }
  if (const auto* choose = std::get_if<ChooseCheckpoint>(&action)) {
    const CheckpointChosen chosen{choose->generation, committed() / 4 * 4};
    queue_.after(random_.between(kTick / 20, kTick * 2),
                 [this, i = index_of(p.id), inc = p.incarnation, chosen] { when_awake(i, inc, chosen); });
  }
  if (const auto* load = std::get_if<LoadCheckpoint>(&action)) {
    p.loading = *load;
    checks_->loading(member(p), *load);
    const CheckpointLoaded loaded{load->generation, load->step};
    queue_.after(random_.between(kTick / 20, kTick * 2),
                 [this, i = index_of(p.id), inc = p.incarnation, loaded] { when_awake(i, inc, loaded); });
  }
  if (const auto* recovered = std::get_if<Recovered>(&action)) {
    history_.push_back(concat(to_seconds(queue_.now() - Time{}), " s: worker ", p.id.value, " at step ",
                              recovered->base, " in generation ", recovered->generation.value));
    checks_->recovered(member(p), *recovered);
  }
}

void ShardWorld::send(Process& p, const SendToWorker& action) {
  checks_->sent(member(p), action);
  const Header& header = action.message.message.header;
  sent_[{header.step, shard_message_name(action.message.message.body)}].insert({header.sender.value, header.request});
  const auto* sum = std::get_if<GradientSum>(&action.message.message.body);
  if (shape_.plant == Plant::kNormBeforeAck && sum != nullptr) {
    const ShardMail ack = early_acknowledgement(action, workers_[index_of(action.to)].incarnation);
    queue_.after(Duration(0), [this, i = index_of(p.id), inc = p.incarnation, ack] { when_awake(i, inc, ack); });
  }
  const size_t to = index_of(action.to);
  network_.send(p.id.value, action.to.value, [this, to, mail = action.message] { deliver(to, mail); });
}

// --- the training thread ---------------------------------------------------------------------------------------------

void ShardWorld::start_pass(Process& p, const StartStep& start) {
  const int stage = find_member(plans_.at(start.generation.value), p.id)->stage;
  const std::vector<uint32_t>& needed = p.protocol->needed();
  auto pass = std::make_shared<Pass>(Pass{start, {}, 0, std::vector<uint64_t>(needed.size()), false});
  for (const bool borrowed : {false, true}) {
    for (size_t place = 0; place < needed.size(); ++place) {
      if ((serial_->job().ranges[needed[place]].place.stage != stage) == borrowed) pass->order.push_back(place);
    }
  }
  p.pass = pass;
  if (shape_.staleness > 0) {  // from a copy of what is here now
    for (; pass->reads < needed.size(); ++pass->reads) {
      const uint32_t range = needed[pass->reads];
      const Step version = p.protocol->readable(range);
      if (version < start.step - 1 - shape_.staleness || version >= start.step) {
        violation(concat("step ", start.step, " starts from version ", version, " of range ", range));
      }
      pass->weights[pass->reads] = p.store->read(range);
    }
  }
  read_next(index_of(p.id), p.incarnation, pass);
}

bool ShardWorld::is_readable(const Process& p, uint32_t range) const {
  const auto said = p.readable.find(range);
  return said != p.readable.end() && said->second >= p.pass->start.step - 1;
}

// Waits until the range is said to be readable, reads what is there and computes for a while. A pass of an older
// generation is put down.
void ShardWorld::read_next(size_t worker, Incarnation incarnation, const std::shared_ptr<Pass>& pass) {
  Process& p = workers_[worker];
  if (!p.alive || p.incarnation != incarnation || p.pass != pass) return;
  if (p.protocol->generation() != pass->start.generation) return;
  const auto again = [this, worker, incarnation, pass] { read_next(worker, incarnation, pass); };
  if (queue_.now() < p.paused_until) return queue_.at(p.paused_until, again);
  if (pass->reads == pass->order.size()) return hand_over(p);
  const size_t place = pass->order[pass->reads];
  const uint32_t range = p.protocol->needed()[place];
  if (shape_.plant != Plant::kReadTooEarly && !is_readable(p, range)) {
    pass->waits = true;
    return;
  }
  pass->weights[place] = p.store->read(range);
  if (pass->weights[place] != SerialRun::weights(serial_->state(range, pass->start.step - 1))) {
    violation(concat("worker ", p.id.value, ": step ", pass->start.step, " reads another version of range ", range));
  }
  ++pass->reads;
  queue_.after(random_.between(Duration(0), std::chrono::milliseconds(3)), again);
}

// Until its last gradient is handed over, a pass may read every range once more.
void ShardWorld::check_still_there(const Process& p, const GradientReady& ready) {
  if (shape_.staleness > 0 || ready.generation != p.protocol->generation() || ready.step != p.pass->start.step) return;
  for (size_t place = 0; place < p.pass->weights.size(); ++place) {
    const uint32_t range = p.protocol->needed()[place];
    if (p.store->read(range) == p.pass->weights[place]) continue;
    violation(concat("worker ", p.id.value, ": range ", range, " changes under step ", p.pass->start.step));
  }
}

// Has the gradients of its lanes range by range a little later.
void ShardWorld::hand_over(Process& p) {
  const StartStep start = p.pass->start;
  const GroupPlan& plan = plans_.at(start.generation.value);
  const GroupMember& self = *find_member(plan, p.id);
  const LaneRun run = deal_lanes(plan.lanes, plan.replicas, plan.lane_shares)[static_cast<size_t>(self.replica)];
  const auto& ranges = serial_->job().ranges;
  Duration wait = random_.between(std::chrono::milliseconds(1), std::chrono::milliseconds(20));
  for (const uint32_t range : p.protocol->needed()) {
    const bool is_first = range == 0 || ranges[range - 1].place.stage != ranges[range].place.stage;
    for (const uint32_t use : {0u, 1u}) {
      if ((use == 0 ? ranges[range].place.stage : ranges[range].place.second_use) != self.stage) continue;
      GradientReady ready{start.generation, start.step, range, use, {}};
      for (const LaneSubtree& subtree : largest_subtrees(run)) {
        GradientReady::Piece piece{subtree, nullptr, {}};
        piece.sum = bulk_of(serial_->subtree_gradient(start.step, subtree, range, use, p.pass->weights));
        const int64_t first = subtree.index << subtree.level, count = int64_t{1} << subtree.level;
        for (int64_t lane = first; use == 0 && is_first && lane < first + count; ++lane) {
          piece.numbers.push_back(serial_->numbers(start.step, lane, self.stage == 0, self.stage == shape_.stages - 1));
        }
        ready.pieces.push_back(std::move(piece));
      }
      wait += random_.between(Duration(0), std::chrono::milliseconds(2));
      queue_.after(wait, [this, i = index_of(p.id), inc = p.incarnation, ready] { when_awake(i, inc, ready); });
    }
  }
}

// --- faults ---------------------------------------------------------------------------------------------------------

void ShardWorld::crash(size_t worker) {
  Process& p = workers_[worker];
  if (!p.alive) return;
  p.alive = false;
  history_.push_back(concat(to_seconds(queue_.now() - Time{}), " s: worker ", p.id.value, " dies"));
  queue_.after(random_.between(std::chrono::milliseconds(1), std::chrono::milliseconds(60)),
               [this, worker, inc = p.incarnation] {
                 Process& q = workers_[worker];
                 if (q.alive || q.incarnation != inc || !q.known) return;
                 q.known = false;
                 replan();
               });
}

void ShardWorld::restart(size_t worker) {
  if (workers_[worker].alive) return;
  start(workers_[worker]);
  history_.push_back(concat(to_seconds(queue_.now() - Time{}), " s: worker ", worker + 1, " is back"));
  replan_after(random_.between(std::chrono::milliseconds(1), std::chrono::milliseconds(30)));
}

void ShardWorld::pause(size_t worker, Duration how_long) {
  Process& p = workers_[worker];
  if (!p.alive) return;
  p.paused_until = queue_.now() + how_long;
  history_.push_back(
      concat(to_seconds(queue_.now() - Time{}), " s: worker ", p.id.value, " pauses for ", to_seconds(how_long), " s"));
  const Duration noticed = random_.between(std::chrono::milliseconds(30), std::chrono::milliseconds(120));
  if (how_long < noticed) return;
  queue_.after(noticed, [this, worker, inc = p.incarnation] {
    Process& q = workers_[worker];
    if (!q.alive || q.incarnation != inc || !q.known || queue_.now() >= q.paused_until) return;
    q.known = false;
    replan();
    queue_.at(q.paused_until + std::chrono::milliseconds(10), [this, worker, inc] {
      Process& r = workers_[worker];
      if (!r.alive || r.incarnation != inc) return;
      r.known = true;
      replan_after(std::chrono::milliseconds(5));
    });
  });
}

void ShardWorld::want_replicas(int replicas) {
  wanted_ = replicas;
  replan();
}

// --- the coordinator ------------------------------------------------------------------------------------------------

void ShardWorld::replan_after(Duration wait) {
  queue_.after(wait, [this] { replan(); });
}

void ShardWorld::replan() {
  std::vector<Process*> free;
  for (Process& p : workers_) {
    if (p.known) free.push_back(&p);
  }
  const auto stages = static_cast<size_t>(shape_.stages);
  const size_t replicas =
      std::min({static_cast<size_t>(wanted_), free.size() / stages, static_cast<size_t>(shape_.lanes)});
  if (replicas == 0) return;  // waits for somebody to come back
  GroupPlan plan;
  plan.generation.value = ++generation_;
  plan.replicas = static_cast<int>(replicas);
  plan.stages = shape_.stages;
  plan.lanes = shape_.lanes;
  plan.lane_shares = shape_.lane_shares;
  plan.backup = shape_.backup;
  const auto place = [&](Process* p, int replica, int stage) {
    plan.members.push_back({p->id, p->incarnation, replica, stage, "sim"});
    p->stage = stage;
    std::erase(free, p);
  };
  for (int stage = 0; stage < shape_.stages; ++stage) {  // those who know the stage keep it
    for (int replica = 0; replica < plan.replicas; ++replica) {
      const auto knows = std::find_if(free.begin(), free.end(), [&](Process* p) { return p->stage == stage; });
      if (knows != free.end()) place(*knows, replica, stage);
    }
  }
  for (int stage = 0; stage < shape_.stages; ++stage) {
    for (int replica = 0; replica < plan.replicas; ++replica) {
      const bool taken = std::any_of(plan.members.begin(), plan.members.end(),
                                     [&](const GroupMember& m) { return m.replica == replica && m.stage == stage; });
      if (!taken) place(free.front(), replica, stage);
    }
  }
  for (Process* p : free) {
    if (p->stage >= 0) plan.leaving.push_back({p->id, p->incarnation, 0, 0, "sim"});
    p->stage = -1;
  }
  const Status status = check_plan(plan);
  if (!status.ok()) violation(status.error().message());
  plans_[generation_] = plan;
  history_.push_back(concat(to_seconds(queue_.now() - Time{}), " s: generation ", generation_, " of ", replicas,
                            " replicas, ", plan.leaving.size(), " leaving"));
  for (const Process& p : workers_) tell_plan(index_of(p.id), p.incarnation, plan);
}

// Said again until it has been heard or a newer one exists.
void ShardWorld::tell_plan(size_t worker, Incarnation incarnation, const GroupPlan& plan) {
  Process& p = workers_[worker];
  if (!p.alive || p.incarnation != incarnation || plan.generation.value != generation_) return;
  if (p.protocol->generation() >= plan.generation) return;
  network_.send(kCoordinator, p.id.value, [this, worker, incarnation, plan] {
    Process& q = workers_[worker];
    if (!q.alive || q.incarnation != incarnation) return;
    when_awake(worker, incarnation, NewPlan{plan});
  });
  queue_.after(std::chrono::milliseconds(50),
               [this, worker, incarnation, plan] { tell_plan(worker, incarnation, plan); });
}

// --- running --------------------------------------------------------------------------------------------------------

bool ShardWorld::finished() const {
  const auto plan = plans_.find(generation_);
  for (const GroupMember& m : plan->second.members) {
    const Process& p = workers_[static_cast<size_t>(m.worker.value - 1)];
    if (!p.alive || p.protocol->generation().value != generation_ || !p.protocol->training()) return false;
    if (p.protocol->committed() != shape_.last_step || p.protocol->updates_left() > 0) return false;
  }
  return true;
}

void ShardWorld::run_for(Duration time) {
  const Time end = queue_.now() + time;
  while (violations_.empty() && queue_.now() < end && queue_.step()) {
  }
}

void ShardWorld::run(Duration limit) {
  const Time end = queue_.now() + limit;
  while (violations_.empty() && !finished()) {
    if (!(queue_.now() < end) || !queue_.step()) {
      violation(
          concat("the faults are over, but the run stands at step ", committed(), " of generation ", generation_));
      return;
    }
  }
  if (violations_.empty()) check_end();
}

void ShardWorld::check_end() {
  const auto& ranges = serial_->job().ranges;
  const std::vector<RangeHolders> holders =
      assign_holders(ranges, plans_.at(generation_).replicas, plans_.at(generation_).backup);
  for (const GroupMember& m : plans_.at(generation_).members) {
    Process& p = workers_[index_of(m.worker)];
    for (uint32_t range = 0; range < ranges.size(); ++range) {
      const bool holds = ranges[range].place.stage == m.stage &&
                         (holders[range].primary == m.replica || holders[range].backup == m.replica);
      if (!holds) continue;
      if (p.protocol->version(range) != shape_.last_step ||
          value_of(p.store->state(range)) != serial_->state(range, shape_.last_step)) {
        violation(concat("worker ", p.id.value, " ends with another range ", range));
      }
    }
  }
}

size_t ShardWorld::messages_of(Step step, const std::string& kind) const {
  const auto found = sent_.find({step, kind});
  return found == sent_.end() ? 0 : found->second.size();
}

std::string ShardWorld::history() const {
  std::string text;
  for (const std::string& line : history_) text += line + "\n";
  for (const std::string& line : violations_) text += line + "\n";
  return text;
}

}  // namespace strand::sim
