// safetensors: what is written is read, what Python's layout says is read, and what the format forbids is refused.
#include "shared/formats/safetensors.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <sstream>

#include "shared/base/rng.h"
#include "shared/base/text.h"
#include "tests/support/faulty_file_system.h"

namespace strand {
namespace {

std::string read_corpus(const std::string& name) {
  std::ifstream file("tests/fuzz/corpus/safetensors_fuzz/" + name, std::ios::binary);
  EXPECT_TRUE(file.good()) << name << ": run the test in the repository root";
  std::ostringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

// A file with this JSON and `data` bytes behind it.
std::string file_of(const std::string& json, size_t data) {
  const uint64_t length = json.size();
  return std::string(reinterpret_cast<const char*>(&length), sizeof length) + json + std::string(data, '\0');
}

Result<std::unique_ptr<TensorSource>> source_of(std::string bytes) {
  return safetensors_source(make_file_view(std::move(bytes)), "x.safetensors");
}

std::vector<float> values(TensorSource& source, const std::string& name) {
  const TensorInfo* tensor = source.find(name);
  EXPECT_NE(tensor, nullptr) << name;
  if (tensor == nullptr) return {};
  std::vector<float> out(static_cast<size_t>(tensor->elements));
  const Status read = source.read(name, out);
  EXPECT_TRUE(read.ok()) << read.error().message();
  return out;
}

// Sets the elements to first, first + 1, ...
TensorToWrite counting(const std::string& name, std::vector<int64_t> shape, float first) {
  return {name, std::move(shape), [first](std::span<float> out) -> Status {
            for (size_t i = 0; i < out.size(); ++i) out[i] = first + static_cast<float>(i);
            return {};
          }};
}

TEST(SafetensorsTest, EveryFloatingTypeOfAFileMadeInPython) {
  auto source = source_of(read_corpus("types.safetensors"));
  ASSERT_TRUE(source.ok()) << source.error().message();
  EXPECT_EQ((*source)->tensors().size(), 6u);
  EXPECT_EQ((*source)->find("f")->shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(values(**source, "f"), (std::vector<float>{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(values(**source, "h"), (std::vector<float>{0.5f, -2}));
  EXPECT_EQ(values(**source, "b"), (std::vector<float>{1, 3}));
  EXPECT_EQ(values(**source, "d"), (std::vector<float>{0.25f, -8}));
  EXPECT_EQ(values(**source, "e"), (std::vector<float>{}));
  std::vector<float> one(1);
  const Status integer = (*source)->read("i", one);
  ASSERT_FALSE(integer.ok());
  EXPECT_NE(integer.error().message().find("tensor i: is I64, expected F32, F16, BF16 or F64"), std::string::npos);
}

TEST(SafetensorsTest, WhatIsWrittenIsRead) {
  FaultyFileSystem fs;
  ASSERT_TRUE(fs.make_directories("/m").ok());
  const std::string odd = "a \"quoted\"\nname \xc3\xa9";
  ASSERT_TRUE(write_safetensors(fs, "/m/model.safetensors",
                                {counting("z", {2, 2}, 1), counting(odd, {}, 7), counting("none", {3, 0}, 0)})
                  .ok());
  const std::string bytes = fs.read_file("/m/model.safetensors").value();
  uint64_t header = 0;
  std::memcpy(&header, bytes.data(), sizeof header);
  EXPECT_EQ(header % 8, 0u) << "data must begin at a multiple of 8";
  EXPECT_TRUE(bytes.substr(8).starts_with("{\"__metadata__\":{\"format\":\"pt\"},")) << bytes;
  auto source = open_safetensors(fs, "/m/model.safetensors");
  ASSERT_TRUE(source.ok()) << source.error().message();
  EXPECT_EQ(values(**source, "z"), (std::vector<float>{1, 2, 3, 4}));
  EXPECT_EQ(values(**source, odd), std::vector<float>{7});
  EXPECT_TRUE(values(**source, "none").empty());
}

TEST(SafetensorsTest, Bf16RoundsToNearestEven) {
  FaultyFileSystem fs;
  ASSERT_TRUE(fs.make_directories("/m").ok());
  const std::vector<float> in = {1.0f, 1.00390625f, 1.01171875f, -3.3895e38f, std::numeric_limits<float>::infinity()};
  const TensorToWrite tensor{"x", {5}, [&](std::span<float> out) -> Status {
                               std::ranges::copy(in, out.begin());
                               return {};
                             }};
  ASSERT_TRUE(write_safetensors(fs, "/m/x.safetensors", {tensor}, {.type = TensorType::kBF16}).ok());
  auto source = open_safetensors(fs, "/m/x.safetensors");
  ASSERT_TRUE(source.ok());
  EXPECT_EQ((*source)->find("x")->type, TensorType::kBF16);
  const std::vector<float> out = values(**source, "x");
  EXPECT_EQ(out[0], 1.0f);
  EXPECT_EQ(out[1], 1.0f) << "a tie goes to the even neighbour";
  EXPECT_EQ(out[2], 1.015625f);
  EXPECT_TRUE(std::isinf(out[4]));
  EXPECT_EQ(float_to_bf16(std::nanf("")) & 0x7fc0, 0x7fc0) << "NaN stays NaN";
}

TEST(SafetensorsTest, HalvesMeanWhatIeee754Says) {
  // value = fraction x 2^-24 below 2^-14, else (1 + fraction / 1024) x 2^(exponent - 15).
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const uint32_t exponent = (bits >> 10) & 31, fraction = bits & 1023;
    const double sign = (bits & 0x8000) != 0 ? -1 : 1;
    const float value = half_to_float(static_cast<uint16_t>(bits));
    if (exponent == 31) {
      EXPECT_EQ(std::isnan(value), fraction != 0) << bits;
      EXPECT_EQ(std::isinf(value), fraction == 0) << bits;
    } else {
      const double expected =
          exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024.0 + fraction, static_cast<int>(exponent) - 25);
      ASSERT_EQ(static_cast<double>(value), sign * expected) << bits;
    }
  }
}

// Property: an index of shards lists every tensor once, no shard has more than the limit unless one tensor does, and
// what is read does not depend on the limit.
TEST(SafetensorsTest, ShardsHoldTheSameTensors) {
  const auto tensors = [] {
    std::vector<TensorToWrite> list;
    for (int i = 0; i < 9; ++i) list.push_back(counting(concat("t", i), {i + 1, 5}, static_cast<float>(100 * i)));
    return list;
  };
  for (const uint64_t limit : {uint64_t{0}, uint64_t{1}, uint64_t{200}, uint64_t{333}, uint64_t{900}}) {
    FaultyFileSystem fs;
    ASSERT_TRUE(fs.make_directories("/m").ok());
    const auto files = write_safetensors_model(fs, "/m", tensors(), limit);
    ASSERT_TRUE(files.ok()) << files.error().message();
    EXPECT_EQ(fs.list_directory("/m").value(), *files);
    EXPECT_EQ(files->size() == 1, limit == 0 || limit == 900) << limit;
    auto source = open_weights(fs, "/m");
    ASSERT_TRUE(source.ok()) << source.error().message();
    ASSERT_EQ((*source)->tensors().size(), 9u);
    for (int i = 0; i < 9; ++i) {
      const std::vector<float> read = values(**source, concat("t", i));
      for (size_t e = 0; e < read.size(); ++e) ASSERT_EQ(read[e], static_cast<float>(100 * i) + static_cast<float>(e));
    }
    for (const std::string& file : *files) {
      if (limit == 0 || !file.ends_with(".safetensors")) continue;
      const std::string bytes = fs.read_file("/m/" + file).value();
      const auto header = parse_safetensors(bytes, file);
      ASSERT_TRUE(header.ok());
      EXPECT_TRUE(header->entries.size() == 1 || header->entries.back().end <= limit) << file;
    }
  }
}

// Property: no fault while writing leaves a file that is not the whole one.
TEST(SafetensorsTest, AFaultLeavesNothingBehind) {
  uint64_t calls = 0;
  {
    FaultyFileSystem fs;
    ASSERT_TRUE(fs.make_directories("/m").ok());
    const uint64_t before = fs.calls();
    ASSERT_TRUE(write_safetensors(fs, "/m/model.safetensors", {counting("a", {3}, 1), counting("b", {3}, 1)}).ok());
    calls = fs.calls() - before;
  }
  ASSERT_GT(calls, 5u);
  for (uint64_t call = 0; call < calls; ++call) {
    FaultyFileSystem fs;
    ASSERT_TRUE(fs.make_directories("/m").ok());
    fs.fail_at(call, ENOSPC);
    const Status written =
        write_safetensors(fs, "/m/model.safetensors", {counting("a", {3}, 1), counting("b", {3}, 1)});
    EXPECT_FALSE(written.ok()) << call;
    fs.clear_faults();
    const auto names = fs.list_directory("/m").value();
    if (names.empty()) continue;
    EXPECT_EQ(names, std::vector<std::string>{"model.safetensors"}) << "call " << call;
    EXPECT_TRUE(open_safetensors(fs, "/m/model.safetensors").ok());
  }
}

struct Refused {
  const char* why;
  std::string json;
  size_t data;
  const char* message;
};

TEST(SafetensorsTest, WhatTheFormatForbidsIsRefused) {
  const std::string a8 = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]})";
  const std::vector<Refused> cases = {
      {"overlap", a8 + R"(,"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})", 12,
       "begins at byte 4 of the data, where another one still is; expected 8; the file is damaged"},
      {"hole", a8 + R"(,"b":{"dtype":"F32","shape":[1],"data_offsets":[12,16]}})", 16, "after bytes of nobody"},
      {"tail", a8 + "}", 12, "but the tensors end at 8"},
      {"first byte unused", R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", 8, "after bytes of nobody"},
      {"beyond the file", a8 + "}", 4, "not within the 4 bytes"},
      {"backwards", R"({"a":{"dtype":"F32","shape":[0],"data_offsets":[4,0]}})", 4, "not within"},
      {"size", R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", 8, "but F32 [3] has 12"},
      {"product overflow", R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0,
       "too large"},
      {"bits overflow", R"({"a":{"dtype":"F64","shape":[1152921504606846976],"data_offsets":[0,0]}})", 0, "too large"},
      {"half a byte", R"({"a":{"dtype":"F4","shape":[3],"data_offsets":[0,1]}})", 1, "not whole bytes"},
      {"name twice", a8 + R"(,"a":{"dtype":"F32","shape":[0],"data_offsets":[8,8]}})", 8, "tensor a: is there twice"},
      {"key twice", R"({"a":{"dtype":"F32","dtype":"F32","shape":[0],"data_offsets":[0,0]}})", 0,
       "dtype is there twice"},
      {"metadata twice", R"({"__metadata__":{"x":"1","x":"2"}})", 0, "is there twice"},
      {"metadata with a number", R"({"__metadata__":{"x":1}})", 0, "does not belong there"},
      {"unknown type", R"({"a":{"dtype":"F33","shape":[0],"data_offsets":[0,0]}})", 0, "\"F33\" is not a known type"},
      {"unknown key", R"({"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0],"x":1}})", 0, "unknown key"},
      {"no shape", R"({"a":{"dtype":"F32","data_offsets":[0,0]}})", 0, "expected dtype, shape and data_offsets"},
      {"three offsets", R"({"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0,0]}})", 0, "expected two numbers"},
      {"negative extent", R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,0]}})", 0, "a negative number"},
      {"fraction", R"({"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}})", 4, "a number with a point"},
      {"nested", R"({"a":{"dtype":"F32","shape":[[0]],"data_offsets":[0,0]}})", 0, "does not belong there"},
      {"not an object", R"({"a":1})", 0, "does not belong there"},
      {"cut", R"({"a":{"dtype":"F32")", 0, "not valid JSON"},
      {"an array", "[]", 0, "expected \"{\""},
      {"two values", "{} {}", 0, "not valid JSON"},
  };
  for (const Refused& c : cases) {
    const auto source = source_of(file_of(c.json, c.data));
    ASSERT_FALSE(source.ok()) << c.why;
    EXPECT_EQ(source.error().code(), ErrorCode::kBadInput) << c.why;
    EXPECT_NE(source.error().message().find(c.message), std::string::npos) << c.why << ": " << source.error().message();
    EXPECT_TRUE(source.error().message().starts_with("x.safetensors: ")) << source.error().message();
  }
}

