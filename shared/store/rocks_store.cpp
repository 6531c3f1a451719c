// The door to RocksDB.
#include <rocksdb/cache.h>
#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/file_checksum.h>
#include <rocksdb/sst_file_writer.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>

#include "shared/base/text.h"
#include "shared/fs/file_system.h"
#include "shared/store/store.h"

namespace strand {
namespace {

// RocksDB's own log says nothing a user can act on; errors come back as statuses.
class SilentLogger final : public rocksdb::Logger {
 public:
  SilentLogger() : rocksdb::Logger(rocksdb::InfoLogLevel::FATAL_LEVEL) {}
  using rocksdb::Logger::Logv;
  void Logv(const char*, va_list) override {}
};

rocksdb::Slice slice(std::string_view text) {
  return {text.data(), text.size()};
}
std::string_view view(const rocksdb::Slice& slice) {
  return {slice.data(), slice.size()};
}

// Where the sorted file of a bulk load grows, inside the store's folder; emptied whenever a writer opens the store.
std::string loading_folder(const std::string& directory) {
  return directory + "/loading";
}

Error store_error(const rocksdb::Status& status, std::string_view doing, const std::string& directory) {
  const std::string said = concat(doing, " the store ", directory, ": ", status.ToString());
  if (status.IsNotFound()) return not_found(said);
  if (status.IsCorruption() || status.IsPathNotFound()) {
    return corrupt(concat(said,
                          "; its files are damaged: bring them back from a copy, or remove the folder and build "
                          "the store again"));
  }
  if (status.IsNoSpace()) return bad_input(concat(said, "; make room on that disk and try again"));
  if (status.IsIOError() || status.IsBusy() || status.IsTryAgain()) return unavailable(said);
  if (status.IsNotSupported()) return bad_input(concat(said, "; was it made by a newer version?"));
  return internal_error(said);
}

rocksdb::Options rocks_options(const StoreOptions& wanted) {
  rocksdb::Options options;
  options.create_if_missing = wanted.create_if_missing;
  options.info_log = std::make_shared<SilentLogger>();
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  options.paranoid_checks = true;
  // A write cut short by a power failure may be missing at the end of the log; damage anywhere else is an error.
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  options.file_checksum_gen_factory = rocksdb::GetFileChecksumGenCrc32cFactory();
  options.compression = rocksdb::kNoCompression;  // bases are packed already, the rest is small
  options.write_buffer_size = 4 << 20;
  options.max_write_buffer_number = 2;
  options.max_background_jobs = 2;
  options.max_total_wal_size = 16 << 20;
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(16 << 20);
  table.verify_compression = true;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return options;
}

class RocksBulkWriter final : public Store::BulkWriter {
 public:
  RocksBulkWriter(rocksdb::DB* db, FileSystem* fs, std::string directory, const rocksdb::Options& options)
      : db_(db),
        fs_(fs),
        directory_(std::move(directory)),
        path_(concat(loading_folder(directory_), "/", static_cast<const void*>(this), ".sst")),
        writer_(rocksdb::EnvOptions(), options) {}
  ~RocksBulkWriter() override { (void)fs_->remove(path_); }

  Status open() {
    STRAND_TRY(fs_->make_directories(loading_folder(directory_)));
    return check(writer_.Open(path_));
  }

  Status put(std::string_view key, std::string_view value) override {
    if (finished_) return internal_error("bulk load: put after finish");
    // After a failed put the file is not to be used: finish() must not make a part visible.
    const Status status = check(writer_.Put(slice(key), slice(value)));
    failed_ |= !status.ok();
    empty_ = false;
    return status;
  }

  Status finish() override {
    if (finished_ || failed_) return internal_error("bulk load: finish after finish or after a failed put");
    finished_ = true;
    if (empty_) return {};
    STRAND_TRY(check(writer_.Finish()));
    rocksdb::IngestExternalFileOptions how;
    how.move_files = true;
    how.write_global_seqno = false;
    how.verify_checksums_before_ingest = true;
    return check(db_->IngestExternalFile({path_}, how));
  }

 private:
  Status check(const rocksdb::Status& status) const {
    if (status.ok()) return {};
    return store_error(status, "bulk loading", directory_);
  }

