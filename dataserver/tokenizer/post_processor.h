// The "post_processor" of a tokenizer.json: the special tokens around one sequence.
#pragma once

#include <string>
#include <vector>

#include "dataserver/tokenizer/bpe_reader.h"
#include "dataserver/tokenizer/tokenizer.h"

namespace strand {

// Reads TemplateProcessing, RobertaProcessing, BertProcessing, ByteLevel (which puts nothing), a Sequence of these, and
// null. Every special token must be in `ids` under the number that the file gives it.
Result<SequenceFrame> read_frame(const FilePlace& place, const Json& processor, const TokenIds& ids);

// A TemplateProcessing that puts the frame around a sequence, and around each of a pair the way BERT does; null when
// the frame is empty. `texts` by id.
Json frame_document(const SequenceFrame& frame, const std::vector<std::string>& texts);

}  // namespace strand
