#include "worker/checkpoint/checkpoint_writer.h"

#include <algorithm>
#include <chrono>

#include "shared/base/check.h"

namespace strand {

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

Result<PartSaved> CheckpointWriter::write(const Job& job) {
  PartContent content{job.request, job.ranges, {}, buffer_.get()};
  for (const CopiedBlock& block : job.blocks) content.blocks.push_back(block.number);
  return write_part(fs_, directory_, table_, blocks_, content);
}

}  // namespace strand
