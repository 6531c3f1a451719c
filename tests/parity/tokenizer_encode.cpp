// tokenizer_encode TOKENIZER TEXTS IDS [FOLDER]: encodes the texts of one file with the tokenizer of a file or folder,
// or with "nucleotide"; writes the tokenizer's own files into FOLDER.
// TEXTS: tests/support/text_list.h. IDS: for each text the number of its ids, then the ids (all int32). One line of
// JSON on standard output: bytes, tokens, seconds (encoding alone), and the tokenizer's vocabulary, frame and special
// tokens. The Strand side of tokenizer_parity.py.
#include <chrono>
#include <cstdio>
#include <fstream>

#include "dataserver/tokenizer/open_tokenizer.h"
#include "shared/formats/json.h"
#include "tests/support/text_list.h"

namespace strand {
namespace {

Json described(const Tokenizer& tokenizer) {
  const SpecialTokens s = tokenizer.specials();
  const Json specials = {{"unk", s.unknown}, {"cls", s.cls}, {"sep", s.sep}, {"pad", s.pad},
                         {"mask", s.mask},   {"bos", s.bos}, {"eos", s.eos}};
  return {{"vocabulary", tokenizer.vocabulary()},
          {"prefix", tokenizer.frame().prefix},
          {"suffix", tokenizer.frame().suffix},
          {"specials", specials}};
}

int run(const std::string& name, const std::string& texts_path, const std::string& ids_path,
        const std::string& folder) {
  const auto fs = make_posix_file_system();
  const Result<std::unique_ptr<Tokenizer>> tokenizer =
      name == "nucleotide" ? make_nucleotide_tokenizer() : open_tokenizer(*fs, name);
  if (!tokenizer.ok()) {
    std::fprintf(stderr, "%s\n", tokenizer.error().message().c_str());
    return exit_code(tokenizer.error());
  }
  const std::string file = read_text_list(texts_path);
  const std::vector<std::string_view> texts = cut_text_list(file);
  std::vector<std::vector<int32_t>> all(texts.size());
  size_t bytes = 0, tokens = 0;
  const auto start = std::chrono::steady_clock::now();
  for (size_t i = 0; i < texts.size(); ++i) {
    tokenizer.value()->encode(texts[i], &all[i]);
    bytes += texts[i].size();
    tokens += all[i].size();
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  std::ofstream out(ids_path, std::ios::binary);
  for (const std::vector<int32_t>& ids : all) {
    const int32_t count = static_cast<int32_t>(ids.size());
    out.write(reinterpret_cast<const char*>(&count), sizeof count);
    out.write(reinterpret_cast<const char*>(ids.data()), static_cast<std::streamsize>(ids.size() * sizeof(int32_t)));
  }
  if (!folder.empty()) {
    const Status written = write_tokenizer(*fs, folder, *tokenizer.value());
    if (!written.ok()) {
      std::fprintf(stderr, "%s\n", written.error().message().c_str());
      return exit_code(written.error());
    }
  }
  Json report = described(*tokenizer.value());
  report["bytes"] = bytes;
  report["tokens"] = tokens;
  report["seconds"] = seconds.count();
  std::printf("%s\n", dump_json(report).c_str());
  return out.good() ? 0 : 2;
}

}  // namespace
}  // namespace strand

int main(int argc, char** argv) {
  if (argc == 4 || argc == 5) return strand::run(argv[1], argv[2], argv[3], argc == 5 ? argv[4] : "");
  std::fprintf(stderr, "usage: tokenizer_encode TOKENIZER TEXTS IDS [FOLDER] (see tests/parity/tokenizer_parity.py)\n");
  return 2;
}
