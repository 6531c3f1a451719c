// What the parts of a checkpoint make together: the whole model once, and its digests.
#pragma once

#include <vector>

#include "shared/base/ids.h"
#include "shared/base/result.h"
#include "shared/job_spec/parameter_table.h"
#include "shared/plan/model_digest.h"
#include "shared/wire/messages.h"

namespace strand {

// The digests of the checkpoint of `step` that these parts make: as a part says them that knows them, else from the
// digests of the blocks. kCorrupt, with the reason, for parts that are no checkpoint of the job's table: an element in
// none of them or in two, ranges that are not whole blocks, digests of other blocks than the ranges name.
Result<ModelDigests> digests_of_parts(const std::vector<ParameterInfo>& table, const std::vector<PartSaved>& parts,
                                      Step step);

}  // namespace strand
