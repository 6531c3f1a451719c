// Speed of ingest: files of sequences into a fresh store, beside its bound, reading (and decompressing) the same files
// alone, one after the other, on one thread. Both take turns in every round.
//
//   ingest_bench FOLDER FILE... [--rounds N]      FOLDER: where the stores are made; emptied again
//
// One line of JSON on standard output: medians and quartiles of MB (10^6 bytes of the files' text) a second by the
// clock, processor seconds, bytes of store a base, and the seconds of a second ingest of the same bytes.
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <vector>

#include "dataserver/corpus/corpus_store.h"
#include "dataserver/corpus/genome_file.h"
#include "shared/base/text.h"
#include "shared/formats/json.h"

namespace strand {
namespace {

struct Round {
  double seconds = 0, cpu = 0, read_seconds = 0, again = 0, bytes_per_base = 0;
};

double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

template <class Work>
double timed(const Work& work) {
  const auto begun = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
}

template <class T>
T need(Result<T> result) {
  if (result.ok()) return *std::move(result);
  std::fprintf(stderr, "%s\n", result.error().message().c_str());
  std::exit(exit_code(result.error()));
}

uint64_t text_bytes(const std::vector<std::string>& files) {
  uint64_t bytes = 0;
  std::vector<char> buffer(size_t{1} << 18);
  for (const std::string& path : files) {
    const auto file = need(GenomeFile::open(path));
    while (const size_t count = need(file->read(buffer.data(), buffer.size()))) bytes += count;
  }
  return bytes;
}

uint64_t folder_bytes(const std::string& folder) {
  uint64_t bytes = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) bytes += entry.file_size();
  }
  return bytes;
}

Round measure(const std::string& folder, const std::vector<std::string>& files) {
  Round round;
  round.read_seconds = timed([&] { text_bytes(files); });
  const auto goes_on = [](double) { return true; };
  int64_t bases = 0;
  {
    const auto store = need(open_data_store(folder, false));
    const double cpu = cpu_seconds();
    round.seconds = timed([&] { bases = need(build_corpus(store.get(), files, goes_on)).bases; });
    round.cpu = cpu_seconds() - cpu;
    round.again = timed([&] { need(build_corpus(store.get(), files, goes_on)); });
  }
  round.bytes_per_base = static_cast<double>(folder_bytes(folder)) / static_cast<double>(bases);
  std::filesystem::remove_all(folder);
  return round;
}

template <class Value>
Json spread(const std::vector<Round>& rounds, const Value& value) {
  std::vector<double> values;
  for (const Round& round : rounds) values.push_back(value(round));
  std::ranges::sort(values);
  const auto at = [&](size_t quarter) { return values[quarter * (values.size() - 1) / 4]; };
  return Json::array({at(1), at(2), at(3)});
}

int run(const std::vector<std::string>& words) {
  std::vector<std::string> files;
  int count = 5;
  for (size_t i = 1; i < words.size(); ++i) {
    if (words[i] == "--rounds" && i + 1 < words.size()) {
      count = std::max(1, std::atoi(words[++i].c_str()));
    } else {
      files.push_back(words[i]);
    }
  }
  if (files.empty()) {
    std::fprintf(stderr, "usage: ingest_bench FOLDER FILE... [--rounds N]\n");
    return 2;
  }
  const std::string folder = words[0] + "/ingest-bench.store";
  std::filesystem::remove_all(folder);
  const double megabytes = static_cast<double>(text_bytes(files)) * 1e-6;
  std::vector<Round> rounds;
  for (int i = 0; i < count; ++i) rounds.push_back(measure(folder, files));
  const Json report = {
      {"megabytes", megabytes},
      {"rounds", count},
      {"ingest_mb_per_second", spread(rounds, [&](const Round& r) { return megabytes / r.seconds; })},
      {"read_mb_per_second", spread(rounds, [&](const Round& r) { return megabytes / r.read_seconds; })},
      {"ingest_over_read", spread(rounds, [](const Round& r) { return r.read_seconds / r.seconds; })},
      {"cpu_seconds", spread(rounds, [](const Round& r) { return r.cpu; })},
      {"again_seconds", spread(rounds, [](const Round& r) { return r.again; })},
      {"store_bytes_per_base", spread(rounds, [](const Round& r) { return r.bytes_per_base; })}};
  std::printf("%s\n", dump_json(report).c_str());
  return 0;
}

}  // namespace
}  // namespace strand

int main(int argc, char** argv) {
  return strand::run({argv + 1, argv + argc});
}