  rocksdb::DB* db_;
  FileSystem* fs_;
  std::string directory_;
  std::string path_;
  rocksdb::SstFileWriter writer_;
  bool empty_ = true, failed_ = false, finished_ = false;
};

class RocksStore final : public Store {
 public:
  RocksStore(std::unique_ptr<rocksdb::DB> db, std::unique_ptr<FileSystem> fs, std::string directory, bool read_only)
      : fs_(std::move(fs)), db_(std::move(db)), directory_(std::move(directory)), read_only_(read_only) {}
  ~RocksStore() override { (void)db_->Close(); }

  Result<std::string> get(std::string_view key) override {
    std::string value;
    const rocksdb::Status status = db_->Get(rocksdb::ReadOptions(), slice(key), &value);
    if (!status.ok()) return store_error(status, "reading", directory_);
    return value;
  }

  Status write(const StoreBatch& batch) override {
    STRAND_TRY(writable());
    rocksdb::WriteBatch operations;
    for (const auto& operation : batch.operations) {
      const rocksdb::Status status =
          operation.remove ? operations.Delete(operation.key) : operations.Put(operation.key, operation.value);
      if (!status.ok()) return store_error(status, "writing", directory_);
    }
    rocksdb::WriteOptions how;
    how.sync = true;
    const rocksdb::Status status = db_->Write(how, &operations);
    if (!status.ok()) return store_error(status, "writing", directory_);
    return {};
  }

  Status scan(std::string_view prefix,
              const std::function<bool(std::string_view key, std::string_view value)>& visit) override {
    const std::unique_ptr<rocksdb::Iterator> at(db_->NewIterator(rocksdb::ReadOptions()));
    for (at->Seek(slice(prefix)); at->Valid() && at->key().starts_with(slice(prefix)); at->Next()) {
      if (!visit(view(at->key()), view(at->value()))) break;
    }
    if (!at->status().ok()) return store_error(at->status(), "scanning", directory_);
    return {};
  }

  Result<std::unique_ptr<BulkWriter>> bulk_writer() override {
    STRAND_TRY(writable());
    auto writer = std::make_unique<RocksBulkWriter>(db_.get(), fs_.get(), directory_, db_->GetOptions());
    STRAND_TRY(writer->open());
    return std::unique_ptr<BulkWriter>(std::move(writer));
  }

  Status verify() override {
    const rocksdb::Status files = db_->VerifyFileChecksums(rocksdb::ReadOptions());
    if (!files.ok()) return store_error(files, "verifying", directory_);
    const rocksdb::Status blocks = db_->VerifyChecksum(rocksdb::ReadOptions());
    if (!blocks.ok()) return store_error(blocks, "verifying", directory_);
    return {};
  }

 private:
  Status writable() const {
    if (read_only_) return internal_error(concat("the store ", directory_, " is open for reading only"));
    return {};
  }

  std::unique_ptr<FileSystem> fs_;
  std::unique_ptr<rocksdb::DB> db_;
  std::string directory_;
  bool read_only_;
};

Status prepare_folder(FileSystem& fs, const std::string& directory, const StoreOptions& wanted) {
  const bool there = fs.exists(directory + "/CURRENT");
  if (!there && (wanted.read_only || !wanted.create_if_missing)) {
    return not_found(concat("no store in ", directory, ": check the path, or build it first"));
  }
  if (wanted.read_only) return {};
  return fs.make_directories(directory);
}

}  // namespace

Result<std::unique_ptr<Store>> open_rocks_store(const std::string& directory, const StoreOptions& wanted) {
  auto fs = make_posix_file_system();
  STRAND_TRY(prepare_folder(*fs, directory, wanted));
  const rocksdb::Options options = rocks_options(wanted);
  rocksdb::DB* raw = nullptr;
  const rocksdb::Status status = wanted.read_only ? rocksdb::DB::OpenForReadOnly(options, directory, &raw)
                                                  : rocksdb::DB::Open(options, directory, &raw);
  std::unique_ptr<rocksdb::DB> db(raw);
  if (!status.ok()) {
    // RocksDB has no code of its own for a held lock.
    if (status.IsIOError() && status.ToString().find("lock") != std::string::npos &&
        status.ToString().find("/LOCK") != std::string::npos) {
      return Error(ErrorCode::kConflict, concat("the store ", directory, " is open in another process, which holds ",
                                                directory, "/LOCK: stop that process, or choose another folder"));
    }
    return store_error(status, "opening", directory);
  }
  if (!wanted.read_only) STRAND_TRY(fs->remove_tree(loading_folder(directory)));
  return std::unique_ptr<Store>(
      std::make_unique<RocksStore>(std::move(db), std::move(fs), directory, wanted.read_only));
}

}  // namespace strand
