#include "dataserver/audit.h"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include "dataserver/commands.h"
#include "shared/base/ids.h"
#include "shared/base/row_audit.h"
#include "shared/base/text.h"
#include "shared/formats/json.h"

namespace strand {

namespace {

constexpr uint64_t kRowsAtOnce = 64;
constexpr std::chrono::milliseconds kShow{100};

// One line of metrics.jsonl.
struct StepRecord {
  Step step = 0;
  uint64_t line = 0;
  uint64_t sum = 0;
};

struct Recorded {
  std::vector<StepRecord> records;  // in order of steps, of one step in order of lines
  uint64_t without_sum = 0;
};

struct Difference {
  StepRecord record;
  uint64_t expected = 0;
};

std::optional<uint64_t> parse_hex64(const std::string& text) {
  uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, value, 16);
  if (text.size() != 16 || parsed.ec != std::errc() || parsed.ptr != end) return std::nullopt;
  return value;
}

Result<Recorded> read_records(FileSystem& fs, const std::string& path) {
  if (!fs.exists(path)) return not_found(concat("no step is recorded: ", path, " is not there; name a run directory"));
  STRAND_ASSIGN(const std::string text, fs.read_file(path));
  Recorded recorded;
  uint64_t line_number = 0;
  for (const std::string& line : split(text, '\n')) {
    ++line_number;
    const auto json = parse_json(line, path);
    if (!json.ok() || !json->is_object()) continue;  // a tail cut by a crash
    const auto step = json->find("step"), audit = json->find("audit");
    if (step == json->end() || !step->is_number_integer()) continue;
    const auto sum = audit != json->end() && audit->is_string() ? parse_hex64(audit->get<std::string>()) : std::nullopt;
    if (sum && step->get<Step>() > 0) {
      recorded.records.push_back({step->get<Step>(), line_number, *sum});
    } else {
      ++recorded.without_sum;
    }
  }
  std::ranges::stable_sort(recorded.records, {}, &StepRecord::step);
  if (!recorded.records.empty()) return recorded;
  return bad_input(concat(path, ": no record has a sum (\"audit\"); runs of this version have one for each step"));
}

Result<std::string> find_store(FileSystem& fs, const DataAuditOptions& options) {
  if (!options.store.empty()) return options.store;
  const auto run = std::filesystem::absolute(options.run_directory).lexically_normal();
  const std::string folder = run.has_filename() ? run.parent_path().string() : run.parent_path().parent_path().string();
  for (const std::string& store : {options.run_directory + "/store", folder + "/store"}) {
    if (fs.exists(store + "/rocks")) return store;
  }
  return not_found(concat("no store in ", options.run_directory, " or beside it: name the data server's with --store"));
}

// The sums of all recorded steps, computed by several threads.
class Comparison {
 public:
  Comparison(const Dataset& dataset, const JobSpec& job, const std::vector<StepRecord>& records)
      : dataset_(dataset),
        seed_(job.train.seed),
        rows_per_step_(static_cast<uint64_t>(job.train.rows_per_step())),
        records_(records) {}

  Status run(const DataAuditOptions& options) {
    const auto cores = std::max<size_t>(1, std::thread::hardware_concurrency());
    const size_t wanted = options.threads > 0 ? static_cast<size_t>(options.threads) : cores;
    std::vector<std::thread> threads;
    running_ = std::min(wanted, records_.size());
    for (size_t i = running_; i > 0; --i) threads.emplace_back([this] { work(); });
    while (running_.load() > 0) {
      std::this_thread::sleep_for(kShow);
      if (options.progress) options.progress(std::min(next_.load(), records_.size()), records_.size());
      if (options.stop != nullptr && options.stop->load()) ending_.store(true);
    }
    for (std::thread& thread : threads) thread.join();
    if (failure_) return *failure_;
    if (options.stop != nullptr && options.stop->load()) return Error(ErrorCode::kStopped, "stopped");
    return {};
  }

  // The first in order of steps.
  const std::optional<Difference>& difference() const { return difference_; }

 private:
  void work() {
    while (!ending_.load()) {
      const size_t at = next_.fetch_add(1);
      if (at >= records_.size() || !compare(records_[at])) break;
    }
    --running_;
  }

  // False: nobody needs to look further. Records are taken in order, so those before this one are under way.
  bool compare(const StepRecord& record) {
    const auto sum =
        audit_rows(dataset_, seed_, static_cast<uint64_t>(record.step - 1) * rows_per_step_, rows_per_step_);
    if (sum.ok() && *sum == record.sum) return true;
    const std::lock_guard lock(mutex_);
    if (!sum.ok()) {
      failure_ = sum.error().with_context(concat("step ", record.step));
    } else if (!difference_ || record.step < difference_->record.step) {
      difference_ = Difference{record, *sum};
    }
    ending_.store(true);
    return false;
  }

