#include "worker/params/piece_tree.h"

#include <bit>
#include <utility>

namespace strand {

PieceTree::PieceTree(uint32_t range, int64_t lanes, int uses)
    : range_(range), top_level_(std::countr_zero(static_cast<uint64_t>(lanes))), uses_(uses) {}

bool PieceTree::add(RangeStore& store, int use, LaneSubtree subtree, BulkRef piece,
                    const std::vector<LaneNumbers>& numbers) {
  if (!seen_.insert({use, subtree}).second) return false;
  for (const LaneNumbers& lane : numbers) numbers_.emplace(lane.lane, lane);
  while (subtree.level < top_level_) {
    const auto sibling = open_.find({use, {subtree.level, subtree.index ^ 1}});
    if (sibling == open_.end()) break;
    const bool left = subtree.index % 2 == 0;
    BulkRef other = std::move(sibling->second);
    open_.erase(sibling);
    piece = left ? store.add(range_, std::move(piece), std::move(other))
                 : store.add(range_, std::move(other), std::move(piece));
    subtree = {subtree.level + 1, subtree.index / 2};
  }
  open_[{use, subtree}] = std::move(piece);
  const auto input = open_.find({0, {top_level_, 0}}), output = open_.find({1, {top_level_, 0}});
  if (input == open_.end() || (uses_ == 2 && output == open_.end())) return true;
  sum_ = uses_ == 1 ? std::move(input->second)
                    : store.add_uses(range_, std::move(input->second), std::move(output->second));
  open_.clear();
  return true;
}

std::vector<LaneNumbers> PieceTree::numbers() const {
  std::vector<LaneNumbers> all;
  for (const auto& [lane, numbers] : numbers_) all.push_back(numbers);
  return all;
}

}  // namespace strand
