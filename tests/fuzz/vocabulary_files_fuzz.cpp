// Any bytes as the files of a vocabulary, cut at zero bytes. Beginning with a brace: vocab.json, merges.txt,
// tokenizer_config.json, special_tokens_map.json; else: vocab.txt and the last two. Refused with an error, or a
// tokenizer that encodes, decodes, and is the same when its own files are read.
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "dataserver/tokenizer/bpe_files.h"
#include "dataserver/tokenizer/list_tokenizer.h"
#include "shared/base/check.h"
#include "shared/base/text.h"
#include "tests/fuzz/fuzz_main.h"

namespace strand {
namespace {

using Files = std::map<std::string, std::string>;

Result<std::unique_ptr<Tokenizer>> read(const Files& files) {
  const auto text = [&files](const char* name) {
    const auto found = files.find(name);
    return found == files.end() ? std::string_view() : std::string_view(found->second);
  };
  STRAND_ASSIGN(const TokenizerConfig config, parse_tokenizer_config(text("tokenizer_config.json"), "config",
                                                                     text("special_tokens_map.json"), "map"));
  if (!files.contains("vocab.json")) return parse_vocab_txt(text("vocab.txt"), "vocab.txt", config);
  return parse_bpe_files({text("vocab.json"), "vocab.json"}, {text("merges.txt"), "merges.txt"}, config);
}

Files files_of(std::string_view text) {
  std::vector<std::string> names = {"vocab.txt", "tokenizer_config.json", "special_tokens_map.json"};
  if (text.starts_with('{')) names = {"vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json"};
  const std::vector<std::string> parts = split(text, '\0');
  Files files;
  for (size_t i = 0; i < parts.size() && i < names.size(); ++i) files[names[i]] = parts[i];
  return files;
}

void check(std::string_view text) {
  const auto tokenizer = read(files_of(text));
  if (!tokenizer.ok()) {
    STRAND_CHECK(tokenizer.error().code() == ErrorCode::kBadInput, tokenizer.error().message());
    return;
  }
  const Tokenizer& parsed = *tokenizer.value();
  std::vector<int32_t> ids;
  parsed.encode(text, &ids);
  parsed.encode("ACGTNACGT [MASK]</s> acgt\xff", &ids);
  ids.insert(ids.end(), parsed.frame().prefix.begin(), parsed.frame().prefix.end());
  ids.insert(ids.end(), parsed.frame().suffix.begin(), parsed.frame().suffix.end());
  for (const int32_t id : ids) STRAND_CHECK(id >= 0 && id < parsed.vocabulary());
  parsed.decode(ids);
  Files own;
  for (TokenizerFile& file : parsed.files()) own[file.name] = std::move(file.content);
  for (const bool from_json : {false, true}) {
    const auto again = from_json ? parse_tokenizer_json(own["tokenizer.json"], "tokenizer.json") : read(own);
    STRAND_CHECK(again.ok(), again.error().message());
    STRAND_CHECK(again.value()->fingerprint() == parsed.fingerprint());
    // A class that only tokenizer.json can describe has no frame in the other files.
    const bool described =
        from_json || own["tokenizer_config.json"].find("PreTrainedTokenizerFast") == std::string::npos;
    STRAND_CHECK(!described || again.value()->frame() == parsed.frame());
  }
}

}  // namespace
}  // namespace strand

int fuzz_one(const uint8_t* data, size_t size) {
  strand::check(std::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
