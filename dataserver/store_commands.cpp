#include <ctime>
#include <filesystem>
#include <map>

#include "dataserver/commands.h"
#include "dataserver/dataset.h"
#include "dataserver/tables/table_store.h"
#include "shared/base/text.h"
#include "shared/formats/json.h"

namespace strand {

namespace {

uint64_t folder_bytes(const std::string& folder) {
  uint64_t bytes = 0;
  std::error_code gone;  // a file that a writer has just replaced
  for (auto at = std::filesystem::recursive_directory_iterator(folder, gone);
       at != std::filesystem::recursive_directory_iterator(); at.increment(gone)) {
    if (gone) break;
    const uint64_t size = at->is_regular_file(gone) ? at->file_size(gone) : 0;
    bytes += gone ? 0 : size;
  }
  return bytes;
}

// "2026-11-21 18:40:07 UTC"
std::string date_text(int64_t seconds) {
  const std::time_t time = seconds;
  std::tm parts = {};
  ::gmtime_r(&time, &parts);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &parts)};
}

// " built ...", or nothing for a data set without a date.
Status add_date(Store* store, const std::string& id, Json* json, std::string* text) {
  STRAND_ASSIGN(const auto built, built_at(store, id));
  if (!built) return {};
  (*json)["built"] = *built;
  *text += ", built " + date_text(*built);
  return {};
}

// Trained vocabularies and other results that are kept: how many of each kind.
Result<std::map<std::string, uint64_t>> derived_kinds(Store* store) {
  constexpr std::string_view kPrefix = "derived/";
  std::map<std::string, uint64_t> kinds;
  STRAND_TRY(store->scan(kPrefix, [&](std::string_view key, std::string_view) {
    key.remove_prefix(kPrefix.size());
    ++kinds[std::string(key.substr(0, key.find('/')))];
    return true;
  }));
  return kinds;
}

Progress part_of(const DataVerifyOptions& options, double begin, double length) {
  return [&options, begin, length](double done) {
    if (options.progress) options.progress(begin + length * done);
    return options.stop == nullptr || !options.stop->load();
  };
}

}  // namespace

Result<CommandReport> data_list(const DataListOptions& options) {
  const auto fs = make_posix_file_system();
  STRAND_ASSIGN(const DataHome home, open_data_home(fs.get(), options.store, true));
  Store* store = home.store.get();
  STRAND_ASSIGN(const auto corpora, list_corpora(store));
  STRAND_ASSIGN(const auto tables, list_tables(store));
  STRAND_ASSIGN(const auto derived, derived_kinds(store));
  const uint64_t disk = folder_bytes(options.store);
  Json json = {{"store", options.store},   {"version", kStoreVersion}, {"disk_bytes", disk},
               {"genomes", Json::array()}, {"tables", Json::array()},  {"derived", derived}};
  std::string text =
      concat("store ", options.store, ", version ", kStoreVersion, ", ", human_bytes(disk), " on disk\n");
  for (const CorpusInfo& info : corpora) {
    Json one = {{"id", info.id},
                {"content", info.content.hex()},
                {"files", info.files},
                {"bases", info.bases},
                {"records", info.records.size()}};
    text += concat("genome ", info.id, "  ", with_thousands(info.bases), " bases in ", info.records.size(), " records");
    STRAND_TRY(add_date(store, info.id, &one, &text));
    text += concat("\n  content ", info.content.hex(), "\n");
    for (const std::string& file : info.files) text += concat("  file    ", file, "\n");
    json["genomes"].push_back(std::move(one));
  }
  for (const TableInfo& info : tables) {
    Json one = {{"id", info.id},
                {"content", info.content.hex()},
                {"file", info.path},
                {"rows", info.rows},
                {"letters", info.letters}};
    text += concat("table  ", info.id, "  ", with_thousands(static_cast<int64_t>(info.rows)), " rows of ",
                   with_thousands(static_cast<int64_t>(info.letters)), " letters");
    STRAND_TRY(add_date(store, info.id, &one, &text));
    text += concat("\n  content ", info.content.hex(), "\n  file    ", info.path, "\n");
    json["tables"].push_back(std::move(one));
  }
  for (const auto& [kind, count] : derived) text += concat("kept   ", count, " of ", kind, "\n");
  return CommandReport{std::move(text), dump_json(json)};
}

Result<CommandReport> data_verify(const DataVerifyOptions& options) {
  const auto fs = make_posix_file_system();
  STRAND_ASSIGN(const DataHome home, open_data_home(fs.get(), options.store, true));
  Store* store = home.store.get();
  constexpr double kBlocks = 0.3;  // of the work: the blocks of the store, read once before their contents are
  const auto blocks_part = part_of(options, 0, kBlocks);
  if (!blocks_part(0)) return Error(ErrorCode::kStopped, "stopped before anything was read");
  const Status blocks = store->verify();
  if (!blocks.ok()) return blocks.error().with_context(options.store);
  STRAND_ASSIGN(const auto corpora, list_corpora(store));
  STRAND_ASSIGN(const auto tables, list_tables(store));
  double all = 1, done = 0;  // letters
  for (const CorpusInfo& info : corpora) all += static_cast<double>(info.bases);
  for (const TableInfo& info : tables) all += static_cast<double>(info.letters);
  const auto next_part = [&](double letters) {
    const double begin = kBlocks + (1 - kBlocks) * done / all;
    done += letters;
    return part_of(options, begin, (1 - kBlocks) * letters / all);
  };
  Json json = {{"store", options.store}, {"valid", true}, {"genomes", Json::array()}, {"tables", Json::array()}};
  std::string text;
  for (const CorpusInfo& info : corpora) {
    const Status verified = verify_corpus(store, info, next_part(static_cast<double>(info.bases)));
    if (!verified.ok()) return verified.error().with_context(concat(options.store, ": genome ", info.id));
    json["genomes"].push_back({{"id", info.id}, {"bases", info.bases}, {"content", info.content.hex()}});
    text += concat("genome ", info.id, ": ", with_thousands(info.bases), " bases, content ", info.content.hex(),
                   ", all as written\n");
  }
  for (const TableInfo& info : tables) {
    const Status verified = verify_table(store, info, next_part(static_cast<double>(info.letters)));
    if (!verified.ok()) return verified.error().with_context(concat(options.store, ": table ", info.id));
    json["tables"].push_back({{"id", info.id}, {"rows", info.rows}, {"content", info.content.hex()}});
    text += concat("table ", info.id, ": ", info.rows, " rows, content ", info.content.hex(), ", all as written\n");
  }
  text += concat(options.store, ": every checksum holds\n");
  return CommandReport{std::move(text), dump_json(json)};
}

}  // namespace strand
