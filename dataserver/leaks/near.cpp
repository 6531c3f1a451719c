#include "dataserver/leaks/near.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <unordered_set>

#include "shared/base/check.h"

namespace strand {

namespace {

// How often k-mers occur decides only the order in which they are looked at, so that counts may be shared and capped.
constexpr int kCounterBits = 22;
constexpr uint32_t kNobody = std::numeric_limits<uint32_t>::max();

size_t counter_of(uint64_t name) {
  return (name * 0xd6e8feb86659fd93ULL) >> (64 - kCounterBits);
}

bool different_groups(uint64_t a, uint64_t b) {
  return std::popcount(a | b) > 1;
}

}  // namespace

KmerIndex::KmerIndex(std::vector<Posting> postings) : postings_(std::move(postings)) {
  STRAND_CHECK(postings_.size() < std::numeric_limits<uint32_t>::max(), postings_.size(), " postings");
  std::sort(postings_.begin(), postings_.end(), [](const Posting& a, const Posting& b) {
    return a.name != b.name ? a.name < b.name : a.sequence < b.sequence;
  });
  size_t names = 0;
  for (size_t i = 0; i < postings_.size(); ++i) names += i == 0 || postings_[i].name != postings_[i - 1].name ? 1 : 0;
  const size_t size = std::bit_ceil(std::max<size_t>(2, 2 * names));
  shift_ = 64 - std::countr_zero(size);
  slots_.assign(size, 0);
  for (size_t i = 0; i < postings_.size(); ++i) {
    if (i > 0 && postings_[i].name == postings_[i - 1].name) continue;
    size_t slot = slot_of(postings_[i].name);
    while (slots_[slot] != 0) slot = (slot + 1) & (size - 1);
    slots_[slot] = static_cast<uint32_t>(i + 1);
  }
}

std::pair<size_t, size_t> KmerIndex::find(uint64_t name) const {
  for (size_t slot = slot_of(name); slots_[slot] != 0; slot = (slot + 1) & (slots_.size() - 1)) {
    const size_t first = slots_[slot] - 1;
    if (postings_[first].name != name) continue;
    size_t last = first;
    while (last < postings_.size() && postings_[last].name == name) ++last;
    return {first, last};
  }
  return {0, 0};
}

void NearFinder::add(Sketch sketch, uint64_t groups) {
  sequences_.push_back({groups, names_.size(), sketch.names.size(), sketch.whole});
  names_.insert(names_.end(), sketch.names.begin(), sketch.names.end());
  has_long_ = has_long_ || !sketch.whole;
}

size_t NearFinder::needed(size_t count) const {
  const double least = threshold_ * static_cast<double>(count);
  auto whole = static_cast<size_t>(std::ceil(least));
  if (whole > 0 && static_cast<double>(whole - 1) >= least) --whole;
  return std::clamp<size_t>(whole, 1, std::max<size_t>(1, count));
}

void NearFinder::add_postings(uint32_t sequence, const std::vector<uint16_t>& frequency,
                              std::vector<KmerIndex::Posting>* postings) const {
  const Sequence& s = sequences_[sequence];
  if (s.count == 0) return;
  std::vector<uint64_t> names(names_.begin() + static_cast<ptrdiff_t>(s.begin),
                              names_.begin() + static_cast<ptrdiff_t>(s.begin + s.count));
  const size_t prefix = s.count - needed(s.count) + 1;
  std::nth_element(names.begin(), names.begin() + static_cast<ptrdiff_t>(prefix - 1), names.end(),
                   [&](uint64_t a, uint64_t b) {
                     const uint16_t often_a = frequency[counter_of(a)], often_b = frequency[counter_of(b)];
                     return often_a != often_b ? often_a < often_b : a < b;
                   });
  for (size_t i = 0; i < prefix; ++i) postings->push_back({names[i], sequence});
}

void NearFinder::build() {
  std::vector<uint16_t> frequency(size_t{1} << kCounterBits);
  for (const uint64_t name : names_) {
    uint16_t& count = frequency[counter_of(name)];
    if (count < std::numeric_limits<uint16_t>::max()) ++count;
  }
  std::vector<KmerIndex::Posting> whole, sketched;
  for (uint32_t i = 0; i < sequences_.size(); ++i) {
    add_postings(i, frequency, sequences_[i].whole ? &whole : &sketched);
  }
  whole_ = KmerIndex(std::move(whole));
  sketched_ = KmerIndex(std::move(sketched));
}

uint64_t NearFinder::shared(const Sequence& smaller, const Sequence& larger) const {
  const auto begin_of = [&](const Sequence& s) { return names_.begin() + static_cast<ptrdiff_t>(s.begin); };
  auto at = begin_of(larger);
  const auto end = at + static_cast<ptrdiff_t>(larger.count);
  uint64_t count = 0;
  for (size_t i = 0; i < smaller.count && at != end; ++i) {
    const uint64_t name = names_[smaller.begin + i];
    if (*at < name) at = std::lower_bound(at, end, name);
    count += at != end && *at == name ? 1 : 0;
  }
  return count;
}

std::vector<NearPair> NearFinder::pairs(const std::function<bool(double)>& go_on) const {
  std::vector<NearPair> found;
  std::vector<uint32_t> looked_at(sequences_.size(), kNobody);  // with which larger one last
  for (uint32_t larger = 0; larger < sequences_.size(); ++larger) {
    const Sequence& big = sequences_[larger];
    const double done = static_cast<double>(larger) / static_cast<double>(sequences_.size());
    if ((larger % 256 == 0 || !big.whole) && !go_on(done)) return found;
    const KmerIndex& index = big.whole ? whole_ : sketched_;
    for (size_t i = 0; i < big.count; ++i) {
      const auto [first, last] = index.find(names_[big.begin + i]);
      for (size_t p = first; p < last; ++p) {
        const uint32_t smaller = index.postings()[p].sequence;
        if (smaller == larger || looked_at[smaller] == larger) continue;
        looked_at[smaller] = larger;
        const Sequence& small = sequences_[smaller];
        if (!different_groups(small.groups, big.groups)) continue;
        if (small.count > big.count || (small.count == big.count && smaller > larger)) continue;
        const uint64_t common = shared(small, big);
        if (common >= needed(small.count)) found.push_back({smaller, larger, common, small.count, !big.whole});
      }
    }
  }
  return found;
}

std::vector<NearPair> NearFinder::pairs_within(uint32_t sequence, std::string_view bases) const {
  const Sequence& big = sequences_[sequence];
  if (big.whole) return {};
  std::unordered_set<uint32_t> looked_at;
  std::vector<uint32_t> candidates;
  for_kmers(bases, [&](uint64_t name) {
    const auto [first, last] = whole_.find(name);
    for (size_t p = first; p < last; ++p) {
      const uint32_t small = whole_.postings()[p].sequence;
      if (!looked_at.insert(small).second) continue;
      if (different_groups(sequences_[small].groups, big.groups)) candidates.push_back(small);
    }
  });
  std::vector<KmerIndex::Posting> postings;  // of all k-mers of the candidates
  for (uint32_t i = 0; i < candidates.size(); ++i) {
    const Sequence& small = sequences_[candidates[i]];
    for (size_t k = 0; k < small.count; ++k) postings.push_back({names_[small.begin + k], i});
  }
  const KmerIndex wanted(std::move(postings));
  std::vector<bool> seen(wanted.postings().size());
  for_kmers(bases, [&](uint64_t name) {
    const auto [first, last] = wanted.find(name);
    for (size_t p = first; p < last && !seen[p]; ++p) seen[p] = true;
  });
  std::vector<uint64_t> common(candidates.size());
  for (size_t p = 0; p < seen.size(); ++p) common[wanted.postings()[p].sequence] += seen[p] ? 1 : 0;
  std::vector<NearPair> found;
  for (size_t i = 0; i < candidates.size(); ++i) {
    const size_t count = sequences_[candidates[i]].count;
    if (common[i] >= needed(count)) found.push_back({candidates[i], sequence, common[i], count, false});
  }
  return found;
}

uint64_t NearFinder::bytes() const {
  return names_.capacity() * sizeof(uint64_t) + sequences_.capacity() * sizeof(Sequence) + whole_.bytes() +
         sketched_.bytes() + (uint64_t{2} << kCounterBits);
}

}  // namespace strand
