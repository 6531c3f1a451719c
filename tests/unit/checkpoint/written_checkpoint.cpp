#include "tests/unit/checkpoint/written_checkpoint.h"

#include <algorithm>
#include <cstring>

#include "coordinator/part_cover.h"
#include "shared/base/check.h"
#include "worker/checkpoint/checkpoint_reader.h"

namespace strand::testing {
namespace {

JobSpec small_job(int64_t vocabulary, int64_t hidden) {
  JobSpec spec;
  spec.model.config.layers = 4;
  spec.model.config.hidden = hidden;
  spec.model.config.heads = 2;
  spec.model.config.mlp_hidden = 2 * hidden;
  spec.model.config.vocabulary = vocabulary;
  spec.model.config.tied = true;
  return spec;
}

bool holds(const RangeHolders& holders, int replica) {
  return holders.primary == replica || holders.backup == replica;
}

}  // namespace

WrittenCheckpoint::WrittenCheckpoint(int64_t vocabulary, int64_t hidden, uint64_t seed)
    : random_(seed),
      spec_(small_job(vocabulary, hidden)),
      table_(job_parameter_table(spec_)),
      whole_(table_, spec_.train, false) {
  for (std::span<float> array : {whole_.weights(), whole_.first_moment(), whole_.second_moment()}) {
    for (float& value : array) value = static_cast<float>(random_() % 2001) * 1e-3f - 1.0f;
  }
  whole_.restored(context_, kStep);
}

WrittenCheckpoint::Cut WrittenCheckpoint::cut(const GroupShape& shape) {
  spec_.parallel.stages = shape.stages;
  spec_.parallel.chunks = shape.chunks;
  auto stages = cut_model(spec_);
  STRAND_CHECK(stages.ok(), stages.error().message());
  Cut result{std::move(stages).value(), {}, {}};
  result.ranges = cut_ranges(table_, tensor_places(result.stages));
  result.holders = assign_holders(result.ranges, shape.replicas, /*backup=*/true);
  if (!shape.random_primaries) return result;
  for (RangeHolders& range : result.holders) {
    range = {static_cast<int>(random_() % static_cast<uint64_t>(shape.replicas)), -1};
  }
  return result;
}

std::vector<float> WrittenCheckpoint::state_of(KeyRange range) const {
  std::vector<float> state(static_cast<size_t>(3 * range.elements));
  whole_.copy_state(range, state.data());
  return state;
}

// The shard of a member, with the ranges it holds; filled from the whole.
ParamShard WrittenCheckpoint::member(const Cut& cut, int replica, int stage, bool filled) {
  const Stage& of = cut.stages.stages[static_cast<size_t>(stage)];
  ParamShard shard(local_table(of), spec_.train, false, {});
  for (size_t r = 0; r < cut.ranges.size(); ++r) {
    if (cut.ranges[r].place.stage != stage || !holds(cut.holders[r], replica)) continue;
    const KeyRange local = local_range(of, cut.ranges[r].keys);
    shard.hold(local);
    if (filled) shard.take_state(context_, local, state_of(cut.ranges[r].keys).data());
  }
  return shard;
}

std::vector<PartSaved> WrittenCheckpoint::write(const GroupShape& shape, Generation generation, Step step) {
  const Cut cut = this->cut(shape);
  std::vector<PartSaved> parts;
  for (int stage = 0; stage < shape.stages; ++stage) {
    for (int replica = 0; replica < shape.replicas; ++replica) {
      const ParamShard shard = member(cut, replica, stage, true);
      std::vector<PartSource> sources;
      for (size_t r = 0; r < cut.ranges.size(); ++r) {
        if (cut.ranges[r].place.stage != stage || cut.holders[r].primary != replica) continue;
        const Stage& of = cut.stages.stages[static_cast<size_t>(stage)];
        sources.push_back({cut.ranges[r].keys, local_range(of, cut.ranges[r].keys)});
      }
      std::shuffle(sources.begin(), sources.end(), random_);
      // Too little room at first: the buffer grows.
      CheckpointWriter writer(disk_, kFolder, table_, 1, [&](Step, Result<PartSaved> part) {
        STRAND_CHECK(part.ok(), part.error().message());
        parts.push_back(std::move(part).value());
      });
      writer.save(context_, shard, sources,
                  {step, generation, kNextRow, part_file_name(generation, replica, stage), {}});
      writer.drain();
    }
  }
  std::shuffle(parts.begin(), parts.end(), random_);
  return parts;
}

PartSaved WrittenCheckpoint::write_alone(Generation generation, Step step) {
  PartSaved saved;
  CheckpointWriter writer(disk_, kFolder, whole_, [&](Step, Result<PartSaved> part) {
    STRAND_CHECK(part.ok(), part.error().message());
    saved = std::move(part).value();
  });
  whole_.restored(context_, step);
  writer.save(context_, whole_, generation, kNextRow);
  writer.drain();
  return saved;
}

Manifest WrittenCheckpoint::commit(const std::vector<PartSaved>& parts, Step step) {
  const auto digests = digests_of_parts(table_, parts, step);
  STRAND_CHECK(digests.ok(), digests.error().message());
  Manifest manifest;
  manifest.step = step;
  manifest.next_row = kNextRow;
  manifest.digest = digests->digest;
  manifest.state_digest = digests->state_digest;
  for (const PartSaved& part : parts) manifest.parts.push_back({part.file, part.bytes, part.checksum});
  const Status written =
      write_file_atomically(disk_, concat(kFolder, "/step-", step, "/manifest"), encode_manifest(manifest));
  STRAND_CHECK(written.ok(), written.error().message());
  return manifest;
}

Result<bool> WrittenCheckpoint::loads_at(const GroupShape& shape, const Manifest& manifest) {
  const Cut cut = this->cut(shape);
  bool same = true;
  for (int stage = 0; stage < shape.stages; ++stage) {
    for (int replica = 0; replica < shape.replicas; ++replica) {
      std::vector<KeyRange> ranges, local;
      for (size_t r = 0; r < cut.ranges.size(); ++r) {
        if (cut.ranges[r].place.stage != stage || !holds(cut.holders[r], replica)) continue;
        ranges.push_back(cut.ranges[r].keys);
        local.push_back(local_range(cut.stages.stages[static_cast<size_t>(stage)], cut.ranges[r].keys));
      }
      ParamShard shard = member(cut, replica, stage, false);
      STRAND_TRY(load_ranges(disk_, kFolder, manifest, table_, ranges, [&](size_t i, const float* state) {
        shard.take_state(context_, local[i], state);
        return Status();
      }));
      for (size_t i = 0; i < ranges.size(); ++i) {
        const std::vector<float> expected = state_of(ranges[i]);
        std::vector<float> found(expected.size());
        shard.copy_state(local[i], found.data());
        same = same && std::memcmp(found.data(), expected.data(), expected.size() * sizeof(float)) == 0;
      }
    }
  }
  return same;
}

Result<bool> WrittenCheckpoint::loads_alone(const Manifest& manifest) {
  ParamShard shard(table_, spec_.train, false);
  STRAND_TRY(load_parts(disk_, kFolder, manifest, shard));
  const KeyRange all{0, shard.elements()};
  std::vector<float> found(static_cast<size_t>(3 * all.elements));
  shard.copy_state(all, found.data());
  return std::memcmp(found.data(), state_of(all).data(), found.size() * sizeof(float)) == 0;
}

}  // namespace strand::testing
