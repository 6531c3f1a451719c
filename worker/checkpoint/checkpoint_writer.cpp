#include "worker/checkpoint/checkpoint_writer.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "ops/reduce/reduce.h"
#include "shared/base/hash.h"
#include "shared/base/text.h"
#include "worker/params/digest.h"

namespace strand {

std::string part_file_name(Step step, Generation generation, int64_t first_element, int64_t elements) {
  return concat("step-", step, "/g", generation.value, "-", first_element, "-", elements);
}

CheckpointWriter::CheckpointWriter(FileSystem& fs, std::string checkpoint_directory, const ParamShard& shard,
                                   PartDone done)
    : fs_(fs),
      directory_(std::move(checkpoint_directory)),
      table_(shard.table()),
      done_(std::move(done)),
      elements_(shard.elements()),
      buffer_(std::make_unique<float[]>(static_cast<size_t>(3 * elements_))) {
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

int64_t CheckpointWriter::save(const OpContext& context, ParamShard& shard, Generation generation, uint64_t next_row,
                               const BestEvaluation& best) {
  const auto begin = std::chrono::steady_clock::now();
  drain();
  const std::span<float> arrays[3] = {shard.weights(), shard.first_moment(), shard.second_moment()};
  constexpr int64_t kChunk = int64_t{1} << 18;
  const int64_t chunks = (elements_ + kChunk - 1) / kChunk;
  context.pool->run(3 * chunks, [&](int64_t task, int) {
    const int64_t first = task % chunks * kChunk;
    const int64_t count = std::min(kChunk, elements_ - first);
    const float* from = arrays[task / chunks].data() + first;
    std::memcpy(buffer_.get() + task / chunks * elements_ + first, from, static_cast<size_t>(count) * sizeof(float));
  });
  {
    std::lock_guard lock(mutex_);
    job_ = Job{shard.version(), generation, next_row, best};
  }
  changed_.notify_all();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - begin).count();
}

void CheckpointWriter::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return job_ || stopping_; });
    if (!job_) return;
    const Job job = *job_;
    lock.unlock();
    done_(job.step, write(job));
    lock.lock();
    job_.reset();
    changed_.notify_all();
  }
}

Result<PartSaved> CheckpointWriter::write(const Job& job) {
  PartHeader header;
  header.step = job.step;
  header.next_row = job.next_row;
  for (size_t t = 0; t < table_.size(); ++t) {
    const ParameterInfo& tensor = table_[t];
    header.tensor_names.push_back(tensor.name);
    for (int64_t first = 0; first < tensor.elements; first += kBlockElements) {
      PartBlock block;
      block.tensor = static_cast<uint32_t>(t);
      block.block = static_cast<uint32_t>(first / kBlockElements);
      block.elements = static_cast<uint32_t>(std::min(kBlockElements, tensor.elements - first));
      for (int a = 0; a < 3; ++a) {
        const float* data = buffer_.get() + a * elements_ + tensor.first_element + first;
        block.checksum[a] = hash64(data, block.elements * sizeof(float));
      }
      header.blocks.push_back(block);
    }
  }
  const StateView view{std::span<const float>(buffer_.get(), static_cast<size_t>(elements_)),
                       std::span<const float>(buffer_.get() + elements_, static_cast<size_t>(elements_)),
                       std::span<const float>(buffer_.get() + 2 * elements_, static_cast<size_t>(elements_)), job.step};
  PartSaved part;
  part.file = part_file_name(job.step, job.generation, 0, elements_);
  part.digest = model_digest(table_, view.weights);
  part.state_digest = state_digest(table_, view, job.next_row);
  part.next_row = job.next_row;
  part.best = job.best;

  STRAND_TRY(fs_.make_directories(concat(directory_, "/step-", job.step)));
  STRAND_ASSIGN(auto file, fs_.create_exclusive(directory_ + "/" + part.file));
  Hasher128 hasher;
  const auto append = [&](const void* data, size_t bytes) {
    hasher.update(data, bytes);
    part.bytes += bytes;
    return file->append(data, bytes);
  };
  const std::string encoded = encode_part_header(header);
  STRAND_TRY(append(encoded.data(), encoded.size()));
  for (const PartBlock& block : header.blocks) {
    const int64_t first = table_[block.tensor].first_element + static_cast<int64_t>(block.block) * kBlockElements;
    for (int a = 0; a < 3; ++a) {
      STRAND_TRY(append(buffer_.get() + a * elements_ + first, block.elements * sizeof(float)));
    }
  }
  STRAND_TRY(file->sync());
  STRAND_TRY(file->close());
  STRAND_TRY(fs_.sync_directory(concat(directory_, "/step-", job.step)));
  STRAND_TRY(fs_.sync_directory(directory_));
  part.checksum = hasher.digest();
  return part;
}

}  // namespace strand
