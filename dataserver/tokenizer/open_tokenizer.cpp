#include "dataserver/tokenizer/open_tokenizer.h"

#include "dataserver/tokenizer/bpe_files.h"
#include "dataserver/tokenizer/list_tokenizer.h"
#include "dataserver/tokenizer/special_names.h"
#include "dataserver/tokenizer/tokenizer_json.h"
#include "shared/base/text.h"

namespace strand {
namespace {

constexpr std::string_view kTokenizer = "tokenizer.json", kVocabulary = "vocab.json", kMerges = "merges.txt",
                           kList = "vocab.txt";

// "" when the file is not there.
Result<std::string> read_if_there(FileSystem& fs, const std::string& path) {
  return fs.exists(path) ? fs.read_file(path) : Result<std::string>(std::string());
}

// The files whose names begin with `stem` ("models/opt/", "data/gpt2-").
Result<TokenizerConfig> read_config(FileSystem& fs, const std::string& stem) {
  const std::string config = stem + "tokenizer_config.json", map = stem + "special_tokens_map.json";
  STRAND_ASSIGN(const std::string config_text, read_if_there(fs, config));
  STRAND_ASSIGN(const std::string map_text, read_if_there(fs, map));
  return parse_tokenizer_config(config_text, config, map_text, map);
}

Result<std::unique_ptr<Tokenizer>> open_bpe_files(FileSystem& fs, const std::string& path, const std::string& stem,
                                                  const TokenizerConfig& config) {
  const std::string merges_path = concat(stem, kMerges);
  if (!fs.exists(merges_path)) {
    return bad_input(concat(path, ": it needs ", merges_path,
                            " beside it, which is not there; copy it there, or give"
                            " the model's tokenizer.json"));
  }
  STRAND_ASSIGN(const std::string vocab, fs.read_file(path));
  STRAND_ASSIGN(const std::string merges, fs.read_file(merges_path));
  return parse_bpe_files({vocab, path}, {merges, merges_path}, config);
}

Result<std::unique_ptr<Tokenizer>> open_file(FileSystem& fs, const std::string& path) {
  const auto stem_before = [&](std::string_view name) { return path.substr(0, path.size() - name.size()); };
  if (path.ends_with(kMerges)) {
    return bad_input(concat(path, ": the merges alone are no tokenizer; give the vocab.json beside it"));
  }
  for (const std::string_view name : {kVocabulary, kList, kTokenizer}) {
    if (!path.ends_with(name)) continue;
    const std::string stem = stem_before(name);
    STRAND_ASSIGN(const TokenizerConfig config, read_config(fs, stem));
    if (name == kVocabulary) return open_bpe_files(fs, path, stem, config);
    STRAND_ASSIGN(const std::string text, fs.read_file(path));
    return name == kList ? parse_vocab_txt(text, path, config) : read_tokenizer_json(text, path, config);
  }
  STRAND_ASSIGN(const std::string text, fs.read_file(path));
  return parse_tokenizer_json(text, path);
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> open_tokenizer(FileSystem& fs, const std::string& path) {
  const auto listed = fs.list_directory(path);
  if (!listed.ok()) return open_file(fs, path);
  for (const std::string_view name : {kTokenizer, kVocabulary, kList}) {
    const std::string file = concat(path, path.ends_with('/') ? "" : "/", name);
    if (fs.exists(file)) return open_file(fs, file);
  }
  return bad_input(concat(path,
                          ": expected a tokenizer.json, a vocab.json with merges.txt, or a vocab.txt in this folder,"
                          " found none; copy the model's tokenizer files there"));
}

Result<std::unique_ptr<Tokenizer>> open_named_tokenizer(FileSystem& fs, const std::string& name) {
  if (name == "nucleotide") return make_nucleotide_tokenizer();
  if (name.starts_with("overlapping:")) {
    const std::string k = name.substr(name.find(':') + 1);
    if (k.size() != 1 || k[0] < '1' || k[0] > '7') {
      return bad_input(concat("--tokenizer ", name, ": expected overlapping:K with K from 1 to 7"));
    }
    return make_overlapping_tokenizer(k[0] - '0');
  }
  if (name.starts_with("kmer:")) {
    const std::string k = name.substr(5);
    if (k.size() != 1 || k[0] < '1' || k[0] > '7') {
      return bad_input(concat("--tokenizer ", name, ": expected kmer:K with K from 1 to 7"));
    }
    return make_kmer_tokenizer(k[0] - '0');
  }
  auto opened = open_tokenizer(fs, name);
  if (!opened.ok() && !fs.exists(name)) {
    return bad_input(
        concat("--tokenizer ", name,
               ": expected nucleotide, kmer:K, overlapping:K, or a tokenizer.json, vocab.json, vocab.txt or folder of"
               " these (",
               opened.error().message(), ")"));
  }
  return opened;
}

Status write_tokenizer(FileSystem& fs, const std::string& folder, const Tokenizer& tokenizer) {
  STRAND_TRY(fs.make_directories(folder));
  for (const TokenizerFile& file : tokenizer.files()) {
    STRAND_TRY(write_file_atomically(fs, concat(folder, "/", file.name), file.content));
  }
  return {};
}

}  // namespace strand
