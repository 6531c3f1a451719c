#include "shared/store/store.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>

#include "shared/base/rng.h"

namespace strand {
namespace {

using Pairs = std::map<std::string, std::string>;

class StoreTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = "/tmp/strand_store_XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    root_ = name;
    folder_ = root_ + "/a/store";
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  std::unique_ptr<Store> open(bool read_only = false) {
    auto store = open_rocks_store(folder_, {.read_only = read_only});
    EXPECT_TRUE(store.ok()) << (store.ok() ? "" : store.error().message());
    return store.ok() ? std::move(*store) : nullptr;
  }
  static Result<Pairs> all(Store& store, std::string_view prefix = "") {
    Pairs pairs;
    STRAND_TRY(store.scan(prefix, [&](std::string_view key, std::string_view value) {
      pairs[std::string(key)] = value;
      return true;
    }));
    return pairs;
  }
  // Runs `work` in a process that is then killed without closing anything.
  template <class Work>
  static void in_a_killed_process(const Work& work) {
#ifdef __SANITIZE_THREAD__
    GTEST_SKIP() << "the thread sanitizer cannot follow a fork beside the threads of stores opened before";
#endif
    const pid_t child = fork();
    if (child == 0) {
      work();
      kill(getpid(), SIGKILL);
    }
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status));
  }

  std::string root_, folder_;
};

TEST_F(StoreTest, PutsReadsRemovesAndScansInOrder) {
  auto store = open();
  StoreBatch batch;
  for (const uint64_t n : {300u, 2u, 70000u, 0u}) batch.put(big_endian_key("n/", n), std::to_string(n));
  batch.put("m", "before");
  batch.put("o", "after");
  batch.put(std::string("n/\xff\xff\xff\xff\xff\xff\xff\xff", 10), "last");
  ASSERT_TRUE(store->write(batch).ok());
  std::vector<std::string> seen;
  ASSERT_TRUE(store
                  ->scan("n/",
                         [&](std::string_view key, std::string_view value) {
                           EXPECT_EQ(key.size(), 10u);
                           seen.emplace_back(value);
                           return true;
                         })
                  .ok());
  EXPECT_EQ(seen, (std::vector<std::string>{"0", "2", "300", "70000", "last"}));
  int visits = 0;
  ASSERT_TRUE(store->scan("", [&](std::string_view, std::string_view) { return ++visits < 2; }).ok());
  EXPECT_EQ(visits, 2);
  StoreBatch removal;
  removal.remove("m");
  ASSERT_TRUE(store->write(removal).ok());
  EXPECT_EQ(store->get("m").error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(store->get("o").value(), "after");
  EXPECT_EQ(parse_big_endian(big_endian_key("", 0x0102030405060708)), 0x0102030405060708u);
}

TEST_F(StoreTest, WhatWasWrittenOutlivesAKilledProcess) {
  for (int round = 0; round < 3; ++round) {
    in_a_killed_process([&] {
      auto store = open();
      StoreBatch batch;
      batch.put("round", std::to_string(round));
      batch.put("key" + std::to_string(round), "value");
      if (round > 0) batch.remove("key" + std::to_string(round - 1));
      if (!store || !store->write(batch).ok()) _exit(1);
    });
    if (IsSkipped()) return;
    EXPECT_EQ(all(*open()).value(),
              (Pairs{{"round", std::to_string(round)}, {"key" + std::to_string(round), "value"}}));
  }
}

// The log cut after any byte: the batch is there as a whole or not at all.
TEST_F(StoreTest, ABatchIsWholeOrAbsentWhereverTheLogEnds) {
  in_a_killed_process([&] {
    auto store = open();
    StoreBatch first, second;
    first.put("a", "1");
    second.put("a", "2");
    second.put("b", std::string(300, 'b'));
    second.put("c", "2");
    if (!store || !store->write(first).ok() || !store->write(second).ok()) _exit(1);
  });
  if (IsSkipped()) return;
  std::filesystem::path log;
  for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
    if (entry.path().extension() == ".log") log = entry.path();
  }
  ASSERT_FALSE(log.empty());
  const auto size = std::filesystem::file_size(log);
  const std::filesystem::path kept = root_ + "/kept";
  std::filesystem::copy(folder_, kept, std::filesystem::copy_options::recursive);
  int wholes = 0, befores = 0;
  for (uintmax_t cut = 0; cut <= size; cut += 7) {
    std::filesystem::remove_all(folder_);
    std::filesystem::copy(kept, folder_, std::filesystem::copy_options::recursive);
    std::filesystem::resize_file(log, size - cut);
    const Pairs pairs = all(*open()).value();
    const Pairs whole{{"a", "2"}, {"b", std::string(300, 'b')}, {"c", "2"}}, before{{"a", "1"}};
    EXPECT_TRUE(pairs == whole || pairs == before || pairs.empty()) << "cut of " << cut;
    wholes += pairs == whole;
    befores += pairs == before;
  }
  EXPECT_GT(wholes, 0);
  EXPECT_GT(befores, 0);
}

