// pytorch_model.bin: files that Python's own pickler made (tests/fuzz/make_weights_corpus.py) are read; nothing in a
// file is ever run, and what is inconsistent is refused.
#include "shared/formats/torch_zip.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <sstream>

#include "shared/base/text.h"
#include "shared/formats/pickle.h"
#include "shared/formats/zip.h"

namespace strand {
namespace {

std::string read_corpus(const std::string& name) {
  std::ifstream file("tests/fuzz/corpus/torch_zip_fuzz/" + name, std::ios::binary);
  EXPECT_TRUE(file.good()) << name << ": run the test in the repository root";
  std::ostringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

Result<std::unique_ptr<TensorSource>> source_of(std::string bytes) {
  return torch_zip_source(make_file_view(std::move(bytes)), "x.bin");
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

TEST(TorchZipTest, StoredDeflatedAndProtocol4GiveTheSameTensors) {
  for (const char* name : {"stored.bin", "deflated.bin", "protocol4.bin"}) {
    SCOPED_TRACE(name);
    auto source = source_of(read_corpus(name));
    ASSERT_TRUE(source.ok()) << source.error().message();
    EXPECT_EQ((*source)->tensors().size(), 11u);
    const std::vector<float> all = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
    EXPECT_EQ(values(**source, "weight"), all);
    EXPECT_EQ(values(**source, "tied"), all);
    EXPECT_EQ((*source)->find("transposed")->shape, (std::vector<int64_t>{4, 3}));
    EXPECT_EQ(values(**source, "transposed"), (std::vector<float>{0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11}));
    EXPECT_EQ(values(**source, "tail"), (std::vector<float>{8, 9, 10, 11}));
    EXPECT_EQ(values(**source, "spread"), (std::vector<float>{2, 2, 3, 3, 4, 4}));
    EXPECT_EQ(values(**source, "half"), (std::vector<float>{0.5f, -2, 65504, 0x1.0p-24f}));
    EXPECT_EQ(values(**source, "brain"), (std::vector<float>{1, -0.5f, 3}));
    EXPECT_EQ(values(**source, "double"), (std::vector<float>{0.25f, -8}));
    EXPECT_EQ(values(**source, "scalar"), std::vector<float>{5});
    EXPECT_TRUE(values(**source, "empty").empty());
    EXPECT_EQ((*source)->find("position_ids")->type, TensorType::kI64);
  }
}

// Whatever asks for a function that weights do not need is refused by module, name and byte.
TEST(TorchZipTest, APickleThatCallsAnythingIsRefused) {
  const auto system = read_pickled_tensors(read_corpus("system.pkl"), "x.bin: data.pkl");
  ASSERT_FALSE(system.ok());
  EXPECT_EQ(system.error().code(), ErrorCode::kBadInput);
  EXPECT_TRUE(system.error().message().starts_with("x.bin: data.pkl: byte 2: the pickle asks for os.system,"))
      << system.error().message();
  EXPECT_NE(system.error().message().find("nothing was run"), std::string::npos);
  const auto eval = read_pickled_tensors(read_corpus("stack_global.pkl"), "x");
  ASSERT_FALSE(eval.ok());
  EXPECT_NE(eval.error().message().find("builtins.eval"), std::string::npos) << eval.error().message();
}

struct BadPickle {
  const char* why;
  std::string bytes;
  const char* message;
};

TEST(TorchZipTest, PicklesBeyondTheSubsetAreRefused) {
  using namespace std::string_literals;
  const std::string dict = "ccollections\nOrderedDict\n";
  const std::string storage = "(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0000X\3\0\0\0cpuK\4tQ"s;
  const std::string rebuild = "ctorch._utils\n_rebuild_tensor_v2\n(";
  const auto tensor = [&](const std::string& rest) {
    return "}X\1\0\0\0w"s + rebuild + storage + rest + dict + ")RtRs.";
  };
  ASSERT_TRUE(read_pickled_tensors(tensor("K\0K\4\x85K\1\x85\x89"s), "x").ok());
  const std::vector<BadPickle> cases = {
      {"empty", "", "ends within an instruction"},
      {"cut", "X\5\0\0\0ab"s, "ends within an instruction"},
      {"protocol 9", "\x80\x09."s, "protocol 9"},
      {"not a dictionary", "K\1."s, "holds an integer, expected a dictionary"},
      {"a value that is no tensor", "}X\1\0\0\0wK\1s."s, "\"w\" is an integer, expected a tensor"},
      {"a key that is no text", "}K\1K\1s."s, "a key is an integer"},
      {"a checkpoint", "}X\12\0\0\0state_dict}s."s, "torch.save(checkpoint[\"state_dict\"], file)"},
      {"new object", dict + ")\x81.", "instruction 129 has no place"},
      {"instance", "(ios\nsystem\n.", "instruction 105 has no place"},
      {"extension registry", "\x82\1."s, "instruction 130 has no place"},
      {"call of a value", "K\1)R."s, "the pickle calls an integer"},
      {"call of a storage class", "ctorch\nFloatStorage\n)R."s, "the pickle calls a class"},
      {"attributes of a list", "]}b."s, "sets attributes of something"},
      {"dictionary with arguments", dict + "]\x85R.", "OrderedDict with arguments"},
      {"stack underflow", "0."s, "empty stack"},
      {"no mark", "u."s, "no mark"},
      {"open mark", "}(."s, "open mark"},
      {"unknown memo", "h\1."s, "was never kept"},
      {"odd members", "}(K\1u."s, "a key without a value"},
      {"beyond the storage", tensor("K\1K\4\x85K\1\x85\x89"s), "not within its storage of 4"},
      {"far beyond", tensor("K\0K\2K\2\x86\x8a\x8\xff\xff\xff\xff\xff\xff\xff\x7fK\1\x86\x89"s),
       "not within its storage"},
      {"negative offset", tensor("J\xff\xff\xff\xffK\4\x85K\1\x85\x89"s), "expected (storage, offset"},
      {"negative extent", tensor("K\0J\xff\xff\xff\xff\x85K\1\x85\x89"s), "expected integers from 0"},
      {"negative stride", tensor("K\0K\4\x85J\xff\xff\xff\xff\x85\x89"s), "expected integers from 0"},
      {"too few strides", tensor("K\0K\4\x85)\x89"s), "with 0 strides"},
      {"huge integer", tensor("K\0\x8a\x9\0\0\0\0\0\0\0\0\1\x85K\1\x85\x89"s), "beyond 64 bits"},
      {"other persistent id", "K\1\x85Q."s, "expected a persistent id"},
  };
  for (const BadPickle& c : cases) {
    const auto read = read_pickled_tensors(c.bytes, "x");
    ASSERT_FALSE(read.ok()) << c.why;
    EXPECT_EQ(read.error().code(), ErrorCode::kBadInput) << c.why;
    EXPECT_NE(read.error().message().find(c.message), std::string::npos) << c.why << ": " << read.error().message();
  }
}

// A byte may make a value of a hundred, an entry of the memo or a mark: none of them as often as the pickle likes.
TEST(TorchZipTest, PicklesOfMoreValuesThanTensorsNeedAreRefusedEarly) {
  using namespace std::string_literals;
  const auto repeated = [](const std::string& unit, size_t times) {
    std::string out;
    for (size_t i = 0; i < times; ++i) out += unit;
    return out;
  };
  const size_t over = kMostPickledValues + 1;
  const auto refused = [](const std::string& why, const std::string& bytes, const char* message) {
    const auto read = read_pickled_tensors(bytes, "x");
    ASSERT_FALSE(read.ok()) << why;
    EXPECT_EQ(read.error().code(), ErrorCode::kBadInput) << why;
    EXPECT_NE(read.error().message().find(message), std::string::npos) << why << ": " << read.error().message();
  };
  const std::string head = concat("x: byte ", kMostPickledValues, ": more than ", kMostPickledValues, " values");
  refused("lists", repeated("]", over), head.c_str());
  refused("lists that are dropped again", repeated("]0", over), "values, too many");
  refused("marks", repeated("(", over), head.c_str());
  refused("one value again and again", "]q\0"s + repeated("h\0"s, over), "values, too many");
  refused("one value kept again and again", "]" + repeated("\x94", over), "values, too many");

  const std::string storage = "(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0000X\3\0\0\0cpuK\4tQ"s;
  const std::string rebuild = "ctorch._utils\n_rebuild_tensor_v2\n";
  const std::string arguments = "(" + storage + "K\0K\4\x85K\1\x85\x89}t"s;
  refused("tensors", rebuild + "q\0"s + "0" + arguments + "q\1" + "0" + repeated("h\0h\1R0"s, kMostPickledTensors + 1),
          "more than 50000 tensors");
  const std::string members = "}X\1\0\0\0wq\2"s + rebuild + arguments + "Rq\3s";
  refused("a name again and again", members + repeated("h\2h\3s"s, 1000) + ".", "the tensor w is there twice");
  refused("dimensions",
          "}X\1\0\0\0w"s + rebuild + "(" + storage + "K\0("s + repeated("K\1"s, 65) + "tK\1\x85\x89}tRs."s,
          "65 integers, expected 64 at most");
  refused("a parameter of many arguments",
          "ctorch._utils\n_rebuild_parameter\n(" + rebuild + arguments + "R" + repeated("N", 3) + "tR.",
          "expected (tensor, requires_grad, hooks)");
}

TEST(TorchZipTest, OtherFilesAreNamedForWhatTheyAre) {
  const auto refused = [](const std::string& bytes, const char* message) {
    const auto source = source_of(bytes);
    ASSERT_FALSE(source.ok());
    EXPECT_EQ(source.error().code(), ErrorCode::kBadInput);
    EXPECT_NE(source.error().message().find(message), std::string::npos) << source.error().message();
  };
  refused(std::string("\x80\x02\x8a\x0alegacy"), "torch before 1.6");
  refused("version https://git-lfs.github.com/spec/v1\n", "git lfs pull");
  refused(std::string(257, '\0') + "ustar" + std::string(300, '\0'), "torch before 0.1.10");
  refused("some text", "found another file");
  refused("", "found another file");
  refused(std::string("PK\5\6", 4) + std::string(18, '\0'), "without data.pkl");
  refused(read_corpus("big_endian.bin"), "big-endian");
}

TEST(TorchZipTest, NoPrefixOfAFileIsAFile) {
  const std::string whole = read_corpus("stored.bin");
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(source_of(whole.substr(0, size)).ok()) << "the first " << size << " bytes";
  }
}

// Every byte that matters is under a checksum or checked against another one. Property: after any change of one byte
// the file is refused, a read is refused, or the same values come out.
TEST(TorchZipTest, AChangedByteNeverGivesOtherValues) {
  for (const char* name : {"stored.bin", "deflated.bin"}) {
    const std::string whole = read_corpus(name);
    auto original = source_of(whole);
    ASSERT_TRUE(original.ok());
    int refused = 0;
    for (size_t at = 0; at < whole.size(); ++at) {
      for (const int flip : {1, 0x20, 0x80, 0xff}) {
        std::string changed = whole;
        changed[at] = static_cast<char>(changed[at] ^ flip);
        auto source = source_of(changed);
        if (!source.ok()) {
          ++refused;
          continue;
        }
        for (const TensorInfo& tensor : (*original)->tensors()) {
          if (!is_floating(tensor.type)) continue;
          std::vector<float> out(static_cast<size_t>(tensor.elements));
          const Status read = (*source)->read(tensor.name, out);
          if (!read.ok()) continue;
          EXPECT_EQ(out, values(**original, tensor.name)) << name << ": byte " << at << " ^ " << flip;
        }
      }
    }
    EXPECT_GT(refused, static_cast<int>(whole.size())) << name;
  }
}

TEST(ZipTest, EntriesMayNotShareBytesOrNames) {
  // Two entries of the central directory for one local entry, and one entry named twice.
  const std::string whole = read_corpus("stored.bin");
  const auto archive = ZipArchive::open(whole, "x");
  ASSERT_TRUE(archive.ok());
  const size_t central = whole.find("PK\1\2");
  const size_t end = whole.rfind("PK\5\6");
  const size_t second = whole.find("PK\1\2", central + 4);
  std::string twice = whole.substr(0, end) + whole.substr(central, second - central) + whole.substr(end);
  const auto patch = [&](size_t at, uint32_t value, size_t bytes) {
    twice.replace(at, bytes, reinterpret_cast<const char*>(&value), bytes);
  };
  const size_t new_end = end + (second - central);
  const auto entries = static_cast<uint32_t>(archive->entries().size() + 1);
  patch(new_end + 8, entries, 2);
  patch(new_end + 10, entries, 2);
  patch(new_end + 12, static_cast<uint32_t>(new_end - central), 4);
  const auto opened = ZipArchive::open(twice, "x");
  ASSERT_FALSE(opened.ok());
  EXPECT_NE(opened.error().message().find("model/data.pkl is there twice"), std::string::npos)
      << opened.error().message();
}

}  // namespace
}  // namespace strand
