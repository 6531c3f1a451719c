// Gathers the parts of a BPE tokenizer while a file is read, and refuses what does not fit together.
#pragma once

#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "dataserver/tokenizer/added_tokens.h"
#include "dataserver/tokenizer/bpe_model.h"
#include "dataserver/tokenizer/json_place.h"

namespace strand {

using TokenIds = std::unordered_map<std::string, int32_t>;  // by text

// Tokens by id from an object of texts and ids: texts not empty, each id from 0 on used once. `name` is the object's in
// errors ("model.vocab"). `ascii`: texts hold printable ASCII only, and no space.
Result<std::vector<std::string>> read_vocabulary(const Json& vocab, const FilePlace& place, const std::string& name,
                                                 bool ascii);

class BpeReader {
 public:
  explicit BpeReader(std::vector<std::string> tokens);

  const std::vector<std::string>& tokens() const { return tokens_; }
  const TokenIds& ids() const { return ids_; }  // of the vocabulary and the added tokens
  const std::vector<BpeMerge>& merges() const { return merges_; }
  const std::vector<AddedToken>& added() const { return added_; }

  // No merge may touch this id; -1 for none.
  void set_unknown(int32_t id) { unknown_ = id; }

  // The next merge in rank order. `where` is asked only when it is refused: a token outside the vocabulary, the unknown
  // token, or a merge that came before.
  using Where = std::function<std::string()>;
  Status add_merge(const FilePlace& place, const Where& where, const std::string& left, const std::string& right);

  // An added token is one of the vocabulary's, or the next id after all so far.
  Status add_token(const FilePlace& place, const std::string& where, AddedToken token);
  // A list of them as in tokenizer.json; null is empty.
  Status add_tokens(const FilePlace& place, const Json& list);

 private:
  std::vector<std::string> tokens_;
  TokenIds ids_;
  int32_t unknown_ = -1;
  std::vector<BpeMerge> merges_;
  PairMap seen_;
  std::vector<AddedToken> added_;
  size_t next_id_;
};

// One added token: content, and its flags where they are there. The id is `id` unless the entry has one.
Result<AddedToken> read_added_token(const FilePlace& place, const std::string& where, const Json& entry, int32_t id);

}  // namespace strand
