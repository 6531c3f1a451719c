// Identities of files that were read before: a data set of any size opens without reading its files again.
#pragma once

#include <string>

#include "dataserver/corpus/genome_file.h"
#include "shared/base/result.h"
#include "shared/store/store.h"

namespace strand {

// As identify_file. Where the store remembers the file ("files/" and the hash of its path: size, inode, times of
// modification and change, identity), and it is as it was then, without reading it. A file that was changed in the two
// seconds before it was read is not remembered: a change in the same moment would leave its times as they are.
// `remember`: whether the store may be written; failing to is no error.
Result<FileIdentity> identify_known_file(Store* store, const std::string& path, bool remember);

}  // namespace strand
