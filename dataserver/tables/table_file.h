// A table on disk, plain, gzip or xz.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "dataserver/corpus/genome_file.h"
#include "dataserver/tables/table_parser.h"
#include "shared/base/result.h"

namespace strand {

// The path without ".gz", ".bgz" or ".xz" at its end.
std::string_view without_compression(std::string_view path);

// By extension, before that of the compression: .csv, .tsv, .jsonl or .ndjson, .fa, .fasta or .fna. kBadInput for
// others.
Result<TableFormat> table_format(const std::string& path);

// Reads the whole table into `sink`. kBadInput also for what is absent, unreadable, empty or damaged compression.
// `progress` in [0, 1]; false stops (kStopped).
Status read_table(const std::string& path, const std::vector<std::string>& columns, TableSink* sink,
                  const Progress& progress);

// The values of a column, each once: in the order of numbers when all are numbers, else of their bytes. kBadInput when
// there are more than `most`: then it is no column of classes.
Result<std::vector<std::string>> distinct_values(const std::string& path, const std::string& column, size_t most,
                                                 const Progress& progress);

}  // namespace strand
