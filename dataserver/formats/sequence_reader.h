// One reader for every file of sequences: FASTA, .2bit, GenBank, EMBL; told by the first bytes, whatever it is called.
#pragma once

#include <string>
#include <string_view>

#include "dataserver/corpus/genome_file.h"
#include "dataserver/formats/features.h"
#include "shared/base/result.h"

namespace strand {

enum class SequenceFormat { kFasta, kTwoBit, kGenBank, kEmbl };

// What a file with these first bytes (decompressed, at least 4 KiB of a longer file) is; FASTA when nothing tells.
SequenceFormat sequence_format(std::string_view first);

// Reads the whole file into `sink`, and its features, if it has any, into `features` (null: they are only checked).
// Compression as GenomeFile; a .2bit is read plain only. kBadInput, naming file, place and mend, as the formats say
// (fasta_parser.h, two_bit.h, flat_file.h).
Status read_sequences_into(const std::string& path, FastaSink* sink, FeatureSink* features, const Progress& progress);

}  // namespace strand
