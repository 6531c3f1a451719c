// The key-value seam: ordered keys, atomic synced batches, snapshots of reads. RocksDB behind it (rocks_store.cpp).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "shared/base/result.h"

namespace strand {

// Puts and removals that happen together or not at all.
struct StoreBatch {
  struct Operation {
    std::string key;
    std::string value;
    bool remove = false;
  };
  std::vector<Operation> operations;
  void put(std::string key, std::string value) { operations.push_back({std::move(key), std::move(value), false}); }
  void remove(std::string key) { operations.push_back({std::move(key), {}, true}); }
};

class Store {
 public:
  virtual ~Store() = default;
  // kNotFound when absent; kCorrupt when the stored bytes fail their checksum.
  virtual Result<std::string> get(std::string_view key) = 0;
  // Durable on return (write-ahead log synced).
  virtual Status write(const StoreBatch& batch) = 0;
  // Calls visit for every key in [prefix, prefix + 1) in order until it returns false.
  virtual Status scan(std::string_view prefix,
                      const std::function<bool(std::string_view key, std::string_view value)>& visit) = 0;
  // Bulk load: keys must come in strictly rising order; visible all at once after finish (an ingested sorted file).
  class BulkWriter {
   public:
    virtual ~BulkWriter() = default;
    virtual Status put(std::string_view key, std::string_view value) = 0;
    virtual Status finish() = 0;
  };
  virtual Result<std::unique_ptr<BulkWriter>> bulk_writer() = 0;
  // Checks every stored block's checksum.
  virtual Status verify() = 0;
};

struct StoreOptions {
  bool read_only = false;  // many readers at once
  bool create_if_missing = true;
};
// kConflict when another process has it open for writing (with the mend: which lock file, stop the other process).
Result<std::unique_ptr<Store>> open_rocks_store(const std::string& directory, const StoreOptions& options);

// Numbers in keys sort as numbers: 8 bytes, big-endian.
std::string big_endian_key(std::string_view prefix, uint64_t number);
uint64_t parse_big_endian(std::string_view eight_bytes);

}  // namespace strand
