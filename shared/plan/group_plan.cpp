#include "shared/plan/group_plan.h"

#include <algorithm>
#include <bit>
#include <map>
#include <numeric>
#include <set>
#include <utility>

#include "shared/base/check.h"
#include "shared/base/text.h"

namespace strand {
namespace {

Status check_shape(const GroupPlan& plan) {
  if (plan.generation.value == 0) return bad_input("plan: generation 0; generations begin with 1");
  if (plan.replicas < 1 || plan.stages < 1) {
    return bad_input(concat("plan: ", plan.replicas, " replicas and ", plan.stages, " stages; expected 1 or more"));
  }
  if (plan.lanes < 1 || !std::has_single_bit(static_cast<uint64_t>(plan.lanes))) {
    return bad_input(concat("plan: ", plan.lanes, " lanes; expected a power of two"));
  }
  if (plan.replicas > plan.lanes) {
    return bad_input(concat("plan: ", plan.replicas, " replicas for ", plan.lanes,
                            " lanes; a replica computes at least one, raise train.lanes or lower parallel.replicas"));
  }
  if (plan.lane_shares.empty()) return {};
  if (std::cmp_less(plan.lane_shares.size(), plan.replicas)) {
    return bad_input(concat("plan: ", plan.lane_shares.size(), " lane shares for ", plan.replicas, " replicas"));
  }
  for (const int64_t share : plan.lane_shares) {
    if (share < 1 || share > (int64_t{1} << 20)) {
      return bad_input(concat("plan: a lane share of ", share, "; expected 1 to 1048576"));
    }
  }
  return {};
}

// Up to the second dot: "blocks.3" of "blocks.3.mlp.up.weight", one name for all that is in no block.
std::string block_of(const std::string& name) {
  if (!name.starts_with("blocks.")) return "";
  return name.substr(0, name.find('.', 7));
}

}  // namespace

GroupPlan plan_of(const JobSpec& spec, Generation generation, std::vector<GroupMember> members,
                  std::vector<GroupMember> leaving) {
  GroupPlan plan;
  plan.generation = generation;
  for (const GroupMember& m : members) plan.replicas = std::max(plan.replicas, m.replica + 1);
  plan.stages = static_cast<int>(spec.parallel.stages);
  plan.lanes = spec.train.lanes;
  plan.lane_shares = spec.parallel.lane_shares;
  plan.backup = spec.parallel.backup;
  plan.members = std::move(members);
  plan.leaving = std::move(leaving);
  return plan;
}

Status check_plan(const GroupPlan& plan) {
  STRAND_TRY(check_shape(plan));
  std::set<WorkerId> workers;
  std::set<std::pair<int, int>> places;
  for (const GroupMember& m : plan.members) {
    if (m.replica < 0 || m.replica >= plan.replicas || m.stage < 0 || m.stage >= plan.stages) {
      return bad_input(concat("plan: worker ", m.worker.value, " is replica ", m.replica, ", stage ", m.stage, " of ",
                              plan.replicas, " x ", plan.stages));
    }
    if (!places.emplace(m.replica, m.stage).second) {
      return bad_input(concat("plan: two workers are replica ", m.replica, ", stage ", m.stage));
    }
    if (m.endpoint.empty() && plan.members.size() + plan.leaving.size() > 1) {
      return bad_input(concat("plan: worker ", m.worker.value, " has no endpoint"));
    }
  }
  for (const auto* list : {&plan.members, &plan.leaving}) {
    for (const GroupMember& m : *list) {
      if (m.worker.value == 0) return bad_input("plan: a member without a worker id");
      if (!workers.insert(m.worker).second)
        return bad_input(concat("plan: worker ", m.worker.value, " is there twice"));
    }
  }
  const auto wanted = static_cast<size_t>(plan.replicas) * static_cast<size_t>(plan.stages);
  if (places.size() != wanted) {
    return bad_input(concat("plan: ", places.size(), " members; ", plan.replicas, " replicas x ", plan.stages,
                            " stages need ", wanted));
  }
  return {};
}

const GroupMember& member_at(const GroupPlan& plan, int replica, int stage) {
  const auto at = [&](const GroupMember& m) { return m.replica == replica && m.stage == stage; };
  const auto found = std::find_if(plan.members.begin(), plan.members.end(), at);
  STRAND_CHECK(found != plan.members.end(), "no member at replica ", replica, ", stage ", stage);
  return *found;
}

const GroupMember* find_member(const GroupPlan& plan, WorkerId id) {
  for (const auto* list : {&plan.members, &plan.leaving}) {
    for (const GroupMember& m : *list) {
      if (m.worker == id) return &m;
    }
  }
  return nullptr;
}

bool is_leaving(const GroupPlan& plan, WorkerId id) {
  return std::any_of(plan.leaving.begin(), plan.leaving.end(), [&](const GroupMember& m) { return m.worker == id; });
}

const GroupMember& norm_member(const GroupPlan& plan) {
  return member_at(plan, 0, plan.stages - 1);
}

std::vector<LaneRun> deal_lanes(int64_t lanes, int replicas, const std::vector<int64_t>& shares) {
  STRAND_CHECK(replicas >= 1 && replicas <= lanes, replicas, " replicas for ", lanes, " lanes");
  const auto n = static_cast<size_t>(replicas);
  STRAND_CHECK(shares.empty() || shares.size() >= n, shares.size(), " shares for ", replicas, " replicas");
  std::vector<int64_t> weight(n, 1);
  if (!shares.empty()) std::copy_n(shares.begin(), n, weight.begin());
  const int64_t total = std::accumulate(weight.begin(), weight.end(), int64_t{0});

  std::vector<int64_t> count(n);
  int64_t dealt = 0;
  for (size_t r = 0; r < n; ++r) dealt += count[r] = std::max<int64_t>(1, lanes * weight[r] / total);
  // How far a replica is below its exact share, times the total.
  const auto lack = [&](size_t r) { return lanes * weight[r] - count[r] * total; };
  for (; dealt < lanes; ++dealt) {
    size_t most = 0;
    for (size_t r = 1; r < n; ++r) {
      if (lack(r) > lack(most)) most = r;
    }
    ++count[most];
  }
  for (; dealt > lanes; --dealt) {  // the least of one lane has given out too many
    size_t least = n;
    for (size_t r = 0; r < n; ++r) {
      if (count[r] > 1 && (least == n || lack(r) <= lack(least))) least = r;
    }
    --count[least];
  }
  std::vector<LaneRun> runs;
  int64_t first = 0;
  for (const int64_t c : count) {
    runs.push_back({first, c});
    first += c;
  }
  return runs;
}

std::vector<LaneSubtree> largest_subtrees(LaneRun run) {
  std::vector<LaneSubtree> subtrees;
  const int64_t end = run.first + run.count;
  for (int64_t lane = run.first; lane < end;) {
    int level = 0;
    while (lane % (int64_t{2} << level) == 0 && lane + (int64_t{2} << level) <= end) ++level;
    subtrees.push_back({level, lane >> level});
    lane += int64_t{1} << level;
  }
  return subtrees;
}

int64_t range_blocks(const std::vector<ParameterInfo>& table, KeyRange range) {
  int64_t blocks = 0;
  for (const ParameterInfo& tensor : table) {
    const int64_t begin = std::max(range.first_element, tensor.first_element);
    const int64_t end = std::min(range.first_element + range.elements, tensor.first_element + tensor.elements);
    if (begin < end) blocks += (end - begin + kRangeBlockElements - 1) / kRangeBlockElements;
  }
  return blocks;
}

std::vector<PlannedRange> cut_ranges(const std::vector<ParameterInfo>& table, const std::vector<TensorPlace>& places) {
  STRAND_CHECK(places.size() == table.size(), places.size(), " places for ", table.size(), " tensors");
  std::map<int, int64_t> stage_blocks;
  for (size_t i = 0; i < table.size(); ++i) {
    stage_blocks[places[i].stage] += (table[i].elements + kRangeBlockElements - 1) / kRangeBlockElements;
  }
  std::vector<PlannedRange> ranges;
  std::string block;
  for (size_t i = 0; i < table.size(); ++i) {
    const ParameterInfo& tensor = table[i];
    const int64_t limit = std::clamp<int64_t>(stage_blocks[places[i].stage] / 64, 1, 64) * kRangeBlockElements;
    const bool joins = i > 0 && places[i] == places[i - 1] && block_of(tensor.name) == block;
    block = block_of(tensor.name);
    for (int64_t done = 0; done < tensor.elements;) {
      const int64_t piece = std::min(kRangeBlockElements, tensor.elements - done);
      const bool fits = (done > 0 || joins) && !ranges.empty() && ranges.back().keys.elements + piece <= limit;
      if (!fits) ranges.push_back({{tensor.first_element + done, 0}, places[i], 0});
      ranges.back().keys.elements += piece;
      ++ranges.back().blocks;
      done += piece;
    }
  }
  return ranges;
}

std::vector<RangeHolders> assign_holders(const std::vector<PlannedRange>& ranges, int replicas, bool backup) {
  STRAND_CHECK(replicas >= 1, replicas, " replicas");
  std::vector<size_t> order(ranges.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return ranges[a].keys.elements > ranges[b].keys.elements; });
  std::vector<RangeHolders> holders(ranges.size());
  std::map<std::pair<int, int>, int64_t> first, second;  // (stage, replica): elements held as primary, as backup
  // The replica with the least in `held`, other than `except`.
  const auto least = [&](std::map<std::pair<int, int>, int64_t>& held, int stage, int except) {
    int best = -1;
    for (int r = 0; r < replicas; ++r) {
      if (r != except && (best < 0 || held[{stage, r}] < held[{stage, best}])) best = r;
    }
    return best;
  };
  for (const size_t i : order) {
    const int stage = ranges[i].place.stage;
    holders[i].primary = least(first, stage, -1);
    first[{stage, holders[i].primary}] += ranges[i].keys.elements;
    if (!backup || replicas == 1) continue;
    holders[i].backup = least(second, stage, holders[i].primary);
    second[{stage, holders[i].backup}] += ranges[i].keys.elements;
  }
  return holders;
}

}  // namespace strand
