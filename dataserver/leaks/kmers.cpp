#include "dataserver/leaks/kmers.h"

#include <algorithm>
#include <limits>

namespace strand {

namespace {

void sort_once(std::vector<uint64_t>* names) {
  std::sort(names->begin(), names->end());
  names->erase(std::unique(names->begin(), names->end()), names->end());
}

}  // namespace

Sketch sketch_of(std::string_view bases, uint64_t scale) {
  const uint64_t below = std::numeric_limits<uint64_t>::max() / scale;
  Sketch sketch;
  size_t tidy_at = 4 * kWholeSketch;  // names are made unique when so many have come
  for_kmers(bases, [&](uint64_t name) {
    if (!sketch.whole && name > below) return;
    sketch.names.push_back(name);
    if (sketch.names.size() < tidy_at) return;
    sort_once(&sketch.names);
    if (sketch.whole && sketch.names.size() > kWholeSketch) {
      sketch.whole = false;
      std::erase_if(sketch.names, [&](uint64_t kept) { return kept > below; });
    }
    tidy_at = std::max(4 * kWholeSketch, 2 * sketch.names.size());
  });
  sort_once(&sketch.names);
  if (sketch.whole && sketch.names.size() > kWholeSketch) {
    sketch.whole = false;
    std::erase_if(sketch.names, [&](uint64_t kept) { return kept > below; });
  }
  sketch.names.shrink_to_fit();
  return sketch;
}

}  // namespace strand
