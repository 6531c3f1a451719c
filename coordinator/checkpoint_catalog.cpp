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

CheckpointCatalog::Part CheckpointCatalog::add_part(Generation generation, Step step, const PartSaved& part) {
  const auto committed = entries_.find(step);
  if (committed != entries_.end() && committed->second.generation == generation) {
    const auto& files = committed->second.files;
    const bool known = std::find(files.begin(), files.end(), part.file) != files.end();
    return known && committed->second.state_digest == part.state_digest ? Part::kAlreadyCommitted
                                                                        : Part::kContradiction;
  }
  Pending& pending = pending_[step];
  if (pending.generation != generation) pending = Pending{generation, {}};
  for (const auto& [file, other] : pending.parts) {
    const bool same_state = other.digest == part.digest && other.state_digest == part.state_digest &&
                            other.next_row == part.next_row && other.best.metric == part.best.metric &&
                            other.best.step == part.best.step;
    if (!same_state || (file == part.file && (other.checksum != part.checksum || other.bytes != part.bytes))) {
      return Part::kContradiction;
    }
  }
  pending.parts[part.file] = part;
  return pending.parts.size() >= ranges_ ? Part::kComplete : Part::kWaiting;
}

std::vector<PartSaved> CheckpointCatalog::parts(Step step) const {
  std::vector<PartSaved> result;
  const auto found = pending_.find(step);
  if (found == pending_.end()) return result;
  for (const auto& [file, part] : found->second.parts) result.push_back(part);
  return result;
}

void CheckpointCatalog::commit(CheckpointEntry entry) {
  pending_.erase(entry.step);
  const Step step = entry.step;
  entries_[step] = std::move(entry);
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
