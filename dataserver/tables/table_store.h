// Tables in the key-value store (corpus_store.h has its other keys). A table is kept under the bytes of its file and
// the columns that were read:
//   "table/ID"          TableInfo, written last: without it nothing of the table is visible
//   "examples/ID/" row  encode_example (the row 8 bytes, big-endian)
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "dataserver/corpus/genome_file.h"
#include "shared/base/hash.h"
#include "shared/base/result.h"
#include "shared/store/store.h"

namespace strand {

struct TableColumns {
  std::string sequence;
  std::vector<std::string> labels;  // none: examples without labels
};

struct Example {
  int64_t line = 0;                 // of the file
  std::string sequence;             // A C G T in upper case, N for every other IUPAC code; not empty
  std::vector<std::string> labels;  // as written, without blanks around; one for each label column
  bool operator==(const Example&) const = default;
};

struct TableInfo {
  std::string id;
  std::string path;  // as it was read
  uint64_t rows = 0;
  uint64_t letters = 0;  // of all sequences
  Digest128 content;     // of sequences and labels in order: the same whatever the format or the compression
};

// The table of this file: found in the store when the same bytes were read before (of a file that the store remembers,
// known_files.h, nothing is read), else read. Stopped through `progress`, nothing of it becomes visible. kBadInput,
// naming file and line: what read_table refuses, an empty sequence, a letter that is no IUPAC code of DNA.
Result<TableInfo> build_table(Store* store, const std::string& path, const TableColumns& columns,
                              const Progress& progress);
// The same without reading rows: kNotFound when the store lacks it.
Result<TableInfo> find_table(Store* store, const std::string& path, const TableColumns& columns);
// All complete tables of the store, by id.
Result<std::vector<TableInfo>> list_tables(Store* store);

Result<Example> read_example(Store* store, const TableInfo& table, uint64_t row);
// Every example in order, until an error.
Status scan_examples(Store* store, const TableInfo& table,
                     const std::function<Status(uint64_t row, const Example& example)>& visit);

// Reads every example again and compares rows, letters and content hash with the description. kCorrupt names what
// differs; kStopped through `progress`.
Status verify_table(Store* store, const TableInfo& table, const Progress& progress);

std::string encode_example(const Example& example);
// kCorrupt for bytes that encode_example cannot have written.
Result<Example> decode_example(std::string_view bytes);

}  // namespace strand
