// Weights in directories: which file counts, and shards that do not fit together.
#include "shared/formats/tensor_source.h"

#include <gtest/gtest.h>

#include "shared/formats/safetensors.h"
#include "tests/support/faulty_file_system.h"

namespace strand {
namespace {

TensorToWrite constant(const std::string& name, float value) {
  return {name, {2}, [value](std::span<float> out) -> Status {
            std::ranges::fill(out, value);
            return {};
          }};
}

class TensorSourceTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(fs_.make_directories("/m").ok()); }
  void put(const std::string& name, const std::string& text) {
    ASSERT_TRUE(write_file_atomically(fs_, "/m/" + name, text).ok());
  }
  void put_tensor(const std::string& file, const std::string& name, float value) {
    ASSERT_TRUE(write_safetensors(fs_, "/m/" + file, {constant(name, value)}).ok());
  }
  void expect_refused(const std::string& message) {
    const auto source = open_weights(fs_, "/m");
    ASSERT_FALSE(source.ok());
    EXPECT_NE(source.error().message().find(message), std::string::npos) << source.error().message();
  }
  FaultyFileSystem fs_;
};

TEST_F(TensorSourceTest, ADirectoryWithoutWeightsSaysWhatIsThere) {
  expect_refused("expected one of model.safetensors, model.safetensors.index.json, pytorch_model.bin");
  put("adapter_model.safetensors", "x");
  expect_refused("found adapter_model.safetensors");
  EXPECT_EQ(open_weights(fs_, "/m").error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(open_weights(fs_, "/nowhere").error().code(), ErrorCode::kNotFound);
}

TEST_F(TensorSourceTest, SafetensorsComeBeforePickles) {
  put("pytorch_model.bin", "not looked at");
  put_tensor("model.safetensors", "a", 3);
  auto source = open_weights(fs_, "/m");
  ASSERT_TRUE(source.ok()) << source.error().message();
  std::vector<float> out(2);
  ASSERT_TRUE((*source)->read("a", out).ok());
  EXPECT_EQ(out, (std::vector<float>{3, 3}));
  EXPECT_EQ((*source)->find("a")->file, "/m/model.safetensors");
  EXPECT_EQ((*source)->read("b", out).error().code(), ErrorCode::kNotFound);
}

TEST_F(TensorSourceTest, ShardsAndIndexMustAgree) {
  put_tensor("s1.safetensors", "a", 1);
  put_tensor("s2.safetensors", "b", 2);
  const std::string index = "model.safetensors.index.json";
  put(index, R"({"weight_map": {"a": "s1.safetensors", "b": "s2.safetensors"}})");
  auto source = open_weights(fs_, "/m");
  ASSERT_TRUE(source.ok()) << source.error().message();
  EXPECT_EQ((*source)->find("b")->file, "/m/s2.safetensors");
  std::vector<float> out(2);
  ASSERT_TRUE((*source)->read("b", out).ok());
  EXPECT_EQ(out[0], 2);

  put(index, R"({"weight_map": {"a": "s1.safetensors", "b": "s3.safetensors"}})");
  expect_refused("/m/s3.safetensors: is named by /m/model.safetensors.index.json but not there");
  put(index, R"({"weight_map": {"a": "s1.safetensors", "c": "s2.safetensors"}})");
  expect_refused("/m/s2.safetensors: lacks the tensor c");
  put_tensor("s2.safetensors", "a", 2);
  put(index, R"({"weight_map": {"a": "s1.safetensors"}})");
  ASSERT_TRUE(open_weights(fs_, "/m").ok()) << "a file that the index does not name is not looked at";
  put(index, R"({"weight_map": {"a": "../m/s1.safetensors"}})");
  expect_refused("is not the name of a file beside it");
  put(index, R"({"weight_map": {"a": 1}})");
  expect_refused("weight_map.a: expected the name of a file");
  put(index, R"({"weight_map": {}})");
  expect_refused("expected {\"weight_map\"");
  put(index, "[]");
  expect_refused("expected {\"weight_map\"");
}

TEST_F(TensorSourceTest, ATensorOfAShardThatTheIndexForgot) {
  ASSERT_TRUE(write_safetensors(fs_, "/m/s1.safetensors", {constant("a", 1), constant("b", 2)}).ok());
  put("model.safetensors.index.json", R"({"weight_map": {"a": "s1.safetensors"}})");
  expect_refused("holds the tensor b that");
}

}  // namespace
}  // namespace strand
