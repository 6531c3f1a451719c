#include "dataserver/commands.h"
#include "dataserver/corpus/corpus_reader.h"
#include "dataserver/dataset_tokenizer.h"
#include "dataserver/tokenizer/open_tokenizer.h"
#include "shared/base/text.h"
#include "shared/formats/json.h"

namespace strand {

namespace {

// Trains in a store of its own in `folder`.
Result<std::unique_ptr<Tokenizer>> train_in(FileSystem* fs, const std::string& folder,
                                            const TokenizerTrainOptions& options, Split* split) {
  STRAND_ASSIGN(const DataHome home, open_data_home(fs, folder, false));
  STRAND_ASSIGN(CorpusInfo info, build_corpus(home.store.get(), options.files, [](double) { return true; }));
  STRAND_ASSIGN(*split, split_corpus(info, options.holdout, options.files));
  CorpusReader reader(home.store.get(), std::move(info));
  TokenizerSpec spec;
  spec.kind = TokenizerKind::kBpe;
  spec.vocabulary = options.vocabulary;
  spec.max_length = options.max_length;
  return open_tokenizer(home, spec, &reader, *split, "");
}

}  // namespace

Result<CommandReport> tokenizer_train(const TokenizerTrainOptions& options) {
  if (options.output.empty()) return bad_input("--output is missing; give the tokenizer.json to write");
  if (options.max_length < 2 || options.max_length > 255) {
    return bad_input(concat("--max-length ", options.max_length, "; expected 2 to 255 letters"));
  }
  const auto fs = make_posix_file_system();
  const std::string folder = options.output + ".building";
  STRAND_TRY(fs->remove_tree(folder));
  Split split;
  auto trained = train_in(fs.get(), folder, options, &split);
  const Status removed = fs->remove_tree(folder);
  if (!trained.ok()) return trained.error();
  if (!removed.ok()) return removed.error();
  const Tokenizer& tokenizer = **trained;
  STRAND_TRY(write_file_atomically(*fs, options.output, tokenizer.to_json()));
  const Json json = {{"tokenizer", options.output},
                     {"vocabulary", tokenizer.vocabulary()},
                     {"fingerprint", tokenizer.fingerprint().hex()},
                     {"training_bases", split.training_bases},
                     {"held_out_bases", split.held_out_bases}};
  return CommandReport{concat(options.output, ": ", tokenizer.vocabulary(), " ids from ",
                              with_thousands(split.training_bases), " bases\n"),
                       dump_json(json)};
}

Result<CommandReport> tokenizer_encode(const TokenizerEncodeOptions& options) {
  STRAND_ASSIGN(const auto tokenizer, open_named_tokenizer(*make_posix_file_system(), options.tokenizer));
  std::vector<int32_t> ids;
  tokenizer->encode(options.text, &ids);
  std::string text;
  for (size_t i = 0; i < ids.size(); ++i) text += concat(i == 0 ? "" : " ", ids[i]);
  return CommandReport{text + "\n", dump_json({{"ids", ids}})};
}

Result<CommandReport> tokenizer_decode(const TokenizerDecodeOptions& options) {
  STRAND_ASSIGN(const auto tokenizer, open_named_tokenizer(*make_posix_file_system(), options.tokenizer));
  for (const int32_t id : options.ids) {
    if (id < 0 || id >= tokenizer->vocabulary()) {
      return bad_input(concat("id ", id, "; expected 0 to ", tokenizer->vocabulary() - 1, ", the vocabulary of ",
                              options.tokenizer));
    }
  }
  const std::string text = tokenizer->decode(options.ids);
  return CommandReport{text + "\n", dump_json({{"text", text}})};
}

}  // namespace strand
