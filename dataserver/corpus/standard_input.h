// Sequences from standard input. A file of sequences is read twice, for its identity and for its records, so what comes
// is first kept on disk, without a name, for as long as the process lives.
#pragma once

#include <string>

#include "shared/base/result.h"

namespace strand {

// What standard input is called in messages and descriptions, and the path under which GenomeFile and identify_file
// find it once it is kept.
inline constexpr const char* kStandardInput = "standard input";

// Reads it to its end into a nameless file in `folder`, which exists. Once in a process. kBadInput when it is a
// terminal or the disk is full.
Status keep_standard_input(const std::string& folder);

// A new descriptor of what was kept, at its beginning; -1 when nothing was.
int open_standard_input();

}  // namespace strand
