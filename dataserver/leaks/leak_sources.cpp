#include "dataserver/leaks/leak_sources.h"

#include <algorithm>

#include "dataserver/corpus/corpus_reader.h"
#include "dataserver/corpus/exclusions.h"
#include "dataserver/corpus/joined_corpus.h"
#include "dataserver/examples/task_split.h"
#include "dataserver/examples/windows.h"
#include "dataserver/leaks/kmers.h"
#include "dataserver/tables/table_file.h"
#include "shared/base/text.h"

namespace strand {

namespace {

using Visit = std::function<Status(NamedSequence)>;
using GoOn = std::function<bool(double)>;

LeakParty file_party(const std::string& path, const std::string& column) {
  return {path, [file = SequenceFile{path, column}](const Visit& visit, const GoOn& go_on) {
            return read_sequences(file, visit, go_on);
          }};
}

// What the sequences of a job's split are read from, shared by its parties.
struct SplitGenome {
  std::shared_ptr<Store> store;
  std::unique_ptr<CorpusReader> reader;
};

Status read_windows(const SplitGenome& genome, const WindowIndex& windows, const Visit& visit, const GoOn& go_on) {
  for (uint64_t i = 0; i < windows.size(); ++i) {
    const BaseRun run = windows.window(i);
    NamedSequence sequence;
    sequence.name = concat(genome.reader->info().records[run.record].name, ":", run.begin, "-", run.end);
    STRAND_TRY(genome.reader->read(run, &sequence.bases));
    STRAND_TRY(visit(std::move(sequence)));
    if (!go_on(static_cast<double>(i + 1) / static_cast<double>(windows.size()))) {
      return Error(ErrorCode::kStopped, "stopped while reading a split");
    }
  }
  return {};
}

Status add_genome(FileSystem* fs, const std::string& path, const JobSpec& job, const LeakInputs& inputs,
                  std::vector<LeakParty>* parties) {
  if (job.data.holdout.empty()) {
    return bad_input(concat(path, ": data.holdout holds nothing out, so nothing can leak; give a job with a holdout"));
  }
  if (inputs.store.empty()) {
    return bad_input(concat(path, ": its genome is read from a store: name it with --store (the store folder of the ",
                            "run, or of 'strand data build FILES --store FOLDER')"));
  }
  if (inputs.window < kLeakKmer) {
    return bad_input(concat("window ", inputs.window, "; expected at least ", kLeakKmer, " bases"));
  }
  STRAND_ASSIGN(const DataHome home, open_data_home(fs, inputs.store, true));
  STRAND_ASSIGN(CorpusInfo info, find_data(home.store.get(), job.data));
  STRAND_ASSIGN(const Split split, split_data(info, job.data));
  auto genome = std::make_shared<SplitGenome>();
  genome->store = home.store;
  const int64_t longest = std::max<int64_t>(1, info.bases);
  genome->reader = std::make_unique<CorpusReader>(home.store.get(), std::move(info));
  const auto add = [&](const char* name, const std::vector<BaseRun>& runs, int64_t window) {
    parties->push_back({concat(path, ": ", name),
                        [genome, windows = WindowIndex(runs, window, window)](const Visit& visit, const GoOn& go_on) {
                          return read_windows(*genome, windows, visit, go_on);
                        }});
  };
  add("training", split.training, longest);
  add("held out", split.held_out, inputs.window);
  return {};
}

class RowCount final : public TableSink {
 public:
  Status row(TableRow) override {
    ++rows;
    return {};
  }
  uint64_t rows = 0;
};

// Those rows of a table that belong to the set.
LeakParty set_party(const std::string& name, const std::string& file, const std::string& column, SetRows set) {
  return {name, [source = SequenceFile{file, column}, set = std::move(set)](const Visit& visit, const GoOn& go_on) {
            uint64_t row = 0, next = 0;
            const auto take = [&](NamedSequence sequence) -> Status {
              if (next == set.count || set.row(next) != row++) return {};
              ++next;
              return visit(std::move(sequence));
            };
            return read_sequences(source, take, go_on);
          }};
}

Status add_task(const std::string& path, const TaskSpec& task, std::vector<LeakParty>* parties) {
  const std::string* const files[] = {&task.train, &task.dev, &task.test};
  constexpr const char* kNames[] = {"train", "dev", "test"};
  std::array<uint64_t, kRowSets> rows = {};
  for (size_t i = 0; i < kRowSets; ++i) {
    if (files[i]->empty()) continue;
    RowCount count;
    STRAND_TRY(read_table(*files[i], {task.sequence}, &count, [](double) { return true; }));
    rows[i] = count.rows;
  }
  STRAND_ASSIGN(const TaskSplit split, split_task(task, rows));
  for (size_t i = 0; i < kRowSets; ++i) {
    const SetRows& set = split.sets[i];
    if (set.count > 0)
      parties->push_back(set_party(concat(path, ": ", kNames[i]), *files[set.table], task.sequence, set));
  }
  return {};
}

}  // namespace

Result<std::vector<LeakParty>> leak_parties(FileSystem* fs, const LeakInputs& inputs) {
  std::vector<LeakParty> parties;
  for (const std::string& path : inputs.paths) {
    if (!path.ends_with(".toml")) {
      parties.push_back(file_party(path, inputs.column));
      continue;
    }
    STRAND_ASSIGN(const JobSpec job, load_job(path, {}));
    if (job.job.kind == "finetune") {
      STRAND_TRY(add_task(path, job.task, &parties));
    } else {
      STRAND_TRY(add_genome(fs, path, job, inputs, &parties));
    }
  }
  return parties;
}

}  // namespace strand
