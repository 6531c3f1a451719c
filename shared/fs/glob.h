// Names with wildcards: * ? [...] within a path's parts, as the shell takes them.
#pragma once

#include <string>
#include <vector>

#include "shared/fs/file_system.h"

namespace strand {

// The paths that `pattern` names, sorted; only itself when it has no wildcard or something is called just that; none
// when nothing fits. A name that begins with a dot is named only by a part that does.
std::vector<std::string> expand_glob(FileSystem& fs, const std::string& pattern);

// The same for several, in their order. kBadInput, with the pattern, when one names nothing.
Result<std::vector<std::string>> expand_globs(FileSystem& fs, const std::vector<std::string>& patterns);

}  // namespace strand
