#include "dataserver/formats/sequence_reader.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "dataserver/formats/flat_file.h"
#include "dataserver/formats/two_bit.h"
#include "shared/base/text.h"

namespace strand {

namespace {

constexpr size_t kBuffer = size_t{1} << 18;
constexpr size_t kSniffed = 4096;

class StoredBytes final : public ByteSource {
 public:
  explicit StoredBytes(const GenomeFile& file) : file_(file) {}
  uint64_t size() const override { return file_.bytes_total(); }
  Status read(uint64_t at, size_t count, char* out) const override { return file_.read_stored(at, count, out); }

 private:
  const GenomeFile& file_;
};

// The first bytes are in `buffer`, `count` of them.
template <class Parser>
Status parse(GenomeFile* file, Parser* parser, std::vector<char>* buffer, size_t count, const std::string& path,
             const Progress& progress) {
  while (count > 0) {
    const Status fed = parser->feed({buffer->data(), count});
    if (!fed.ok()) return file->blame(fed.error());
    if (!progress(static_cast<double>(file->bytes_read()) / static_cast<double>(file->bytes_total()))) {
      return Error(ErrorCode::kStopped, concat("stopped while reading ", path));
    }
    STRAND_ASSIGN(count, file->read(buffer->data(), buffer->size()));
  }
  return parser->finish();
}

}  // namespace

SequenceFormat sequence_format(std::string_view first) {
  if (is_two_bit(first)) return SequenceFormat::kTwoBit;
  const std::string_view text = first.substr(std::min(first.find_first_not_of(" \t\r\n"), first.size()));
  if (text.starts_with(">")) return SequenceFormat::kFasta;
  if (text.starts_with("ID   ")) return SequenceFormat::kEmbl;
  // A release file has some lines about itself before its first record.
  if (text.starts_with("LOCUS ") || text.substr(0, kSniffed).find("\nLOCUS       ") != std::string_view::npos) {
    return SequenceFormat::kGenBank;
  }
  return SequenceFormat::kFasta;
}

Status read_sequences_into(const std::string& path, FastaSink* sink, FeatureSink* features, const Progress& progress) {
  STRAND_ASSIGN(const auto file, GenomeFile::open(path));
  std::vector<char> buffer(kBuffer);
  size_t count = 0;
  while (count < kSniffed) {
    STRAND_ASSIGN(const size_t more, file->read(buffer.data() + count, buffer.size() - count));
    if (more == 0) break;
    count += more;
  }
  const SequenceFormat format = sequence_format({buffer.data(), count});
  if (format == SequenceFormat::kTwoBit) {
    if (file->compressed()) {
      return bad_input(concat(path, ": a compressed .2bit file; expected it plain, since it is read in any order: ",
                              "decompress it (gunzip or unxz)"));
    }
    return read_two_bit(path, StoredBytes(*file), sink, progress);
  }
  if (format == SequenceFormat::kFasta) {
    FastaParser parser(path, sink);
    return parse(file.get(), &parser, &buffer, count, path, progress);
  }
  const auto parser = FlatFileParser::make(format == SequenceFormat::kEmbl ? FlatFormat::kEmbl : FlatFormat::kGenBank,
                                           path, sink, features);
  return parse(file.get(), parser.get(), &buffer, count, path, progress);
}

}  // namespace strand
