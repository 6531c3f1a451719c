#include "coordinator/journal.h"

#include "shared/base/text.h"
#include "shared/base/version.h"
#include "shared/formats/json.h"

namespace strand {
namespace {
constexpr const char* kFormatKey = "format";
}

Result<std::unique_ptr<Journal>> Journal::open(const std::string& directory) {
  const std::string path = directory + "/journal";
  auto store = open_rocks_store(path, StoreOptions{});
  if (!store.ok() && store.error().code() == ErrorCode::kConflict) {
    return Error(ErrorCode::kConflict,
                 concat("another coordinator uses ", path, "; stop it, or give this one another --dir (",
                        store.error().message(), ")"));
  }
  if (!store.ok()) return store.error().with_context("opening the journal");
  auto journal = std::make_unique<Journal>(std::move(store).value());
  const Status begun = journal->begin();
  if (!begun.ok()) return begun.error().with_context(path);
  return journal;
}

Status Journal::begin() {
  auto format = store_->get(kFormatKey);
  if (!format.ok() && format.error().code() == ErrorCode::kNotFound) {
    StoreBatch batch;
    batch.put(kFormatKey, dump_json({{"version", kJournalVersion}, {"program", kStrandVersion}}));
    return store_->write(batch);
  }
  if (!format.ok()) return format.error();
  STRAND_ASSIGN(const Json json, parse_json(*format, "format record"));
  const auto version = json.find("version");
  if (version == json.end() || !version->is_number_integer()) return corrupt("the format record names no version");
  if (version->get<int>() <= kJournalVersion) return {};
  return bad_input(concat("this journal has format version ", version->get<int>(), " (made by strand ",
                          json.value("program", "of unknown version"), "), strand ", kStrandVersion,
                          " knows up to version ", kJournalVersion, "; use the newer program, or another --dir"));
}

Result<std::vector<std::pair<std::string, std::string>>> Journal::read() {
  std::vector<std::pair<std::string, std::string>> records;
  for (const char* prefix : {"checkpoint/", "history/", "job/"}) {
    STRAND_TRY(store_->scan(prefix, [&](std::string_view key, std::string_view value) {
      records.emplace_back(key, value);
      return true;
    }));
  }
  return records;
}

Status Journal::write(const WriteJournal& batch) {
  StoreBatch operations;
  for (const JournalEntry& entry : batch.entries) {
    if (entry.value) {
      operations.put(entry.key, *entry.value);
    } else {
      operations.remove(entry.key);
    }
  }
  return store_->write(operations);
}

}  // namespace strand
