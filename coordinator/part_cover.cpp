#include "coordinator/part_cover.h"

#include <algorithm>

#include "shared/base/text.h"
#include "shared/plan/block_table.h"

namespace strand {
namespace {

// Which part each block of the table is in, and where its digests stand there.
struct Place {
  const PartSaved* part = nullptr;
  size_t digests = 0;
};

Status place_part(const PartSaved& part, const BlockTable& blocks, std::vector<Place>* places) {
  size_t digests = 0;
  for (const KeyRange& range : part.ranges) {
    const auto run = blocks.blocks_of(range);
    if (!run.ok()) return corrupt(concat(part.file, ": ", run.error().message()));
    for (size_t b = run->first; b < run->end; ++b, digests += 3) {
      Place& place = (*places)[b];
      if (place.part) {
        return corrupt(concat("elements ", blocks[b].first_element, " + ", blocks[b].elements, " are in ",
                              place.part->file, " and in ", part.file));
      }
      place = {&part, digests};
    }
  }
  if (part.block_digests.empty() || part.block_digests.size() == digests) return {};
  return corrupt(
      concat(part.file, ": ", part.block_digests.size(), " digests, its ranges have ", digests / 3, " blocks"));
}

}  // namespace

Result<ModelDigests> digests_of_parts(const std::vector<ParameterInfo>& table, const std::vector<PartSaved>& parts,
                                      Step step) {
  const BlockTable blocks(table);
  std::vector<Place> places(blocks.size());
  for (const PartSaved& part : parts) STRAND_TRY(place_part(part, blocks, &places));
  for (size_t b = 0; b < places.size(); ++b) {
    if (places[b].part) continue;
    return corrupt(concat("elements ", blocks[b].first_element, " + ", blocks[b].elements, " are in none of ",
                          parts.size(), " parts"));
  }
  const auto says = [](const PartSaved& part) {
    return part.digest != Digest128{} && part.state_digest != Digest128{};
  };
  const auto known = std::ranges::find_if(parts, says);
  if (known != parts.end()) return ModelDigests{known->digest, known->state_digest};
  std::vector<Digest128> digests;
  for (const Place& place : places) {
    const auto& of_part = place.part->block_digests;
    if (of_part.empty()) return corrupt(place.part->file + ": says neither its digests nor those of its blocks");
    const auto first = of_part.begin() + static_cast<std::ptrdiff_t>(place.digests);
    digests.insert(digests.end(), first, first + 3);
  }
  return digests_of_state(table, digests, step, parts.front().next_row);
}

}  // namespace strand