TEST(SafetensorsTest, NoPrefixOfAFileIsAFile) {
  const std::string whole = read_corpus("types.safetensors");
  ASSERT_TRUE(source_of(whole).ok());
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(source_of(whole.substr(0, size)).ok()) << "the first " << size << " bytes";
  }
  EXPECT_FALSE(source_of(whole + "x").ok());
}

// The format has no checksum, so a flipped byte of a name is another name. Property: whatever byte of the header is
// changed, either the file is refused or its tensors still are all of the data, each byte once.
TEST(SafetensorsTest, AChangedHeaderIsRefusedOrStillCoversTheData) {
  const std::string whole = read_corpus("types.safetensors");
  const uint64_t data = parse_safetensors(whole, "x").value().data_begin;
  int refused = 0;
  for (size_t at = 0; at < data; ++at) {
    for (int value = 0; value < 256; ++value) {
      std::string changed = whole;
      changed[at] = static_cast<char>(value);
      const auto header = parse_safetensors(changed, "x");
      refused += !header.ok();
      if (!header.ok()) continue;
      uint64_t end = 0;
      for (const SafetensorsEntry& entry : header->entries) {
        ASSERT_EQ(entry.begin, end) << "byte " << at << " set to " << value;
        end = entry.end;
      }
      ASSERT_EQ(header->data_begin + end, whole.size()) << "byte " << at << " set to " << value;
    }
  }
  EXPECT_GT(refused, static_cast<int>(data) * 128) << "most changes cannot go unnoticed";
}

TEST(SafetensorsTest, AHugeHeaderIsRefusedBeforeItIsRead) {
  std::string bytes(64, '\0');
  for (const uint64_t length : {uint64_t{57}, kLargestSafetensorsHeader + 1, ~uint64_t{0}}) {
    std::memcpy(bytes.data(), &length, sizeof length);
    const auto source = source_of(bytes);
    ASSERT_FALSE(source.ok());
    EXPECT_NE(source.error().message().find("its header would have"), std::string::npos);
  }
}

}  // namespace
}  // namespace strand
