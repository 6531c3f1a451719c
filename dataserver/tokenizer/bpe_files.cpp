#include "dataserver/tokenizer/bpe_files.h"

#include <algorithm>

#include "dataserver/tokenizer/bpe_tokenizer.h"
#include "dataserver/tokenizer/document.h"

namespace strand {
namespace {

// Lines "left right" in rank order. A line of "#version" is none of them; empty lines may stand at the end.
Status read_merges(const NamedText& merges, BpeReader* reader) {
  const FilePlace place(merges.origin);
  std::string_view rest = merges.text;
  while (rest.ends_with('\n') || rest.ends_with('\r')) rest.remove_suffix(1);
  for (size_t number = 1; !rest.empty(); ++number) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.starts_with("#version")) continue;
    if (line.ends_with('\r')) line.remove_suffix(1);
    const auto where = [number] { return concat("line ", number); };
    const std::vector<std::string> parts = split(line, ' ');
    if (parts.size() != 2) {
      return place.wrong(where(), "two tokens with one space between them", std::string(line));
    }
    STRAND_TRY(reader->add_merge(place, where, parts[0], parts[1]));
  }
  return {};
}

// The tokens that the config lists with their ids, then those it names; without names, every special one.
Status add_specials(const FilePlace& place, const TokenizerConfig& config, const SpecialTokens& specials,
                    BpeReader* reader) {
  const auto is_added = [&](int32_t id) {
    return std::any_of(reader->added().begin(), reader->added().end(),
                       [id](const AddedToken& token) { return token.id == id; });
  };
  for (const auto& [role, named] : config.named) {
    AddedToken token = named;
    token.id = reader->ids().at(token.content);  // name_specials has seen it
    if (!is_added(token.id)) STRAND_TRY(reader->add_token(place, role, std::move(token)));
  }
  for (const int32_t id :
       {specials.bos, specials.pad, specials.eos, specials.unknown, specials.cls, specials.sep, specials.mask}) {
    if (id < 0 || is_added(id)) continue;
    STRAND_TRY(
        reader->add_token(place, "special token", {.id = id, .content = reader->tokens()[static_cast<size_t>(id)]}));
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> parse_bpe_files(const NamedText& vocab, const NamedText& merges,
                                                   const TokenizerConfig& config) {
  const FilePlace place(vocab.origin);
  STRAND_ASSIGN(const Json vocabulary, parse_json(vocab.text, vocab.origin));
  STRAND_ASSIGN(std::vector<std::string> tokens, read_vocabulary(vocabulary, place, "token", false));
  BpeReader reader(std::move(tokens));
  STRAND_TRY(read_merges(merges, &reader));
  for (const AddedToken& token : config.added) {
    STRAND_TRY(reader.add_token(place, concat("added_tokens_decoder[\"", token.id, "\"]"), token));
  }
  STRAND_ASSIGN(const SpecialTokens specials, name_specials(place, reader.ids(), config, -1, {}));
  STRAND_TRY(add_specials(place, config, specials, &reader));
  BpeParts parts{.model = BpeModel(reader.tokens(), reader.merges(), -1, BpeModel::Alphabet::kBytes),
                 .words = {.alphabet = BpeModel::Alphabet::kBytes, .add_prefix_space = config.add_prefix_space},
                 .added = reader.added(),
                 .frame = byte_level_frame(reader.ids(), config, specials),
                 .specials = specials,
                 .document = {}};
  std::sort(parts.added.begin(), parts.added.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
  std::vector<std::string> texts = reader.tokens();
  for (const AddedToken& token : parts.added) {
    if (static_cast<size_t>(token.id) >= texts.size()) texts.push_back(token.content);
  }
  parts.document = tokenizer_document(parts.added, byte_level_document(parts.words.add_prefix_space, true), parts.frame,
                                      texts, byte_level_document(true, true), bpe_model_document(parts.model));
  return make_bpe_tokenizer(std::move(parts));
}

}  // namespace strand
