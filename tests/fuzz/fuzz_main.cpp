// The driver of every fuzz target: runs fuzz_one on seeded mutations of a corpus. An input that kills the program is
// written to NAME-crash.bin in the current folder; `NAME FILE` runs it again.
#include "tests/fuzz/fuzz_main.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "tests/fuzz/mutator.h"

namespace {

using strand::fuzz::Input;
using strand::fuzz::Mutator;

constexpr unsigned kHangSeconds = 10;

struct Options {
  uint64_t runs = 0;  // 0: as many as fit into `seconds`
  uint64_t seconds = 2;
  uint64_t seed = 1;
  uint64_t max_bytes = 1 << 16;
  std::string corpus;
  std::string dictionary;
  std::vector<std::string> files;
};

// A signal handler can reach nothing but globals: the input being run and where to write it.
const Input* current_input = nullptr;
char crash_path[512] = "crash.bin";

void say(const char* text) {
  (void)!write(STDERR_FILENO, text, strlen(text));
}

void on_crash(int number) {
  say(number == SIGALRM ? "\nfuzz: one input took longer than 10 s; it is in " : "\nfuzz: crashed; the input is in ");
  say(crash_path);
  say(" (run this program with that file to see it again)\n");
  const int file = open(crash_path, O_CREAT | O_TRUNC | O_WRONLY, 0644);
  if (file >= 0 && current_input != nullptr) (void)!write(file, current_input->data(), current_input->size());
  signal(number, SIG_DFL);
  raise(number);
}

void run(const Input& input) {
  current_input = &input;
  alarm(kHangSeconds);
  fuzz_one(reinterpret_cast<const uint8_t*>(input.data()), input.size());
  alarm(0);
  current_input = nullptr;
}

Input read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) {
    std::fprintf(stderr, "fuzz: cannot read %s\n", path.c_str());
    std::exit(2);
  }
  return Input(std::istreambuf_iterator<char>(in), {});
}

std::vector<Input> read_corpus(const std::string& folder) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.is_regular_file()) paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  std::vector<Input> corpus;
  for (const auto& path : paths) corpus.push_back(read_file(path));
  return corpus;
}

[[noreturn]] void usage(const char* program) {
  std::fprintf(
      stderr,
      "usage: %s [--runs N] [--seconds S] [--seed S] [--max-bytes B] [--corpus FOLDER] [--dict FILE] [FILE...]\n"
      "Runs mutations of the corpus for S seconds (default 2) or N times; with FILEs, runs exactly those.\n",
      program);
  std::exit(2);
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (!name.starts_with("--")) {
      options.files.emplace_back(name);
      continue;
    }
    if (i + 1 >= argc) usage(argv[0]);
    const std::string_view value = argv[++i];
    uint64_t* number = name == "--runs"        ? &options.runs
                       : name == "--seconds"   ? &options.seconds
                       : name == "--seed"      ? &options.seed
                       : name == "--max-bytes" ? &options.max_bytes
                                               : nullptr;
    if (number != nullptr) {
      const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), *number);
      if (error != std::errc() || end != value.data() + value.size()) usage(argv[0]);
    } else if (name == "--corpus") {
      options.corpus = value;
    } else if (name == "--dict") {
      options.dictionary = value;
    } else {
      usage(argv[0]);
    }
  }
  return options;
}

int fuzz(const char* program, const Options& options) {
  std::vector<Input> corpus = options.corpus.empty() ? std::vector<Input>() : read_corpus(options.corpus);
  std::vector<Input> dictionary;
  if (!options.dictionary.empty()) {
    auto words = strand::fuzz::parse_dictionary(read_file(options.dictionary), options.dictionary);
    if (!words.ok()) {
      std::fprintf(stderr, "fuzz: %s\n", words.error().message().c_str());
      return 2;
    }
    dictionary = std::move(words).value();
  }
  run(Input());
  for (const Input& input : corpus) run(input);
  const size_t seeds = corpus.size();
  Mutator mutator(options.seed, std::move(corpus), std::move(dictionary), options.max_bytes);
  const auto stop = std::chrono::steady_clock::now() + std::chrono::seconds(options.seconds);
  uint64_t done = 0;
  while (options.runs > 0 ? done < options.runs : std::chrono::steady_clock::now() < stop) {
    run(mutator.next());
    ++done;
  }
  std::printf("%s: %llu mutations of %zu inputs, seed %llu: nothing found\n", program,
              static_cast<unsigned long long>(done), seeds, static_cast<unsigned long long>(options.seed));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  const std::string program = std::filesystem::path(argv[0]).filename();
  std::snprintf(crash_path, sizeof crash_path, "%s-crash.bin", program.c_str());
  for (int number : {SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGALRM}) signal(number, on_crash);
  if (options.files.empty()) return fuzz(program.c_str(), options);
  for (const std::string& path : options.files) {
    run(read_file(path));
    std::printf("%s: %s: nothing found\n", program.c_str(), path.c_str());
  }
  return 0;
}
