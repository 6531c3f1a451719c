// The plan of a generation: who belongs to it, which lanes each replica computes, how a stage's parameters are cut into
// ranges and who holds each of them (DESIGN section 5: Lanes, Ranges, Global norm). Pure functions of their arguments,
// so that every process that knows the members knows the rest.
#pragma once

#include <cstdint>
#include <vector>

#include "shared/base/ids.h"
#include "shared/base/result.h"
#include "shared/job_spec/job_spec.h"
#include "shared/job_spec/parameter_table.h"
#include "shared/plan/group_member.h"
#include "shared/plan/key_range.h"

namespace strand {

// --- members --------------------------------------------------------------------------------------------------------

struct GroupPlan {
  Generation generation;
  int replicas = 1, stages = 1;
  int64_t lanes = 1;
  std::vector<int64_t> lane_shares;  // of each replica, relative (see deal_lanes); empty: even
  bool backup = true;                // ranges have a second holder where there are two replicas
  std::vector<GroupMember> members;  // one for each (replica, stage), in any order
  // Live workers of earlier generations without a place in this one (their replica and stage say nothing). They are
  // asked for what they still hold and are free once the first step of this generation is committed.
  std::vector<GroupMember> leaving;
  bool operator==(const GroupPlan&) const = default;
};

// Of members as they are assigned: one for each place of whole replicas. The rest is as the job says.
GroupPlan plan_of(const JobSpec& spec, Generation generation, std::vector<GroupMember> members,
                  std::vector<GroupMember> leaving);
// kBadInput, saying what is wrong: no generation, replicas or stages below 1, lanes that are not a power of two or
// fewer than replicas, shares that do not fit, a (replica, stage) without a member or with two, a worker twice, no
// endpoint in a group of several.
Status check_plan(const GroupPlan& plan);

// Of a checked plan. A member by its place; by its id also among those leaving, null when it is neither.
const GroupMember& member_at(const GroupPlan& plan, int replica, int stage);
const GroupMember* find_member(const GroupPlan& plan, WorkerId id);
bool is_leaving(const GroupPlan& plan, WorkerId id);
// The worker that adds the global norm and decides recovery: replica 0 of the last stage, where losses are known.
const GroupMember& norm_member(const GroupPlan& plan);

// --- lanes ----------------------------------------------------------------------------------------------------------

// Lanes [first, first + count).
struct LaneRun {
  int64_t first = 0, count = 0;
  bool operator==(const LaneRun&) const = default;
};
// The sum of lanes [index << level, (index + 1) << level): a node of the complete binary tree over all lanes.
struct LaneSubtree {
  int level = 0;
  int64_t index = 0;
  auto operator<=>(const LaneSubtree&) const = default;
};

// Contiguous runs, one for each replica, of at least one lane each; needs 1 <= replicas <= lanes. Without shares they
// differ by at most one, larger ones first. Shares are relative, all positive: only their first `replicas` count, and
// what they leave over goes to the largest remainders. Shares that add up to `lanes` are the lanes themselves.
std::vector<LaneRun> deal_lanes(int64_t lanes, int replicas, const std::vector<int64_t>& shares);
// The fewest complete subtrees that make up the run, in lane order.
std::vector<LaneSubtree> largest_subtrees(LaneRun run);

// --- ranges ---------------------------------------------------------------------------------------------------------

// Blocks of a range of this table; the last block of a tensor may be short.
int64_t range_blocks(const std::vector<ParameterInfo>& table, KeyRange range);

// The stage that owns a tensor, and the stage that uses it a second time (a tied embedding: the one with the head,
// which may be the same), -1 for none.
struct TensorPlace {
  int stage = 0;
  int second_use = -1;
  bool operator==(const TensorPlace&) const = default;
};
struct PlannedRange {
  KeyRange keys;
  TensorPlace place;
  int64_t blocks = 0;
  bool operator==(const PlannedRange&) const = default;
};

// Cuts the table, of which each tensor has its place, into ranges in table order: at changes of place, at borders of
// the model's blocks (so that a block's gradient can leave as soon as it is there), and where a range would grow beyond
// a 64th of its stage or 64 blocks. Depends on the table and the places only: cut once per job.
std::vector<PlannedRange> cut_ranges(const std::vector<ParameterInfo>& table, const std::vector<TensorPlace>& places);

// Replicas of the range's stage; backup -1: none.
struct RangeHolders {
  int primary = 0;
  int backup = -1;
  bool operator==(const RangeHolders&) const = default;
};
// One for each range. Elements are spread evenly: as primary, no two replicas of a stage differ by more than its
// largest range. Without `backup`, or with one replica, there is no backup.
std::vector<RangeHolders> assign_holders(const std::vector<PlannedRange>& ranges, int replicas, bool backup);

}  // namespace strand
