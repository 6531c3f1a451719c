#include "worker/checkpoint/checkpoint_writer.h"

#include <algorithm>
#include <chrono>

#include "shared/base/check.h"
#include "shared/base/hash.h"
#include "shared/base/text.h"
#include "shared/plan/model_digest.h"

namespace strand {

std::string part_file_name(Generation generation, int replica, int stage) {
  return concat("g", generation.value, "-r", replica, "-s", stage);
}

CheckpointWriter::CheckpointWriter(FileSystem& fs, std::string checkpoint_directory, const ParamShard& shard,
                                   PartWritten done)
    : CheckpointWriter(fs, std::move(checkpoint_directory), shard.table(), shard.elements(), std::move(done)) {}

CheckpointWriter::CheckpointWriter(FileSystem& fs, std::string checkpoint_directory,
                                   std::vector<ParameterInfo> job_table, int64_t capacity, PartWritten done)
    : fs_(fs),
      directory_(std::move(checkpoint_directory)),
      table_(std::move(job_table)),
      blocks_(table_),
      done_(std::move(done)),
      capacity_(capacity),
      buffer_(std::make_unique<float[]>(static_cast<size_t>(3 * capacity))) {
  thread_ = std::thread([this] { run(); });
}

CheckpointWriter::~CheckpointWriter() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void CheckpointWriter::drain() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !job_; });
}

CheckpointWriter::Job CheckpointWriter::job_of(std::vector<PartSource> parts, const PartRequest& request) const {
  Job job;
  job.request = request;
  std::erase_if(parts, [](const PartSource& part) { return part.job.elements == 0; });
  std::ranges::sort(parts, {}, [](const PartSource& part) { return part.job.first_element; });
  for (const PartSource& part : parts) {
    const auto run = blocks_.blocks_of(part.job);
    STRAND_CHECK(run.ok() && part.job.elements == part.local.elements, part.job.first_element, " + ",
                 part.job.elements);
    for (size_t b = run->first; b < run->end; ++b) {
      const int64_t local = part.local.first_element + blocks_[b].first_element - part.job.first_element;
      job.blocks.push_back({b, local, job.elements});
      job.elements += blocks_[b].elements;
    }
    KeyRange* last = job.ranges.empty() ? nullptr : &job.ranges.back();
    if (last && last->first_element + last->elements == part.job.first_element) {
      last->elements += part.job.elements;
    } else {
      job.ranges.push_back(part.job);
    }
  }
  return job;
}

int64_t CheckpointWriter::save(const OpContext& context, const ParamShard& shard, const std::vector<PartSource>& parts,
                               const PartRequest& request) {
  const auto begin = std::chrono::steady_clock::now();
  Job job = job_of(parts, request);
  drain();
  if (job.elements > capacity_) {
    buffer_ = std::make_unique<float[]>(static_cast<size_t>(3 * job.elements));
    capacity_ = job.elements;
  }
  context.pool->run(static_cast<int64_t>(job.blocks.size()), [&](int64_t task, int) {
    const CopiedBlock& block = job.blocks[static_cast<size_t>(task)];
    shard.copy_state({block.local, blocks_[block.number].elements}, buffer_.get() + 3 * block.offset);
  });
  {
    std::lock_guard lock(mutex_);
    job_ = std::move(job);
  }
  changed_.notify_all();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - begin).count();
}

int64_t CheckpointWriter::save(const OpContext& context, ParamShard& shard, Generation generation, uint64_t next_row,
                               const BestEvaluation& best) {
  const KeyRange all{0, shard.elements()};
  return save(context, shard, {{all, all}},
              {shard.version(), generation, next_row, part_file_name(generation, 0, 0), best});
}

void CheckpointWriter::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return job_ || stopping_; });
    if (!job_) return;
    const Job job = *job_;
    lock.unlock();
    done_(job.request.step, write(job));
    lock.lock();
    job_.reset();
    changed_.notify_all();
  }
}

// Fills the header's blocks with the checksums of what the buffer holds; returns the digests of the same arrays.
std::vector<Digest128> CheckpointWriter::digest_blocks(const Job& job, PartHeader* header) const {
  std::vector<Digest128> digests;
  const float* data = buffer_.get();
  for (const CopiedBlock& copied : job.blocks) {
    const TensorBlock& from = blocks_[copied.number];
    PartBlock block;
    block.tensor = static_cast<uint32_t>(from.tensor);
    block.block = static_cast<uint32_t>(from.block);
    block.elements = static_cast<uint32_t>(from.elements);
    for (uint64_t& checksum : block.checksum) {
      checksum = hash64(data, block.elements * sizeof(float));
      digests.push_back(hash128(data, block.elements * sizeof(float)));
      data += block.elements;
    }
    header->blocks.push_back(block);
  }
  return digests;
}

Result<PartSaved> CheckpointWriter::write(const Job& job) {
  const PartRequest& request = job.request;
  PartHeader header;
  header.step = request.step;
  header.next_row = request.next_row;
  for (const ParameterInfo& tensor : table_) header.tensor_names.push_back(tensor.name);
  std::vector<Digest128> digests = digest_blocks(job, &header);

  const std::string folder = concat("step-", request.step);
  PartSaved part;
  part.file = folder + "/" + request.name;
  part.next_row = request.next_row;
  part.best = request.best;
  part.ranges = job.ranges;
  if (job.blocks.size() == blocks_.size()) {
    const ModelDigests whole = digests_of_state(table_, digests, request.step, request.next_row);
    part.digest = whole.digest;
    part.state_digest = whole.state_digest;
  } else {
    part.block_digests = std::move(digests);
  }

  STRAND_TRY(fs_.make_directories(directory_ + "/" + folder));
  STRAND_ASSIGN(auto file, fs_.create_exclusive(directory_ + "/" + part.file));
  Hasher128 hasher;
  const auto append = [&](const void* data, size_t bytes) {
    hasher.update(data, bytes);
    part.bytes += bytes;
    return file->append(data, bytes);
  };
  const std::string encoded = encode_part_header(header);
  STRAND_TRY(append(encoded.data(), encoded.size()));
  const float* data = buffer_.get();
  for (const PartBlock& block : header.blocks) {
    STRAND_TRY(append(data, 3 * block.elements * sizeof(float)));
    data += 3 * block.elements;
  }
  STRAND_TRY(file->sync());
  STRAND_TRY(file->close());
  STRAND_TRY(fs_.sync_directory(directory_ + "/" + folder));
  STRAND_TRY(fs_.sync_directory(directory_));
  part.checksum = hasher.digest();
  return part;
}

}  // namespace strand
