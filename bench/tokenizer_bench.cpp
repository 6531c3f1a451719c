// Speed of the tokenizers, one thread. Strand's side of peers/tokenizers_hf.py, which compares the ids.
//
//   tokenizer_bench encode TOKENIZER TEXTS [IDS]    TOKENIZER: a file or folder, as `strand tokenizer encode` takes it
//   tokenizer_bench train TEXTS VOCABULARY FILE     writes the tokenizer.json
//
// TEXTS: tests/support/text_list.h. IDS: for each text the number of its ids, then the ids (all int32). One line of
// JSON on standard output: bytes, tokens, seconds by the clock and of the processor (which other programs on the
// machine change less), seconds to open, and the most memory held.
#include <chrono>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <string>

#include "dataserver/tokenizer/open_tokenizer.h"
#include "shared/formats/json.h"
#include "tests/support/text_list.h"

namespace strand {
namespace {

class Watch {
 public:
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun_).count(); }
  double cpu_seconds() const { return cpu() - cpu_begun_; }

 private:
  static double cpu() {
    timespec now{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
  }
  std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
  double cpu_begun_ = cpu();
};

// The most resident memory so far, in bytes. Not of getrusage, which also knows of what started this process.
size_t most_memory() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::stoull(line.substr(6)) * 1024;
  }
  return 0;
}

int refused(const Error& error) {
  std::fprintf(stderr, "%s\n", error.message().c_str());
  return exit_code(error);
}

void write_ids(const Tokenizer& tokenizer, const std::vector<std::string_view>& texts, const std::string& path) {
  std::ofstream out(path, std::ios::binary);
  std::vector<int32_t> ids;
  for (const std::string_view text : texts) {
    ids.assign(1, 0);
    tokenizer.encode(text, &ids);
    ids[0] = static_cast<int32_t>(ids.size() - 1);
    out.write(reinterpret_cast<const char*>(ids.data()), static_cast<std::streamsize>(ids.size() * sizeof(int32_t)));
  }
}

int encode(const std::string& name, const std::string& texts_path, const std::string& ids_path) {
  const auto fs = make_posix_file_system();
  const Watch opening;
  const Result<std::unique_ptr<Tokenizer>> tokenizer = open_tokenizer(*fs, name);
  if (!tokenizer.ok()) return refused(tokenizer.error());
  const double open_seconds = opening.cpu_seconds();
  const std::string file = read_text_list(texts_path);
  const std::vector<std::string_view> texts = cut_text_list(file);
  size_t bytes = 0, tokens = 0;
  std::vector<int32_t> ids;
  const Watch watch;
  for (const std::string_view text : texts) {
    ids.clear();
    tokenizer.value()->encode(text, &ids);
    bytes += text.size();
    tokens += ids.size();
  }
  const Json report = {{"bytes", bytes},
                       {"tokens", tokens},
                       {"seconds", watch.seconds()},
                       {"cpu_seconds", watch.cpu_seconds()},
                       {"open_seconds", open_seconds},
                       {"memory", most_memory()}};
  std::printf("%s\n", dump_json(report).c_str());
  if (!ids_path.empty()) write_ids(*tokenizer.value(), texts, ids_path);
  return 0;
}

int train(const std::string& texts_path, const std::string& vocabulary, const std::string& path) {
  std::vector<std::string> texts;
  size_t bytes = 0;
  {
    const std::string file = read_text_list(texts_path);
    for (const std::string_view text : cut_text_list(file)) texts.emplace_back(text), bytes += text.size();
  }
  const Watch watch;
  const auto tokenizer = train_bpe(texts, {.vocabulary = std::stoi(vocabulary)});
  if (!tokenizer.ok()) return refused(tokenizer.error());
  const Json report = {{"bytes", bytes},
                       {"vocabulary", tokenizer.value()->vocabulary()},
                       {"seconds", watch.seconds()},
                       {"cpu_seconds", watch.cpu_seconds()},
                       {"memory", most_memory()}};
  std::printf("%s\n", dump_json(report).c_str());
  std::ofstream(path, std::ios::binary) << tokenizer.value()->to_json();
  return 0;
}

}  // namespace
}  // namespace strand

int main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  if (args.size() >= 3 && args[0] == "encode") return strand::encode(args[1], args[2], args.size() > 3 ? args[3] : "");
  if (args.size() == 4 && args[0] == "train") return strand::train(args[1], args[2], args[3]);
  std::fprintf(stderr, "usage: tokenizer_bench encode TOKENIZER TEXTS [IDS] | train TEXTS VOCABULARY FILE\n");
  return 2;
}
