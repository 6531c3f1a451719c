// What the workers of a run must have recorded of their rows (data_audit in dataserver/commands.h compares).
#pragma once

#include <cstdint>

#include "dataserver/dataset.h"

namespace strand {

// RowAudit (shared/base/row_audit.h) over training rows [first_row, first_row + rows) of the run with this seed.
Result<uint64_t> audit_rows(const Dataset& dataset, uint64_t seed, uint64_t first_row, uint64_t rows);

}  // namespace strand
