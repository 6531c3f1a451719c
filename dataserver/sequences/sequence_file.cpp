#include "dataserver/sequences/sequence_file.h"

#include <vector>

#include "dataserver/corpus/alphabet.h"
#include "dataserver/corpus/fasta_parser.h"
#include "dataserver/corpus/genome_file.h"
#include "dataserver/tables/table_file.h"
#include "shared/base/text.h"

namespace strand {
namespace {

using Visit = std::function<Status(NamedSequence sequence)>;

Status hand_on(const std::string& path, NamedSequence sequence, const Visit& visit) {
  const auto at = [&](const std::string& message) {
    return bad_input(concat(path, ": line ", sequence.line, ": ", sequence.name, ": ", message));
  };
  if (sequence.bases.empty()) return at("an empty sequence; expected bases");
  if (const Status bases = normalise_bases(&sequence.bases); !bases.ok()) return at(bases.error().message());
  return visit(std::move(sequence));
}

class FastaRecords final : public FastaSink {
 public:
  FastaRecords(const std::string& path, const Visit& visit) : path_(path), visit_(visit) {}
  Status begin_record(const std::string& name, int64_t line) override {
    record_ = {name, line, {}};
    return {};
  }
  Status bases(std::string_view letters) override {
    record_.bases += letters;
    return {};
  }
  Status end_record() override { return hand_on(path_, std::move(record_), visit_); }

 private:
  const std::string& path_;
  const Visit& visit_;
  NamedSequence record_;
};

class TableRecords final : public TableSink {
 public:
  TableRecords(const std::string& path, const Visit& visit) : path_(path), visit_(visit) {}
  Status row(TableRow row) override {
    ++rows_;
    std::string name = row.fields.size() > 1 ? row.fields[1] : std::to_string(rows_);
    return hand_on(path_, {std::move(name), row.line, std::string(trim(row.fields[0]))}, visit_);
  }

 private:
  const std::string& path_;
  const Visit& visit_;
  int64_t rows_ = 0;
};

// A sequence a line; blank lines do not count.
Status read_lines(const std::string& path, const Visit& visit, const Progress& progress) {
  STRAND_ASSIGN(const auto file, GenomeFile::open(path));
  std::vector<char> buffer(size_t{1} << 18);
  std::string line;
  int64_t number = 0, sequences = 0;
  const auto end_line = [&]() -> Status {
    ++number;
    const std::string bases(trim(line));
    line.clear();
    if (bases.empty()) return {};
    return hand_on(path, {std::to_string(++sequences), number, bases}, visit);
  };
  while (true) {
    STRAND_ASSIGN(const size_t count, file->read(buffer.data(), buffer.size()));
    for (size_t i = 0; i < count; ++i) {
      if (buffer[i] != '\n') {
        line += buffer[i];
      } else {
        STRAND_TRY(end_line());
      }
    }
    if (count == 0) break;
    if (!progress(static_cast<double>(file->bytes_read()) / static_cast<double>(file->bytes_total()))) {
      return Error(ErrorCode::kStopped, concat("stopped while reading ", path));
    }
  }
  STRAND_TRY(end_line());
  if (sequences == 0) return bad_input(concat(path, ": no sequences; expected one a line"));
  return {};
}

}  // namespace

Status normalise_bases(std::string* letters) {
  for (size_t i = 0; i < letters->size(); ++i) {
    char& letter = (*letters)[i];
    switch (letter_kind(letter)) {
      case LetterKind::kBase: letter = to_upper(letter); break;
      case LetterKind::kAmbiguous: letter = 'N'; break;
      case LetterKind::kOther:
        return bad_input(concat("letter ", i + 1, " is '", letter, "'; expected IUPAC codes of DNA",
                                to_upper(letter) == 'U' ? ": write RNA's U as T" : ""));
    }
  }
  return {};
}

Status read_sequences(const SequenceFile& file, const Visit& visit, const std::function<bool(double)>& progress) {
  if (without_compression(file.path).ends_with(".txt")) return read_lines(file.path, visit, progress);
  const auto format = table_format(file.path);
  if (!format.ok()) {
    return bad_input(concat(file.path, ": expected sequences in a .fa, .fasta, .fna, .csv, .tsv, .jsonl, .ndjson or ",
                            ".txt file, or one of these with .gz or .xz; rename it, or convert it"));
  }
  if (*format == TableFormat::kFasta) {
    FastaRecords sink(file.path, visit);
    return read_fasta_file(file.path, &sink, progress);
  }
  std::vector<std::string> columns = {file.column};
  if (!file.name_column.empty()) columns.push_back(file.name_column);
  TableRecords sink(file.path, visit);
  return read_table(file.path, columns, &sink, progress);
}

}  // namespace strand
