// The real disk's file view: a private read-only mapping.
#pragma once

#include <memory>
#include <string>

#include "shared/fs/file_system.h"

namespace strand {

// As FileSystem::view_file of the real disk.
Result<std::unique_ptr<FileView>> map_file(const std::string& path);

}  // namespace strand
