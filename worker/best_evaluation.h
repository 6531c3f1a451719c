// Which evaluation of a finetuning run is the best so far, and when to end early. Pure: what is kept of the past
// travels with every checkpoint (BestEvaluation), so a resumed run chooses as an undisturbed one.
#pragma once

#include <string>

#include "shared/base/ids.h"
#include "shared/wire/messages.h"

namespace strand {

// Whether `metric` is better when smaller: errors and the loss.
bool smaller_chooses(const std::string& metric);

// What is known after an evaluation at `step`. The first is the best so far; a later one only when strictly better. A
// metric that is not defined (NaN) is worse than any number. Another metric than before: the past counts nothing.
BestEvaluation after_evaluation(const BestEvaluation& before, const std::string& metric, Step step, double value);

// patience > 0 evaluations in a row were no better: the run ends.
bool out_of_patience(const BestEvaluation& best, int64_t patience);

}  // namespace strand
