// What `strand data inspect` says about the order of a job's training rows.
#pragma once

#include <string>

#include "dataserver/dataset.h"
#include "shared/formats/json.h"

namespace strand {

// The sources with their shares and passes over the run, where there are several; how well the first rows of the run
// are shuffled (sampler/shuffle_quality.h), of each source by itself. No row is read, only numbered. Adds "sources" and
// "shuffle" to *json and lines to *text.
void describe_order(const Dataset& dataset, const JobSpec& job, Json* json, std::string* text);

}  // namespace strand
