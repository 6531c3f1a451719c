#include "coordinator/checkpoint_catalog.h"

#include <algorithm>
#include <set>

namespace strand {

const char* checkpoint_state_name(CheckpointState state) {
  switch (state) {
    case CheckpointState::kPresent: return "present";
    case CheckpointState::kVerified: return "verified";
    case CheckpointState::kDamaged: return "damaged";
  }
  return "unknown";
}

CheckpointEntry entry_of(const Manifest& manifest) {
  CheckpointEntry entry;
  entry.step = manifest.step;
  entry.generation = manifest.generation;
  entry.next_row = manifest.next_row;
  entry.digest = manifest.digest;
  entry.state_digest = manifest.state_digest;
  entry.best = manifest.best;
  for (const ManifestPart& part : manifest.parts) {
    entry.bytes += part.bytes;
    entry.files.push_back(part.file);
  }
  return entry;
}

void CheckpointCatalog::expect(Generation generation, std::set<WorkerId> workers) {
  if (generation != generation_) pending_.clear();
  generation_ = generation;
  expected_ = std::move(workers);
}

namespace {

bool agree(const Digest128& a, const Digest128& b) {
  return a == Digest128{} || b == Digest128{} || a == b;
}

// Of one step, from two workers.
bool same_checkpoint(const PartSaved& a, const PartSaved& b) {
  return a.file != b.file && agree(a.digest, b.digest) && agree(a.state_digest, b.state_digest) &&
         a.next_row == b.next_row && a.best.metric == b.best.metric && a.best.step == b.best.step;
}

}  // namespace

CheckpointCatalog::Part CheckpointCatalog::add_part(Generation generation, Step step, WorkerId from,
                                                    const PartSaved& part) {
  const auto committed = entries_.find(step);
  if (committed != entries_.end() && committed->second.generation == generation) {
    const auto& files = committed->second.files;
    const bool known = std::find(files.begin(), files.end(), part.file) != files.end();
    return known && agree(committed->second.state_digest, part.state_digest) ? Part::kAlreadyCommitted
                                                                             : Part::kContradiction;
  }
  if (generation != generation_ || !expected_.contains(from)) return Part::kUnexpected;
  Parts& parts = pending_[step];
  for (const auto& [worker, other] : parts) {
    const bool same_file = other.file == part.file && other.checksum == part.checksum && other.bytes == part.bytes;
    if (worker == from ? !same_file : !same_checkpoint(other, part)) return Part::kContradiction;
  }
  parts[from] = part;
  const auto reported = [&](WorkerId worker) { return parts.contains(worker); };
  return std::ranges::all_of(expected_, reported) ? Part::kComplete : Part::kWaiting;
}

std::vector<PartSaved> CheckpointCatalog::parts(Step step) const {
  std::vector<PartSaved> result;
  const auto found = pending_.find(step);
  if (found == pending_.end()) return result;
  for (const auto& [worker, part] : found->second) result.push_back(part);
  std::ranges::sort(result, {}, &PartSaved::file);
  return result;
}

PartSaved CheckpointCatalog::merged(Step step) const {
  PartSaved merged;
  for (const PartSaved& part : parts(step)) {
    if (merged.file.empty()) merged = part;
    if (merged.digest == Digest128{}) merged.digest = part.digest;
    if (merged.state_digest == Digest128{}) merged.state_digest = part.state_digest;
    if (merged.dataset.empty()) merged.dataset = part.dataset;
  }
  return merged;
}

void CheckpointCatalog::commit(CheckpointEntry entry) {
  pending_.erase(entry.step);
  CheckpointEntry& known = entries_[entry.step];
  // Written again, perhaps by a generation that took no step itself: the same steps lead to it.
  if (entry.tokens == 0) {
    entry.tokens = known.tokens;
    entry.productive_seconds = known.productive_seconds;
  }
  known = std::move(entry);
}

void CheckpointCatalog::mark(Step step, CheckpointState state, const std::string& reason) {
  const auto found = entries_.find(step);
  if (found == entries_.end()) return;
  found->second.state = state;
  found->second.reason = reason;
}

void CheckpointCatalog::set_totals(Step step, double productive_seconds, int64_t tokens) {
  const auto found = entries_.find(step);
  if (found == entries_.end()) return;
  found->second.productive_seconds = productive_seconds;
  found->second.tokens = tokens;
}

std::vector<Step> CheckpointCatalog::loadable() const {
  std::vector<Step> steps;
  for (auto it = entries_.rbegin(); it != entries_.rend(); ++it) {
    if (it->second.state != CheckpointState::kDamaged) steps.push_back(it->first);
  }
  return steps;
}

const CheckpointEntry* CheckpointCatalog::newest() const {
  for (auto it = entries_.rbegin(); it != entries_.rend(); ++it) {
    if (it->second.state != CheckpointState::kDamaged) return &it->second;
  }
  return nullptr;
}

const CheckpointEntry* CheckpointCatalog::find(Step step) const {
  const auto found = entries_.find(step);
  return found == entries_.end() ? nullptr : &found->second;
}

std::vector<Step> CheckpointCatalog::removable(int64_t keep) const {
  std::vector<Step> steps;
  std::set<Step> best;  // of those that stay
  int64_t verified = 0;
  for (auto it = entries_.rbegin(); it != entries_.rend(); ++it) {
    if (verified >= std::max<int64_t>(keep, 1)) {
      steps.push_back(it->first);
    } else if (!it->second.best.metric.empty()) {
      best.insert(it->second.best.step);
    }
    if (it->second.state == CheckpointState::kVerified) ++verified;
  }
  std::erase_if(steps, [&](Step step) { return best.contains(step); });
  return steps;
}

}  // namespace strand
