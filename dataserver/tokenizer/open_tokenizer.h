// Opens a tokenizer by the name of a file or folder, in any of the published layouts.
#pragma once

#include <memory>
#include <string>

#include "dataserver/tokenizer/tokenizer.h"
#include "shared/fs/file_system.h"

namespace strand {

// `path` is a tokenizer.json, a vocab.json (with the merges.txt beside it), a vocab.txt, or a folder, which is searched
// for these in this order. A file's name may begin with anything ("gpt2-vocab.json" goes with "gpt2-merges.txt"); a
// file of another name is read as a tokenizer.json. tokenizer_config.json and special_tokens_map.json beside the file
// (with the same beginning) say which tokens are special. kBadInput names the file and the mend.
Result<std::unique_ptr<Tokenizer>> open_tokenizer(FileSystem& fs, const std::string& path);

// As an option on the command line names it: "nucleotide", "kmer:K" with K from 1 to 7, or what open_tokenizer takes.
Result<std::unique_ptr<Tokenizer>> open_named_tokenizer(FileSystem& fs, const std::string& name);

// Writes tokenizer.files() into `folder`, which is made; each file atomically.
Status write_tokenizer(FileSystem& fs, const std::string& folder, const Tokenizer& tokenizer);

}  // namespace strand
