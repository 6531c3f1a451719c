// Sequences that come more than once within one data set, on either strand.
#pragma once

#include <cstdint>

#include "dataserver/corpus/corpus_info.h"
#include "dataserver/tables/table_store.h"
#include "shared/base/result.h"
#include "shared/store/store.h"

namespace strand {

// How many records repeat an earlier one. Only records as long as another one are read.
Result<uint64_t> duplicate_records(Store* store, const CorpusInfo& info);
// How many rows repeat an earlier one's sequence, whatever their labels. Reads every row; 16 bytes of memory each, and
// a hash table's own.
Result<uint64_t> duplicate_rows(Store* store, const TableInfo& table);

}  // namespace strand
