#include "dataserver/corpus/split.h"

#include <algorithm>
#include <cmath>

#include "dataserver/corpus/record_names.h"
#include "shared/base/text.h"

namespace strand {

namespace {

// Held-out intervals of every record; sorted and merged later.
using Intervals = std::vector<std::vector<BaseRun>>;

Result<uint64_t> find_record(const RecordNames& names, const std::string& name, const std::string& key) {
  auto found = names.find(name);
  if (!found.ok()) return found.error().with_context(key);
  return found;
}

Status add_file(const CorpusInfo& info, const std::vector<std::string>& files, const std::string& wanted,
                Intervals* intervals) {
  const auto found = std::find(files.begin(), files.end(), wanted);
  if (found == files.end()) {
    return bad_input(concat("data.holdout.files: '", wanted, "' is not in data.files (", join(files, ", "),
                            "); a held-out file must be listed there too"));
  }
  const auto index = static_cast<uint64_t>(found - files.begin());
  for (uint64_t i = 0; i < info.records.size(); ++i) {
    if (info.records[i].file == index) (*intervals)[i].push_back({i, 0, info.records[i].bases});
  }
  return {};
}

Status add_source(const CorpusInfo& info, const std::string& wanted, Intervals* intervals) {
  for (size_t part = 0; part < info.parts.size(); ++part) {
    if (info.parts[part].name != wanted) continue;
    const bool last = part + 1 == info.parts.size();
    const uint64_t end = last ? info.records.size() : info.parts[part + 1].first_record;
    for (uint64_t i = info.parts[part].first_record; i < end; ++i) {
      (*intervals)[i].push_back({i, 0, info.records[i].bases});
    }
    return {};
  }
  return bad_input(concat("data.holdout.sources: no source is named '", wanted, "'"));
}

Result<BaseRun> find_run(const CorpusInfo& info, const RecordNames& names, const HoldoutInterval& interval,
                         const std::string& key) {
  STRAND_ASSIGN(const uint64_t record, find_record(names, interval.record, key));
  const int64_t bases = info.records[record].bases;
  if (interval.begin < 0 || interval.begin >= interval.end || interval.end > bases) {
    return bad_input(concat(key, ": [", interval.begin, ", ", interval.end, ") of record '", interval.record,
                            "'; expected 0 <= begin < end <= ", bases, ", the record's length"));
  }
  return BaseRun{record, interval.begin, interval.end};
}

Result<Intervals> held_out_intervals(const CorpusInfo& info, const HoldoutSpec& holdout,
                                     const std::vector<std::string>& files) {
  const int ways = (holdout.fraction != 0 ? 1 : 0) + (holdout.records.empty() ? 0 : 1) +
                   (holdout.files.empty() ? 0 : 1) + (holdout.intervals.empty() ? 0 : 1) +
                   (holdout.sources.empty() ? 0 : 1);
  if (ways > 1) {
    return bad_input("data.holdout: give exactly one of fraction, records, files, intervals and sources");
  }
  Intervals intervals(info.records.size());
  if (holdout.fraction != 0) {
    if (!(holdout.fraction > 0 && holdout.fraction < 1)) {
      return bad_input(concat("data.holdout.fraction = ", holdout.fraction, "; expected more than 0 and less than 1"));
    }
    for (uint64_t i = 0; i < info.records.size(); ++i) {
      const int64_t bases = info.records[i].bases;
      const auto held = static_cast<int64_t>(std::floor(static_cast<double>(bases) * holdout.fraction));
      intervals[i].push_back({i, bases - held, bases});
    }
  }
  const RecordNames names(info);
  for (const std::string& name : holdout.records) {
    STRAND_ASSIGN(const uint64_t record, find_record(names, name, "data.holdout.records"));
    intervals[record].push_back({record, 0, info.records[record].bases});
  }
  for (const std::string& file : holdout.files) STRAND_TRY(add_file(info, files, file, &intervals));
  for (const std::string& source : holdout.sources) STRAND_TRY(add_source(info, source, &intervals));
  for (const HoldoutInterval& interval : holdout.intervals) {
    STRAND_ASSIGN(const BaseRun run, find_run(info, names, interval, "data.holdout.intervals"));
    intervals[run.record].push_back(run);
  }
  return intervals;
}

// Adds the parts of `runs` outside `holes` (both sorted and disjoint) to `out`.
void subtract(const std::vector<BaseRun>& runs, const std::vector<BaseRun>& holes, std::vector<BaseRun>* out) {
  size_t first = 0;
  for (const BaseRun& run : runs) {
    while (first < holes.size() && holes[first].end <= run.begin) ++first;
    int64_t at = run.begin;
    for (size_t i = first; i < holes.size() && holes[i].begin < run.end; ++i) {
      if (holes[i].begin > at) out->push_back({run.record, at, holes[i].begin});
      at = holes[i].end;
    }
    if (at < run.end) out->push_back({run.record, at, run.end});
  }
}

int64_t bases_of(const std::vector<BaseRun>& runs) {
  int64_t bases = 0;
  for (const BaseRun& run : runs) bases += run.length();
  return bases;
}

}  // namespace

Result<BaseRun> find_interval(const CorpusInfo& info, const HoldoutInterval& interval, const std::string& key) {
  return find_run(info, RecordNames(info), interval, key);
}

void merge_runs(std::vector<BaseRun>* runs) {
  std::sort(runs->begin(), runs->end(), [](const BaseRun& a, const BaseRun& b) {
    return a.record != b.record ? a.record < b.record : a.begin < b.begin;
  });
  std::vector<BaseRun> merged;
  for (const BaseRun& run : *runs) {
    if (run.length() <= 0) continue;
    if (!merged.empty() && run.record == merged.back().record && run.begin <= merged.back().end) {
      merged.back().end = std::max(merged.back().end, run.end);
    } else {
      merged.push_back(run);
    }
  }
  *runs = std::move(merged);
}

Result<Split> split_corpus(const CorpusInfo& info, const HoldoutSpec& holdout, const std::vector<std::string>& files,
                           const std::vector<BaseRun>& excluded) {
  STRAND_ASSIGN(Intervals held, held_out_intervals(info, holdout, files));
  Split split;
  split.excluded = excluded;
  auto next = excluded.begin();
  for (uint64_t i = 0; i < info.records.size(); ++i) {
    const RecordInfo& record = info.records[i];
    merge_runs(&held[i]);
    std::vector<BaseRun> excluded_here, known;
    while (next != excluded.end() && next->record == i) excluded_here.push_back(*next++);
    subtract(excluded_here, record.other, &known);
    split.excluded_bases += bases_of(known);
    std::vector<BaseRun> no_rows = record.other;  // of either part: other letters and excluded bases
    no_rows.insert(no_rows.end(), excluded_here.begin(), excluded_here.end());
    merge_runs(&no_rows);
    std::vector<BaseRun> kept_out = no_rows;  // from the training part
    kept_out.insert(kept_out.end(), held[i].begin(), held[i].end());
    merge_runs(&kept_out);
    subtract({{i, 0, record.bases}}, kept_out, &split.training);
    subtract(held[i], no_rows, &split.held_out);
  }
  split.training_bases = bases_of(split.training);
  split.held_out_bases = bases_of(split.held_out);
  if (split.training_bases == 0) {
    return bad_input(concat(
        "no training bases are left: ", with_thousands(info.bases), " bases, of them ", with_thousands(info.counts[4]),
        " other than A C G T and ", with_thousands(split.held_out_bases), " held out and ",
        with_thousands(split.excluded_bases), " excluded; hold out or exclude less, or give more data.files"));
  }
  if (!holdout.empty() && split.held_out_bases == 0) {
    return bad_input(concat("data.holdout holds out no base: ", info.records.size(), " records of ",
                            with_thousands(info.bases),
                            " bases; hold out a larger part, or one with A C G T that data.exclude leaves"));
  }
  return split;
}

}  // namespace strand