TEST_F(StoreTest, SecondWriterIsRefusedReadersAreNot) {
  auto store = open();
  StoreBatch batch;
  batch.put("k", "v");
  ASSERT_TRUE(store->write(batch).ok());
  const auto second = open_rocks_store(folder_, {});
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code(), ErrorCode::kConflict);
  EXPECT_NE(second.error().message().find(folder_ + "/LOCK"), std::string::npos);
  in_a_killed_process([&] {  // and from another process
    const auto other = open_rocks_store(folder_, {});
    if (other.ok() || other.error().code() != ErrorCode::kConflict) _exit(1);
  });
  auto reader = open(true), another = open(true);
  EXPECT_EQ(reader->get("k").value(), "v");
  EXPECT_EQ(another->get("k").value(), "v");
  EXPECT_FALSE(reader->write(batch).ok());
  EXPECT_FALSE(reader->bulk_writer().ok());
}

TEST_F(StoreTest, AnAbsentStoreIsNotFoundAndNotMade) {
  for (const StoreOptions options : {StoreOptions{.read_only = true}, StoreOptions{.create_if_missing = false}}) {
    const auto store = open_rocks_store(folder_, options);
    ASSERT_FALSE(store.ok());
    EXPECT_EQ(store.error().code(), ErrorCode::kNotFound);
    EXPECT_FALSE(std::filesystem::exists(folder_));
  }
}

TEST_F(StoreTest, BulkLoadIsAllOrNothing) {
  Pairs expected{{"k5", "old"}};
  {
    auto store = open();
    StoreBatch batch;
    batch.put("k5", "old");
    ASSERT_TRUE(store->write(batch).ok());
    {
      auto abandoned = std::move(*store->bulk_writer());
      ASSERT_TRUE(abandoned->put("k1", "lost").ok());
    }
    {
      auto disordered = std::move(*store->bulk_writer());
      ASSERT_TRUE(disordered->put("k2", "lost").ok());
      EXPECT_FALSE(disordered->put("k2", "again").ok());
      EXPECT_FALSE(disordered->finish().ok()) << "a part of a load must not become visible";
    }
    EXPECT_TRUE((*store->bulk_writer())->finish().ok()) << "nothing to load is fine";
    auto writer = std::move(*store->bulk_writer());
    for (char c = '0'; c <= '9'; ++c) {
      const std::string key{'k', c};
      ASSERT_TRUE(writer->put(key, "new").ok());
      EXPECT_EQ(all(*store).value(), expected) << "not before finish";
    }
    ASSERT_TRUE(writer->finish().ok());
    for (char c = '0'; c <= '9'; ++c) expected[{'k', c}] = "new";
    EXPECT_EQ(all(*store).value(), expected);
    EXPECT_TRUE(store->verify().ok());
  }
  in_a_killed_process([&] {
    auto store = open();
    auto writer = std::move(*store->bulk_writer());
    if (!writer->put("z", "lost").ok()) _exit(1);
  });
  if (IsSkipped()) return;
  EXPECT_EQ(all(*open()).value(), expected);
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/loading")) << "a killed load leaves nothing behind";
}

TEST_F(StoreTest, AnyFlippedByteOfATableIsFoundAndNeverRead) {
  Pairs expected;
  {
    auto store = open();
    auto writer = std::move(*store->bulk_writer());
    for (uint64_t n = 0; n < 150; ++n) {
      const std::string key = big_endian_key("row", n), value(60, static_cast<char>('a' + n % 26));
      ASSERT_TRUE(writer->put(key, value).ok());
      expected[key] = value;
    }
    ASSERT_TRUE(writer->finish().ok());
  }
  std::filesystem::path table;
  for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
    if (entry.path().extension() == ".sst") table = entry.path();
  }
  ASSERT_FALSE(table.empty());
  const auto size = std::filesystem::file_size(table);
  int found_by_reading = 0;
  for (uintmax_t at = 0; at < size; at += 37) {
    const auto flip = [&] {
      std::fstream file(table, std::ios::in | std::ios::out | std::ios::binary);
      file.seekg(static_cast<std::streamoff>(at));
      const int byte = file.get();
      file.seekp(static_cast<std::streamoff>(at));
      file.put(static_cast<char>(byte ^ 0x10));
    };
    flip();
    const auto store = open_rocks_store(folder_, {.read_only = true});
    if (store.ok()) {
      const auto pairs = all(**store);
      if (pairs.ok()) {
        EXPECT_EQ(*pairs, expected) << "byte " << at;
      } else {
        EXPECT_EQ(pairs.error().code(), ErrorCode::kCorrupt) << pairs.error().message();
        ++found_by_reading;
      }
      const Status verified = (*store)->verify();
      ASSERT_FALSE(verified.ok()) << "byte " << at << " of " << size;
      EXPECT_EQ(verified.error().code(), ErrorCode::kCorrupt) << verified.error().message();
    } else {
      EXPECT_NE(store.error().code(), ErrorCode::kInternal) << "byte " << at << ": " << store.error().message();
    }
    flip();
  }
  EXPECT_GT(found_by_reading, 100);
  EXPECT_EQ(all(*open()).value(), expected);
}

}  // namespace
}  // namespace strand
