// UCSC's .2bit (genome.ucsc.edu/FAQ/FAQformat.html#format7): versions 0 (32-bit offsets) and 1 (64-bit), either byte
// order, N blocks and mask blocks.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "dataserver/corpus/fasta_parser.h"
#include "shared/base/result.h"

namespace strand {

// Random access to a file's bytes.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  virtual uint64_t size() const = 0;
  // Bytes [at, at + count), which exist.
  virtual Status read(uint64_t at, size_t count, char* out) const = 0;
};

// Whether a file begins like a .2bit; `bytes` may be shorter than the four that tell.
bool is_two_bit(std::string_view bytes);

// Every record in the order of the index, masked bases in lower case; `begin_record` is told line 0. Memory: the index,
// and the blocks of one record. kBadInput, "FILE: byte B: ..." with the mend: a version other than 0 or 1, reserved
// words that are not 0, no records, a name that is empty, no plain text or comes twice, a record without bases, blocks
// that overlap, fall or leave the record, records that share bytes, anything outside the file.
// `progress` in [0, 1]; false stops (kStopped).
Status read_two_bit(const std::string& file, const ByteSource& source, FastaSink* sink,
                    const std::function<bool(double)>& progress);

}  // namespace strand
