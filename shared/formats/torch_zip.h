// pytorch_model.bin as torch 1.6 and later write it: a zip archive of PREFIX/data.pkl (pickle.h), PREFIX/data/KEY for
// each storage, and a few notes. Nothing in it is executed.
#pragma once

#include <memory>
#include <string>

#include "shared/base/result.h"
#include "shared/formats/tensor_source.h"
#include "shared/fs/file_system.h"

namespace strand {

// One file of a dictionary of tensors. Stored entries are read in place, deflated ones unpacked when a tensor of theirs
// is read. kBadInput for a pickle without an archive (torch before 1.6; says how to mend it), an archive without
// data.pkl, big-endian numbers, a storage that is missing or of another size than the pickle says.
Result<std::unique_ptr<TensorSource>> open_torch_zip(FileSystem& fs, const std::string& path);
Result<std::unique_ptr<TensorSource>> torch_zip_source(std::unique_ptr<FileView> file, const std::string& origin);

}  // namespace strand
