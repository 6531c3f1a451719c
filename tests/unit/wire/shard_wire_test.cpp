// The codec of messages between workers: everything comes back as it was sent, and no damage goes unnoticed.
#include <gtest/gtest.h>

#include <random>
#include <set>

#include "shared/wire/frame.h"
#include "shared/wire/shard_messages.h"
#include "tests/support/sealed_frame.h"

namespace strand {
namespace {

constexpr uint64_t kSeed = 20240612;
constexpr size_t kKinds = std::variant_size_v<ShardBody>;
using Random = std::mt19937_64;

// One overload for each kind of field. Structures are taken apart whole: a new field does not compile until it is
// named.
template <class T>
requires std::is_integral_v<T>
void fill(Random& random, T* value) {
  *value = static_cast<T>(random());
}
void fill(Random& random, bool* value) {
  *value = random() % 2 == 1;
}
void fill(Random& random, double* value) {
  *value = random() % 4 == 0 ? 0.1 : static_cast<double>(random());
}
void fill(Random& random, std::string* value) {
  value->resize(random() % 50);
  for (char& c : *value) c = static_cast<char>('a' + random() % 26);
}
template <class Tag>
void fill(Random& random, StrongId<Tag>* value) {
  fill(random, &value->value);
}
template <class T>
void fill(Random& random, std::vector<T>* value);
template <class... T>
void fill_all(Random& random, T&... values) {
  (fill(random, &values), ...);
}

void fill(Random& random, LaneNumbers* v) {
  auto& [lane, losses, targets, tokens, rows] = *v;
  fill_all(random, lane, losses, targets, tokens, rows);
}
void fill(Random& random, StepRecord* v) {
  auto& [step, made_in, norm, loss, targets, tokens, rows, last] = *v;
  fill_all(random, step, made_in, norm, loss, targets, tokens, rows, last);
}
void fill(Random& random, RangeNorm* v) {
  auto& [range, partials] = *v;
  fill_all(random, range, partials);
}
void fill(Random& random, HeldSum* v) {
  auto& [step, made_in, partials, numbers] = *v;
  fill_all(random, step, made_in, partials, numbers);
}
void fill(Random& random, RangeHolding* v) {
  auto& [range, version, planned, sums] = *v;
  fill_all(random, range, version, planned, sums);
}
void fill(Random& random, RangeSource* v) {
  auto& [range, worker] = *v;
  fill_all(random, range, worker);
}
void fill(Random& random, GradientPiece* v) {
  auto& [range, use, level, index, numbers] = *v;
  fill_all(random, range, use, level, index, numbers);
}
void fill(Random& random, GradientSum* v) {
  auto& [range, partials, numbers] = *v;
  fill_all(random, range, partials, numbers);
}
void fill(Random&, ShardAck*) {}
void fill(Random& random, PartialNorms* v) {
  auto& [ranges, numbers] = *v;
  fill_all(random, ranges, numbers);
}
void fill(Random& random, GlobalNorm* v) {
  fill(random, &v->record);
}
void fill(Random& random, PullRange* v) {
  auto& [range, version, state] = *v;
  fill_all(random, range, version, state);
}
void fill(Random& random, RangeData* v) {
  auto& [range, version, state] = *v;
  fill_all(random, range, version, state);
}
void fill(Random& random, HoldingsReport* v) {
  auto& [joined, decided, reloaded, holdings, records, stale] = *v;
  fill_all(random, joined, decided, reloaded, holdings, records, stale);
}
void fill(Random& random, RecoveryDecision* v) {
  auto& [base, reload, records, stale, sources] = *v;
  fill_all(random, base, reload, records, stale, sources);
}
void fill(Random& random, StageData* v) {
  auto& [pass, kind, chunk, micro_batch, sequence] = *v;
  fill_all(random, pass, kind, chunk, micro_batch, sequence);
}
void fill(Random& random, StageTaken* v) {
  auto& [pass, kind, taken, arrived] = *v;
  fill_all(random, pass, kind, taken, arrived);
}
void fill(Random& random, StageAbort* v) {
  auto& [pass, code, reason] = *v;
  fill_all(random, pass, code, reason);
}
template <class T>
void fill(Random& random, std::vector<T>* value) {
  value->resize(random() % 4);
  for (T& item : *value) fill(random, &item);
}

template <size_t kKind = 0>
ShardBody random_body(Random& random, size_t kind) {
  if (kind == kKind) {
    std::variant_alternative_t<kKind, ShardBody> body;
    fill(random, &body);
    return body;
  }
  if constexpr (kKind + 1 < kKinds) return random_body<kKind + 1>(random, kind);
  return {};
}

ShardMessage random_message(Random& random, size_t kind) {
  ShardMessage message{{}, random_body(random, kind)};
  auto& [request, job, generation, sender, incarnation, step] = message.header;
  fill_all(random, request, job, generation, sender, incarnation, step);
  return message;
}

TEST(ShardWire, EveryMessageComesBackAsItWasSent) {
  Random random(kSeed);
  std::set<std::string> names;
  for (size_t kind = 0; kind < kKinds; ++kind) {
    for (int i = 0; i < 200; ++i) {
      const ShardMessage message = random_message(random, kind);
      const std::string bytes = encode_shard_message(message);
      auto decoded = decode_shard_message(bytes.data(), bytes.size());
      ASSERT_TRUE(decoded.ok()) << decoded.error().message();
      ASSERT_EQ(*decoded, message) << shard_message_name(message.body);
    }
    names.insert(shard_message_name(random_body(random, kind)));
  }
  EXPECT_EQ(names.size(), kKinds);
}

TEST(ShardWire, StageMessagesAreToldFromThoseOfTheShards) {
  Random random(kSeed);
  std::set<std::string> of_stages;
  for (size_t kind = 0; kind < kKinds; ++kind) {
    const ShardBody body = random_body(random, kind);
    if (is_stage_message(body)) of_stages.insert(shard_message_name(body));
  }
  EXPECT_EQ(of_stages, (std::set<std::string>{"stage_data", "stage_taken", "stage_abort"}));
}

TEST(ShardWire, AnyFlippedByteAndAnyCutIsRefused) {
  Random random(kSeed);
  for (size_t kind = 0; kind < kKinds; ++kind) {
    std::string bytes = encode_shard_message(random_message(random, kind));
    for (size_t i = 0; i < bytes.size(); ++i) {
      bytes[i] = static_cast<char>(bytes[i] ^ (1 << (i % 8)));
      ASSERT_FALSE(decode_shard_message(bytes.data(), bytes.size()).ok()) << "byte " << i;
      bytes[i] = static_cast<char>(bytes[i] ^ (1 << (i % 8)));
      ASSERT_FALSE(decode_shard_message(bytes.data(), i).ok()) << "cut to " << i;
    }
  }
}

TEST(ShardWire, RandomPayloadsWithARightChecksumAreSafe) {
  Random random(kSeed);
  int refused = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string payload = encode_shard_message(random_message(random, random() % kKinds)).substr(kFrameHeaderBytes);
    for (size_t flips = 1 + random() % 4; flips > 0; --flips) {
      payload[random() % payload.size()] = static_cast<char>(random());
    }
    const std::string frame = sealed_frame(kWireVersion, static_cast<uint16_t>(FrameKind::kShardMessage), payload);
    refused += !decode_shard_message(frame.data(), frame.size()).ok();
  }
  EXPECT_GT(refused, 1'000);
}

TEST(ShardWire, OtherFramesAreNotTakenForIt) {
  const std::string heartbeat = encode_message({{}, Heartbeat{}});
  EXPECT_EQ(decode_shard_message(heartbeat.data(), heartbeat.size()).error().code(), ErrorCode::kCorrupt);
  const std::string ack = encode_shard_message({{}, ShardAck{}});
  EXPECT_EQ(decode_message(ack.data(), ack.size()).error().code(), ErrorCode::kCorrupt);
}

}  // namespace
}  // namespace strand
