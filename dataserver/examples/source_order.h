// The order of a run over the sources of a job.
#pragma once

#include <cstdint>
#include <vector>

#include "dataserver/corpus/corpus_info.h"
#include "dataserver/sampler/sampler.h"
#include "shared/base/result.h"
#include "shared/job_spec/job_spec.h"
#include "shared/wire/messages.h"

namespace strand {

// `segments`: rows of a pass over each part of a joined data set, in their order; without parts one number, that of
// all. Weights are those of the sources, or segments^(1 / data.temperature); a part without segments gets none.
// kBadInput, naming source or key: a weight for a part without segments, or one too small to be drawn (whole_shares);
// data.mixture without rows_per_step.
Result<RowOrder> row_order(const DataSpec& data, const CorpusInfo& info, const std::vector<uint64_t>& segments,
                           int64_t rows_per_step);

// "sources" (names and rows of a pass) and "mixture" (the shares from each row on); "shift". Only those that are there.
std::vector<FingerprintField> order_fields(const DataSpec& data, const RowOrder& order);

}  // namespace strand
