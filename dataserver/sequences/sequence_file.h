// Sequences to be read by a model, from the files people have them in.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "shared/base/result.h"

namespace strand {

struct NamedSequence {
  std::string name;   // FASTA: the header's first word; else the name column's, or the row's number from 1
  int64_t line = 0;   // of the file
  std::string bases;  // A C G T in upper case, N for every other IUPAC code; not empty
};

struct SequenceFile {
  std::string path;
  std::string column = "sequence";  // of the bases, in a table
  std::string name_column{};        // of the names; empty: rows are numbered
};

// Every sequence in order. By extension, each also with .gz or .xz: .fa .fasta .fna; .csv .tsv .jsonl .ndjson with
// their columns (dataserver/tables/table_parser.h); .txt with a sequence a line. kBadInput names file and line: what
// the formats refuse, an empty sequence, a letter that is no IUPAC code of DNA. `visit` may end it with an error of its
// own; `progress` in [0, 1], false stops (kStopped).
Status read_sequences(const SequenceFile& file, const std::function<Status(NamedSequence sequence)>& visit,
                      const std::function<bool(double)>& progress);

// A C G T in upper case, N for the other IUPAC codes; kBadInput names the first letter that is none of them.
Status normalise_bases(std::string* letters);

}  // namespace strand
