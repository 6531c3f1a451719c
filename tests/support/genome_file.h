// The bundled genome as text, read with zlib alone so that tests of small folders need no corpus reader.
#pragma once

#include <zlib.h>

#include <string>

namespace strand {

inline constexpr const char* kBundledGenome = "examples/ecoli/escherichia-coli-k12-mg1655.fna.gz";

// The letters of a gzip or plain FASTA file's records one after another; empty when the file is absent.
inline std::string read_genome_file(const char* path) {
  std::string bases;
  gzFile file = gzopen(path, "rb");
  if (file == nullptr) return bases;
  char line[4096];
  while (gzgets(file, line, sizeof line) != nullptr) {
    if (line[0] == '>') continue;
    for (const char* letter = line; *letter > ' '; ++letter) bases.push_back(*letter);
  }
  gzclose(file);
  return bases;
}

}  // namespace strand
