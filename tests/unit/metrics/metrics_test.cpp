#include "shared/metrics/metrics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <thread>

#include "shared/base/text.h"
#include "tests/support/faulty_file_system.h"

namespace strand {
namespace {

std::vector<std::string> lines_of(FileSystem& fs, const std::string& path) {
  const auto text = fs.read_file(path);
  EXPECT_TRUE(text.ok());
  return text.ok() && !text->empty() ? split(trim(*text), '\n') : std::vector<std::string>();
}

TEST(Histogram, QuantilesAreWithinABucketOfTheExactOnes) {
  Histogram histogram;
  EXPECT_EQ(histogram.quantile_seconds(0.5), 0);
  std::vector<int64_t> values;
  const PhiloxKey key = philox_key(7, Purpose::kTest);
  double sum = 0;
  for (uint64_t n = 0; n < 20000; ++n) {
    const double exponent = open_unit_double(random_word(key, n, 0, 0)) * 9 + 1;  // 10 ns to 10 s
    values.push_back(static_cast<int64_t>(std::pow(10, exponent)));
    histogram.record(values.back());
    sum += static_cast<double>(values.back()) * 1e-9;
  }
  std::sort(values.begin(), values.end());
  for (const double q : {0.001, 0.25, 0.5, 0.9, 0.99, 0.999, 1.0}) {
    const auto rank = static_cast<size_t>(std::ceil(q * static_cast<double>(values.size()))) - 1;
    const double exact = static_cast<double>(values[rank]) * 1e-9;
    EXPECT_NEAR(histogram.quantile_seconds(q) / exact, 1, 0.021) << "q = " << q;
  }
  EXPECT_EQ(histogram.count(), 20000u);
  EXPECT_NEAR(histogram.sum_seconds(), sum, 1e-6 * sum);
}

TEST(Histogram, TakesAnyDuration) {
  Histogram histogram;
  for (const int64_t n : {INT64_MIN, int64_t{-1}, int64_t{0}, int64_t{1}}) histogram.record(n);
  EXPECT_EQ(histogram.quantile_seconds(1), 1e-9);
  histogram.record(INT64_MAX / 2);
  EXPECT_GT(histogram.quantile_seconds(1), 86400.0 * 365);
}

TEST(MetricsRegistry, TheSameNameIsTheSameObjectFromAnyThread) {
  MetricsRegistry registry;
  Counter& first = registry.counter("strand_steps_total", "Steps.");
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) {
        registry.counter("strand_steps_total", "Steps.").add();
        registry.gauge(concat("strand_gauge_", i % 50), "More.").set(i);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(first.value(), 4000u);
  EXPECT_EQ(&first, &registry.counter("strand_steps_total", ""));
  EXPECT_DEATH(registry.gauge("strand_steps_total", ""), "another kind");
  EXPECT_DEATH(registry.gauge("2 words", ""), "not a metric name");
}

TEST(MetricsRegistry, PrometheusText) {
  MetricsRegistry registry;
  registry.counter("strand_steps_total", "Steps done.").add(3);
  registry.gauge("strand_loss", "Training loss,\nlast \\ step.").set(1.5);
  registry.gauge("strand_bad", "").set(std::nan(""));
  registry.gauge("strand_jobs{state=\"running\"}", "Jobs.").set(2);
  registry.gauge("strand_jobs_old", "Gone.").set(0.25);
  registry.gauge("strand_jobs{state=\"done\"}", "Jobs.").set(1);
  registry.histogram("strand_wait_seconds{queue=\"a\"}", "Waiting.").record(1);
  EXPECT_EQ(registry.prometheus_text(),
            "# HELP strand_bad \n# TYPE strand_bad gauge\nstrand_bad NaN\n"
            "# HELP strand_jobs Jobs.\n# TYPE strand_jobs gauge\n"
            "strand_jobs{state=\"done\"} 1\nstrand_jobs{state=\"running\"} 2\n"
            "# HELP strand_jobs_old Gone.\n# TYPE strand_jobs_old gauge\nstrand_jobs_old 0.25\n"
            "# HELP strand_loss Training loss,\\nlast \\\\ step.\n# TYPE strand_loss gauge\nstrand_loss 1.5\n"
            "# HELP strand_steps_total Steps done.\n# TYPE strand_steps_total counter\nstrand_steps_total 3\n"
            "# HELP strand_wait_seconds Waiting.\n# TYPE strand_wait_seconds summary\n"
            "strand_wait_seconds{queue=\"a\",quantile=\"0.5\"} 1e-09\n"
            "strand_wait_seconds{queue=\"a\",quantile=\"0.99\"} 1e-09\n"
            "strand_wait_seconds{queue=\"a\",quantile=\"0.999\"} 1e-09\n"
            "strand_wait_seconds_sum{queue=\"a\"} 1e-09\nstrand_wait_seconds_count{queue=\"a\"} 1\n");
}

TEST(MetricsFile, StaysBelowItsLimitAndKeepsTheNewestLines) {
  FaultyFileSystem fs;
  constexpr uint64_t kLimit = 2000;
  auto file = std::move(*MetricsFile::open(fs, "m", kLimit));
  for (int step = 1; step <= 5000; ++step) {
    ASSERT_TRUE(file->append_line(concat("{\"step\":", step, "}")).ok());
    ASSERT_LE(fs.file_size("m").value(), kLimit);
    if (step % 400 != 0) continue;
    const std::vector<std::string> lines = lines_of(fs, "m");
    EXPECT_EQ(lines.back(), concat("{\"step\":", step, "}"));
    int previous = 0;
    for (const auto& line : lines) {
      const int number = std::stoi(line.substr(8));
      EXPECT_EQ(line, concat("{\"step\":", number, "}")) << "only whole lines";
      EXPECT_GT(number, previous) << "in order, none twice";
      previous = number;
    }
    EXPECT_GT(lines.size(), 40u) << "thinned by halves, not emptied";
    EXPECT_EQ(lines.front(), "{\"step\":1}") << "the beginning stays, thinner";
  }
}

TEST(MetricsFile, ReopenedAfterACrashHoldsWholeLinesOnly) {
  for (uint64_t seed = 0; seed < 30; ++seed) {
    FaultyFileSystem fs;
    auto file = std::move(*MetricsFile::open(fs, "m", 1 << 20));
    ASSERT_TRUE(fs.sync_directory(".").ok());
    for (int i = 0; i < 5; ++i) ASSERT_TRUE(file->append_line("{\"before\":1}").ok());
    fs.restart(seed);
    file = std::move(*MetricsFile::open(fs, "m", 1 << 20));
    ASSERT_TRUE(file->append_line("{\"after\":1}").ok());
    const std::vector<std::string> lines = lines_of(fs, "m");
    EXPECT_EQ(lines.back(), "{\"after\":1}");
    for (size_t i = 0; i + 1 < lines.size(); ++i) EXPECT_EQ(lines[i], "{\"before\":1}") << "seed " << seed;
  }
}

TEST(MetricsFile, AFailedWriteLosesThatLineOnly) {
  // Each call of the three appends in turn, thinning included, meets a full disk.
  for (uint64_t n = 0;; ++n) {
    FaultyFileSystem fs;
    auto file = std::move(*MetricsFile::open(fs, "m", 30));
    fs.fail_at(n, ENOSPC);
    int failures = 0;
    for (int i = 0; i < 6; ++i) failures += file->append_line("{\"a\":12345}").ok() ? 0 : 1;
    EXPECT_LE(failures, 1);
    fs.clear_faults();
    ASSERT_TRUE(file->append_line("{\"a\":12345}").ok()) << "and repairs what the failed one left";
    for (const auto& line : lines_of(fs, "m")) EXPECT_EQ(line, "{\"a\":12345}") << "call " << n;
    if (failures == 0) break;
    ASSERT_LT(n, 100u);
  }
}

// TFRecord framing and protobuf, byte for byte; tensorboard's own reader took this very file.
TEST(TensorBoardFile, BytesAreTheFormats) {
  FaultyFileSystem fs;
  auto file = std::move(*TensorBoardFile::create(fs, "tb", 1'500'000'000'000'000'000));
  ASSERT_TRUE(file->add_scalar("loss", 300, 1.5, 1'500'000'000'500'000'000).ok());
  const auto names = fs.list_directory("tb").value();
  ASSERT_EQ(names.size(), 1u);
  EXPECT_EQ(names[0], "events.out.tfevents.1500000000.strand.0");
  std::string hex;
  const std::string content = fs.read_file("tb/" + names[0]).value();
  for (const char c : content) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned char>(c));
    hex += digits;
  }
  EXPECT_EQ(hex,
            "1800000000000000a37f4b22"        // 24 bytes follow; masked CRC of that length
            "09000000c00b5ad641"              // wall_time
            "1a0d627261696e2e4576656e743a32"  // file_version "brain.Event:2"
            "4ca9a464"                        // masked CRC of the event
            "1b000000000000001a0d9e13"        //
            "09000020c00b5ad641"              // wall_time
            "10ac02"                          // step 300
            "2a0d0a0b0a046c6f7373150000c03f"  // summary: "loss", 1.5
            "b8e4d86a");
}

}  // namespace
}  // namespace strand
