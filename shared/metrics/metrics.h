// Counters, gauges and histograms of one process, and files of step records. No global registry: a main makes one and
// hands it down.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "shared/base/result.h"
#include "shared/fs/file_system.h"

namespace strand {

class Counter {
 public:
  void add(uint64_t n = 1) { value_.fetch_add(n, std::memory_order_relaxed); }
  uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

class Gauge {
 public:
  void set(double v) { value_.store(v, std::memory_order_relaxed); }
  double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

// Latencies in nanoseconds in buckets of about 4% width; quantiles from the buckets.
class Histogram {
 public:
  void record(int64_t nanoseconds);
  double quantile_seconds(double q) const;  // q in [0, 1]; 0 when empty
  uint64_t count() const;
  double sum_seconds() const;

 private:
  static constexpr int kBuckets = 1024;
  std::atomic<uint64_t> buckets_[kBuckets] = {};
  std::atomic<uint64_t> count_{0};
  std::atomic<int64_t> sum_{0};
};

class MetricsRegistry {
 public:
  // The same name gives the same object; names in Prometheus style: strand_steps_total. References stay valid.
  Counter& counter(const std::string& name, const std::string& help);
  Gauge& gauge(const std::string& name, const std::string& help);
  Histogram& histogram(const std::string& name, const std::string& help);
  // Prometheus text exposition format 0.0.4; histograms as summaries with quantiles 0.5, 0.99, 0.999.
  std::string prometheus_text() const;

  MetricsRegistry();
  ~MetricsRegistry();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Step records as JSON lines. When the file passes `limit_bytes` every second old line is dropped (thinned), so a job
// of any length keeps at most that much. Not synced: metrics may lose their tail in a crash.
class MetricsFile {
 public:
  static Result<std::unique_ptr<MetricsFile>> open(FileSystem& fs, const std::string& path, uint64_t limit_bytes);
  ~MetricsFile();
  Status append_line(const std::string& json_line);

 private:
  MetricsFile();
  struct State;
  std::unique_ptr<State> state_;
};

// TensorBoard event file (TFRecord framing with masked CRC-32C, Event protobufs with simple_value) written by hand: the
// format is two dozen bytes of protobuf. One scalar per call.
class TensorBoardFile {
 public:
  static Result<std::unique_ptr<TensorBoardFile>> create(FileSystem& fs, const std::string& directory,
                                                         int64_t wall_nanoseconds);
  ~TensorBoardFile();
  Status add_scalar(const std::string& tag, int64_t step, double value, int64_t wall_nanoseconds);

 private:
  TensorBoardFile();
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace strand
