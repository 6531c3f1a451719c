// The codec: everything comes back as it was sent, and nothing that was not sent comes back.
#include <gtest/gtest.h>

#include <cstring>
#include <set>

#include "shared/base/text.h"
#include "shared/wire/frame.h"
#include "shared/wire/manifest.h"
#include "shared/wire/messages.h"
#include "tests/support/random_messages.h"
#include "tests/support/sealed_frame.h"

namespace strand {
namespace {

constexpr uint64_t kSeed = 20240601;
constexpr size_t kKinds = std::variant_size_v<Body>;

Result<WireMessage> decode(const std::string& bytes) {
  return decode_message(bytes.data(), bytes.size());
}

TEST(WireTest, EveryMessageComesBackAsItWasSent) {
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  TestRandom random(kSeed);
  for (size_t kind = 0; kind < kKinds; ++kind) {
    for (int i = 0; i < 200; ++i) {
      const WireMessage message = random_message(random, kind);
      const std::string bytes = encode_message(message);
      auto decoded = decode(bytes);
      ASSERT_TRUE(decoded.ok()) << message_name(message.body) << ": " << decoded.error().message();
      ASSERT_EQ(decoded->header, message.header);
      ASSERT_EQ(decoded->body, message.body) << message_name(message.body);
      ASSERT_EQ(encode_message(*decoded), bytes) << "equal messages have equal bytes";
    }
  }
}

TEST(WireTest, ManifestAndPartHeaderComeBack) {
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  TestRandom random(kSeed);
  for (int i = 0; i < 300; ++i) {
    const Manifest manifest = random_manifest(random);
    auto decoded = decode_manifest(encode_manifest(manifest));
    ASSERT_TRUE(decoded.ok());
    ASSERT_EQ(*decoded, manifest);
    const PartHeader header = random_part_header(random);
    const std::string bytes = encode_part_header(header);
    ASSERT_EQ(bytes.size() % 64, 0u);
    size_t used = 0;
    auto part = decode_part_header(bytes + "numbers", &used);
    ASSERT_TRUE(part.ok());
    ASSERT_EQ(*part, header);
    ASSERT_EQ(used, bytes.size()) << "the numbers begin after the header";
  }
}

// Every single-byte change (all 255 of them) of `bytes`, every cut and some additions are refused by `refused`.
template <class Refused>
void expect_all_damage_refused(std::string bytes, bool may_be_followed, Refused refused) {
  for (size_t i = 0; i < bytes.size(); ++i) {
    const char kept = bytes[i];
    for (int flip = 1; flip < 256; ++flip) {
      bytes[i] = static_cast<char>(kept ^ flip);
      ASSERT_TRUE(refused(bytes)) << "byte " << i << " xor " << flip << " went unnoticed";
    }
    bytes[i] = kept;
  }
  for (size_t size = 0; size < bytes.size(); ++size) {
    ASSERT_TRUE(refused(bytes.substr(0, size))) << "a cut to " << size << " bytes went unnoticed";
  }
  if (may_be_followed) return;
  for (const char* more : {"x", "12345678", "STRD"}) ASSERT_TRUE(refused(bytes + more));
}

TEST(WireTest, AnyFlippedByteAnyCutAndAnyAdditionIsRefused) {
  TestRandom random(kSeed);
  for (size_t kind = 0; kind < kKinds; ++kind) {
    expect_all_damage_refused(encode_message(random_message(random, kind)), false, [](const std::string& bytes) {
      auto decoded = decode(bytes);
      return !decoded.ok() && decoded.error().code() == ErrorCode::kCorrupt;
    });
  }
  expect_all_damage_refused(encode_manifest(random_manifest(random)), false, [](const std::string& bytes) {
    auto decoded = decode_manifest(bytes);
    return !decoded.ok() && decoded.error().code() == ErrorCode::kCorrupt;
  });
  expect_all_damage_refused(encode_part_header(random_part_header(random)), true, [](const std::string& bytes) {
    size_t used = 0;
    auto decoded = decode_part_header(bytes, &used);
    return !decoded.ok() && decoded.error().code() == ErrorCode::kCorrupt;
  });
}

TEST(WireTest, AnotherVersionIsRefusedNamingBoth) {
  const std::string payload = encode_message({}).substr(kFrameHeaderBytes);
  ASSERT_TRUE(decode(sealed_frame(kWireVersion, kMessageFrame, payload)).ok()) << "the envelope is as documented";
  auto decoded = decode(sealed_frame(kWireVersion + 6, kMessageFrame, payload));
  ASSERT_FALSE(decoded.ok());
  EXPECT_EQ(decoded.error().code(), ErrorCode::kBadInput);
  for (const uint32_t version : {kWireVersion, kWireVersion + 6}) {
    EXPECT_NE(decoded.error().message().find(concat("version ", version)), std::string::npos)
        << decoded.error().message();
  }
}

TEST(WireTest, OneKindIsNotTakenForAnother) {
  TestRandom random(kSeed);
  const std::string manifest = encode_manifest(random_manifest(random));
  EXPECT_EQ(decode(manifest).error().code(), ErrorCode::kCorrupt);
  EXPECT_EQ(decode_manifest(encode_message({})).error().code(), ErrorCode::kCorrupt);
  size_t used = 0;
  EXPECT_EQ(decode_part_header(manifest, &used).error().code(), ErrorCode::kCorrupt);
}

TEST(WireTest, TooLongIsRefusedFromTheHeaderAlone) {
  std::string frame = encode_message({});
  const uint64_t huge = uint64_t{1} << 40;
  std::memcpy(frame.data() + 8, &huge, 8);
  EXPECT_NE(decode(frame).error().message().find("too long"), std::string::npos);
  const std::string large = encode_message(
      {{}, ClientReply{255, std::string(kMaxFrameBytes, 'x')}});  // a sender's mistake, refused on arrival
  EXPECT_EQ(decode(large).error().code(), ErrorCode::kCorrupt);
}

// Right checksum, wrong contents: nothing but a Result comes out, whatever the payload says.
TEST(WireTest, RandomPayloadsWithARightChecksumAreSafe) {
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  TestRandom random(kSeed);
  int refused = 0;
  for (int i = 0; i < 50'000; ++i) {
    std::string payload = encode_message(random_message(random, random() % kKinds)).substr(kFrameHeaderBytes);
    for (size_t flips = 1 + random() % 4; flips > 0; --flips) {
      payload[random() % payload.size()] = static_cast<char>(random());
    }
    refused += !decode(sealed_frame(kWireVersion, kMessageFrame, payload)).ok();
  }
  EXPECT_GT(refused, 5'000);
}

TEST(WireTest, UnknownEnumValuesAndAnEmptyMessageAreRefused) {
  const std::string empty(24, '\0');  // one segment of no words, padding... a message without a root
  EXPECT_EQ(decode(sealed_frame(kWireVersion, kMessageFrame, empty)).error().code(), ErrorCode::kCorrupt);
  EXPECT_EQ(decode(sealed_frame(kWireVersion, kMessageFrame, "")).error().code(), ErrorCode::kCorrupt);
  WireMessage message{{}, Heartbeat{static_cast<WorkerState>(77)}};
  EXPECT_NE(decode(encode_message(message)).error().message().find("worker state"), std::string::npos);
}

// 200 list entries that all point at one text of 4 kB: 800 kB from a frame of 7 kB, if it were believed.
TEST(WireTest, AFrameCannotGrowManyTimesInMemory) {
  Assign assign;
  assign.data_endpoints.assign(200, "x");
  assign.data_endpoints[0] = std::string(4000, 'x');
  std::string payload = encode_message({{}, assign}).substr(kFrameHeaderBytes);
  std::vector<uint64_t> words(payload.size() / 8);
  std::memcpy(words.data(), payload.data(), payload.size());
  const uint64_t size_of_big = (uint64_t{4001} << 3 | 2) << 32;  // upper half of a pointer to a text of that length
  size_t first = 0;
  while (first < words.size() && (words[first] & ~uint64_t{0xffffffff}) != size_of_big) ++first;
  ASSERT_LT(first + 200, words.size());
  for (size_t i = 1; i < 200; ++i) words[first + i] = words[first] - (i << 2);  // same target, i words nearer
  std::memcpy(payload.data(), words.data(), payload.size());
  auto decoded = decode(sealed_frame(kWireVersion, kMessageFrame, payload));
  ASSERT_FALSE(decoded.ok());
  EXPECT_EQ(decoded.error().code(), ErrorCode::kCorrupt);
}

TEST(WireTest, BytesNeedNotBeAligned) {
  WireMessage message;
  message.header.request = 5;
  const std::string bytes = encode_message(message);
  for (size_t shift = 0; shift < 8; ++shift) {
    const std::string shifted = std::string(shift, ' ') + bytes;
    auto decoded = decode_message(shifted.data() + shift, bytes.size());
    ASSERT_TRUE(decoded.ok());
    EXPECT_EQ(decoded->header.request, 5u);
  }
}

TEST(WireTest, NamesAreDistinct) {
  std::set<std::string> names;
  TestRandom random(kSeed);
  for (size_t kind = 0; kind < kKinds; ++kind) names.insert(message_name(random_message(random, kind).body));
  EXPECT_EQ(names.size(), kKinds);
}

}  // namespace
}  // namespace strand
