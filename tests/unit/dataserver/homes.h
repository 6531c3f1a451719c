// Datasets over a store in memory.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "dataserver/dataset.h"
#include "tests/unit/dataserver/genomes.h"

namespace strand::testing {

class DatasetHome : public ::testing::Test {
 protected:
  DataHome memory_home(const std::string& name) {
    DataHome home;
    home.directory = folder_.path() + "/" + name;
    home.store = std::make_shared<MemoryStore>();
    home.fs = fs_.get();
    EXPECT_TRUE(fs_->make_directories(home.directory).ok());
    return home;
  }

  Result<std::shared_ptr<const Dataset>> open(const DatasetSpec& spec) {
    return Dataset::open(home_, spec, keep_going);
  }

  void refused(const DatasetSpec& spec, const std::string& says) {
    const auto dataset = open(spec);
    ASSERT_FALSE(dataset.ok()) << says;
    EXPECT_EQ(dataset.error().code(), ErrorCode::kBadInput);
    EXPECT_NE(dataset.error().message().find(says), std::string::npos) << dataset.error().message();
  }

  // `change` of the specification changes the fingerprint, first in `field`.
  void expect_in_fingerprint(const DatasetSpec& base, const std::string& field,
                             const std::function<void(DatasetSpec*)>& change) {
    const auto one = open(base);
    ASSERT_TRUE(one.ok()) << one.error().message();
    DatasetSpec other = base;
    change(&other);
    const auto two = open(other);
    ASSERT_TRUE(two.ok()) << two.error().message();
    EXPECT_NE((*two)->summary().fingerprint, (*one)->summary().fingerprint) << field;
    EXPECT_NE(other.key(), base.key()) << field;
    const std::string first = first_difference((*one)->summary().fields, (*two)->summary().fields);
    EXPECT_NE(first.find("'" + field + "'"), std::string::npos) << first;
  }

  TemporaryFolder folder_;
  std::unique_ptr<FileSystem> fs_ = make_posix_file_system();
  DataHome home_ = memory_home("one");
};

}  // namespace strand::testing