  const Dataset& dataset_;
  uint64_t seed_, rows_per_step_;
  const std::vector<StepRecord>& records_;
  std::atomic<size_t> next_{0}, running_{0};
  std::atomic<bool> ending_{false};
  std::mutex mutex_;
  std::optional<Error> failure_;
  std::optional<Difference> difference_;
};

// Steps up to the last recorded one that no line tells of.
struct Gaps {
  int64_t steps = 0;
  Step first = 0;
};
Gaps gaps_of(const std::vector<StepRecord>& records) {
  Gaps gaps;
  Step last = 0;
  for (const StepRecord& record : records) {
    if (record.step > last + 1 && gaps.steps == 0) gaps.first = last + 1;
    gaps.steps += std::max<Step>(0, record.step - last - 1);
    last = record.step;
  }
  return gaps;
}

DataAuditReport report_of(const std::string& run, const Recorded& recorded, uint64_t rows_per_step,
                          const std::optional<Difference>& difference) {
  const Gaps gaps = gaps_of(recorded.records);
  const Step last = recorded.records.back().step;
  Json json = {{"run_directory", run},        {"agrees", !difference.has_value()},  {"last_step", last},
               {"steps", last - gaps.steps},  {"records", recorded.records.size()}, {"rows_per_step", rows_per_step},
               {"missing_steps", gaps.steps}, {"first_difference", nullptr}};
  std::string text;
  if (difference) {
    const StepRecord& record = difference->record;
    const uint64_t first_row = static_cast<uint64_t>(record.step - 1) * rows_per_step;
    json["first_difference"] = {
        {"step", record.step}, {"recorded", hex64(record.sum)}, {"expected", hex64(difference->expected)},
        {"line", record.line}, {"first_row", first_row},        {"rows", rows_per_step}};
    text = concat("step ", record.step, " differs: recorded ", hex64(record.sum), " (", run, "/metrics.jsonl: line ",
                  record.line, "), the store gives ", hex64(difference->expected), " for its rows ", first_row, " to ",
                  first_row + rows_per_step - 1, "\n");
  } else {
    text = concat(run, ": ", with_thousands(last - gaps.steps), " steps of ", rows_per_step,
                  " rows, each took exactly its own\n");
  }
  if (gaps.steps > 0) {
    text += concat("  no record of ", gaps.steps, " steps, the first is ", gaps.first,
                   ": beyond 200 MB records are thinned, and a crash may lose the newest\n");
  }
  if (recorded.without_sum > 0) text += concat("  ", recorded.without_sum, " records have no sum\n");
  return {CommandReport{std::move(text), dump_json(json)}, !difference.has_value()};
}

}  // namespace

Result<uint64_t> audit_rows(const Dataset& dataset, uint64_t seed, uint64_t first_row, uint64_t rows) {
  RowAudit audit;
  const auto segment = static_cast<size_t>(dataset.summary().segment);
  for (uint64_t done = 0; done < rows;) {
    const auto count = static_cast<uint32_t>(std::min(rows - done, kRowsAtOnce));
    STRAND_ASSIGN(const RowBlock block, dataset.rows(seed, RowSet::kTraining, first_row + done, count));
    for (uint32_t i = 0; i < count; ++i) {
      audit.add(first_row + done + i, block.samples[i], block.tokens.data() + i * segment, block.lengths[i]);
    }
    done += count;
  }
  return audit.sum();
}

Result<DataAuditReport> data_audit(const DataAuditOptions& options) {
  const auto fs = make_posix_file_system();
  STRAND_ASSIGN(const JobSpec job, load_job(options.run_directory + "/job.toml", {}));
  STRAND_ASSIGN(const Recorded recorded, read_records(*fs, options.run_directory + "/metrics.jsonl"));
  STRAND_ASSIGN(const std::string store, find_store(*fs, options));
  STRAND_ASSIGN(const DataHome home, open_data_home(fs.get(), store, true));
  const auto go_on = [&](double) { return options.stop == nullptr || !options.stop->load(); };
  STRAND_ASSIGN(const auto dataset, Dataset::open(home, dataset_spec(job), go_on));
  Comparison comparison(*dataset, job, recorded.records);
  STRAND_TRY(comparison.run(options));
  return report_of(options.run_directory, recorded, static_cast<uint64_t>(job.train.rows_per_step()),
                   comparison.difference());
}

}  // namespace strand
