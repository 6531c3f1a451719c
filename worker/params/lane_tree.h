// Sums of lane gradients in the order of one complete binary tree, whoever holds which lanes (DESIGN section 5, Lanes).
// The bits of the total depend on the number of lanes only: not on how contiguous runs of lanes are dealt.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "ops/core/context.h"
#include "shared/job_spec/job_spec.h"
#include "worker/model/buffer.h"
#include "worker/params/buffer_pool.h"

namespace strand {

// The sum of lanes [index << level, (index + 1) << level).
struct Subtree {
  int level = 0;
  int64_t index = 0;
  std::shared_ptr<Buffer> sum;  // fp32 [1, elements]
};

// While the last two are siblings: add(right, left), and one level up with them. `subtrees` are in lane order.
template <class Add>
void join_siblings(std::vector<Subtree>* subtrees, const Add& add) {
  while (subtrees->size() >= 2) {
    Subtree& left = (*subtrees)[subtrees->size() - 2];
    const Subtree& right = subtrees->back();
    if (left.level != right.level || left.index % 2 != 0) break;
    add(*right.sum, *left.sum);
    subtrees->pop_back();
    ++left.level;
    left.index /= 2;
  }
}

// Adds subtrees given in lane order; keeps the largest complete ones. Buffers are reused from step to step: a run of L
// lanes that starts at a multiple of L needs log2(L) + 1 of them. Who keeps a subtree's sum keeps its memory: it comes
// back, from any thread, with the last reference.
class LaneTree {
 public:
  explicit LaneTree(int64_t elements, GradientDtype dtype = GradientDtype::kFp32)
      : elements_(elements), dtype_(dtype), pool_(elements) {}

  // Forgets every sum, keeps the memory.
  void reset();
  // The buffer of the next lane, zeroed; its micro batches are added to it in order. Until close_lane().
  float* open_lane(const OpContext& context);
  // The open lane is complete and is lane number `lane`. Lanes rise by one.
  void close_lane(const OpContext& context, int64_t lane);
  // A subtree summed elsewhere, next in lane order. Its buffer is taken over.
  void append(const OpContext& context, Subtree subtree);

  // Largest complete subtrees, in lane order. One, of level log2(lanes), when all lanes are here.
  const std::vector<Subtree>& subtrees() const { return subtrees_; }
  int64_t buffers() const { return pool_.allocated(); }

 private:
  int64_t elements_;
  GradientDtype dtype_;
  BufferPool pool_;
  std::vector<Subtree> subtrees_;
  std::shared_ptr<Buffer> open_;
};

}  // namespace strand
