#include "dataserver/corpus/exclusions.h"

#include <algorithm>
#include <charconv>
#include <string_view>

#include "dataserver/corpus/genome_file.h"
#include "dataserver/corpus/record_names.h"
#include "dataserver/formats/lines.h"
#include "shared/base/text.h"

namespace strand {

namespace {

constexpr size_t kLongestLine = size_t{1} << 20;
constexpr std::string_view kBlanks = " \t";

// The next field of a line, which loses it.
std::string_view take_field(std::string_view* line) {
  line->remove_prefix(std::min(line->find_first_not_of(kBlanks), line->size()));
  const std::string_view field = line->substr(0, line->find_first_of(kBlanks));
  line->remove_prefix(field.size());
  return field;
}

bool to_number(std::string_view text, int64_t* value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

class BedReader {
 public:
  BedReader(const CorpusInfo& info, std::string file, std::vector<BaseRun>* runs)
      : info_(info), file_(std::move(file)), runs_(runs), names_(info) {}

  Status read() {
    STRAND_ASSIGN(const auto file, GenomeFile::open(file_));
    std::string buffer(size_t{1} << 18, '\0');
    while (true) {
      STRAND_ASSIGN(const size_t count, file->read(buffer.data(), buffer.size()));
      if (count == 0) break;
      STRAND_TRY(feed(std::string_view(buffer).substr(0, count)));
    }
    if (!pending_.empty()) STRAND_TRY(line(pending_));
    if (intervals_ == 0) return bad_input(concat(file_, ": no intervals; expected lines of record, begin and end"));
    return {};
  }

 private:
  Status feed(std::string_view bytes) {
    const auto too_long = [&] { return at(concat("longer than ", human_bytes(kLongestLine), ": this is no BED")); };
    return feed_lines(bytes, kLongestLine, &pending_, too_long, [&](std::string_view text) -> Status {
      STRAND_TRY(line(text));
      ++line_;
      return {};
    });
  }

  Status line(std::string_view text) {
    if (text.ends_with('\r')) text.remove_suffix(1);
    if (trim(text).empty() || text.starts_with('#')) return {};
    const std::string_view whole = text;
    const std::string name(take_field(&text));
    if (name == "track" || name == "browser") return {};
    int64_t begin = 0, end = 0;
    if (!to_number(take_field(&text), &begin) || !to_number(take_field(&text), &end)) {
      return at(concat("expected a record, its begin and its end between tabs, found '", whole.substr(0, 80), "'"));
    }
    ++intervals_;
    const auto record = names_.find(name);
    if (!record.ok()) return at(concat(record.error().message(), " The names must be those of data.files"));
    const int64_t bases = info_.records[*record].bases;
    if (begin < 0 || begin > end || end > bases) {
      return at(concat("expected 0 <= begin <= end <= ", bases, ", the length of '", name, "'; found ", begin, " and ",
                       end, ": mend the line, or give the genome that the intervals were made for"));
    }
    if (begin < end) runs_->push_back({*record, begin, end});
    return {};
  }

  Error at(const std::string& message) const { return bad_input(concat(file_, ": line ", line_, ": ", message)); }

  const CorpusInfo& info_;
  std::string file_;
  std::vector<BaseRun>* runs_;
  RecordNames names_;
  std::string pending_;  // of the line that has not ended
  int64_t line_ = 1;
  int64_t intervals_ = 0;
};

}  // namespace

Result<std::vector<BaseRun>> excluded_runs(const CorpusInfo& info, const ExcludeSpec& exclude) {
  std::vector<BaseRun> runs;
  for (const std::string& file : exclude.files) STRAND_TRY(BedReader(info, file, &runs).read());
  for (const HoldoutInterval& interval : exclude.intervals) {
    STRAND_ASSIGN(const BaseRun run, find_interval(info, interval, "data.exclude"));
    runs.push_back(run);
  }
  merge_runs(&runs);
  return runs;
}

Result<Split> split_data(const CorpusInfo& info, const DataSpec& data) {
  STRAND_ASSIGN(const std::vector<BaseRun> excluded, excluded_runs(info, data.exclude));
  return split_corpus(info, data.holdout, data.all_files(), excluded);
}

}  // namespace strand
