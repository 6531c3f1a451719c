// The codec of messages between workers; messages.cpp has those of everybody else.
#include <capnp/message.h>
#include <kj/debug.h>

#include <iterator>

#include "schemas/shard.capnp.h"
#include "shared/wire/convert.h"
#include "shared/wire/frame.h"
#include "shared/wire/shard_messages.h"

// Kinds of messages: type, union tag, name in logs. Order of ShardBody.
#define STRAND_SHARD_MESSAGES(X)                              \
  X(GradientPiece, GRADIENT_PIECE, "gradient_piece")          \
  X(GradientSum, GRADIENT_SUM, "gradient_sum")                \
  X(ShardAck, SHARD_ACK, "shard_ack")                         \
  X(PartialNorms, PARTIAL_NORMS, "partial_norms")             \
  X(GlobalNorm, GLOBAL_NORM, "global_norm")                   \
  X(PullRange, PULL_RANGE, "pull_range")                      \
  X(RangeData, RANGE_DATA, "range_data")                      \
  X(HoldingsReport, HOLDINGS_REPORT, "holdings_report")       \
  X(RecoveryDecision, RECOVERY_DECISION, "recovery_decision") \
  X(StageData, STAGE_DATA, "stage_data")                      \
  X(StageTaken, STAGE_TAKEN, "stage_taken")                   \
  X(StageAbort, STAGE_ABORT, "stage_abort")

namespace strand {
namespace {

// --- lists ----------------------------------------------------------------------------------------------------------

void write(capnp::List<double>::Builder to, const std::vector<double>& from) {
  for (uint32_t i = 0; i < from.size(); ++i) to.set(i, from[i]);
}
void read(capnp::List<double>::Reader from, std::vector<double>* to) {
  to->reserve(from.size());
  for (const double value : from) to->push_back(value);
}

// Of structures that have a write and a read below.
template <class ListBuilder, class T>
void write_list(ListBuilder to, const std::vector<T>& from);
template <class ListReader, class T>
void read_list(ListReader from, std::vector<T>* to);

// --- parts ----------------------------------------------------------------------------------------------------------

void write(schema::LaneNumbers::Builder to, const LaneNumbers& from) {
  to.setLane(from.lane);
  write(to.initLosses(static_cast<uint32_t>(from.losses.size())), from.losses);
  to.setTargets(from.targets);
  to.setTokens(from.tokens);
  to.setRowsHash(from.rows_hash);
}
void read(schema::LaneNumbers::Reader from, LaneNumbers* to) {
  to->lane = from.getLane();
  read(from.getLosses(), &to->losses);
  to->targets = from.getTargets();
  to->tokens = from.getTokens();
  to->rows_hash = from.getRowsHash();
}

void write(schema::StepRecord::Builder to, const StepRecord& from) {
  to.setStep(from.step);
  to.setMadeIn(from.made_in.value);
  to.setSquaredNorm(from.squared_norm);
  to.setLoss(from.loss);
  to.setTargets(from.targets);
  to.setTokens(from.tokens);
  to.setRowsHash(from.rows_hash);
  to.setLast(from.last);
}
void read(schema::StepRecord::Reader from, StepRecord* to) {
  to->step = from.getStep();
  to->made_in.value = from.getMadeIn();
  to->squared_norm = from.getSquaredNorm();
  to->loss = from.getLoss();
  to->targets = from.getTargets();
  to->tokens = from.getTokens();
  to->rows_hash = from.getRowsHash();
  to->last = from.getLast();
}

void write(schema::RangeNorm::Builder to, const RangeNorm& from) {
  to.setRange(from.range);
  write(to.initPartials(static_cast<uint32_t>(from.partials.size())), from.partials);
}
void read(schema::RangeNorm::Reader from, RangeNorm* to) {
  to->range = from.getRange();
  read(from.getPartials(), &to->partials);
}

void write(schema::HeldSum::Builder to, const HeldSum& from) {
  to.setStep(from.step);
  to.setMadeIn(from.made_in.value);
  write(to.initPartials(static_cast<uint32_t>(from.partials.size())), from.partials);
  write_list(to.initNumbers(static_cast<uint32_t>(from.numbers.size())), from.numbers);
}
void read(schema::HeldSum::Reader from, HeldSum* to) {
  to->step = from.getStep();
  to->made_in.value = from.getMadeIn();
  read(from.getPartials(), &to->partials);
  read_list(from.getNumbers(), &to->numbers);
}

void write(schema::RangeHolding::Builder to, const RangeHolding& from) {
  to.setRange(from.range);
  to.setVersion(from.version);
  to.setPlanned(from.planned);
  write_list(to.initSums(static_cast<uint32_t>(from.sums.size())), from.sums);
}
void read(schema::RangeHolding::Reader from, RangeHolding* to) {
  to->range = from.getRange();
  to->version = from.getVersion();
  to->planned = from.getPlanned();
  read_list(from.getSums(), &to->sums);
}

void write(schema::RangeSource::Builder to, const RangeSource& from) {
  to.setRange(from.range);
  to.setWorker(from.worker.value);
}
void read(schema::RangeSource::Reader from, RangeSource* to) {
  to->range = from.getRange();
  to->worker.value = from.getWorker();
}

template <class ListBuilder, class T>
void write_list(ListBuilder to, const std::vector<T>& from) {
  for (uint32_t i = 0; i < from.size(); ++i) write(to[i], from[i]);
}
template <class ListReader, class T>
void read_list(ListReader from, std::vector<T>* to) {
  to->reserve(from.size());
  for (auto one : from) read(one, &to->emplace_back());
}

// --- bodies ---------------------------------------------------------------------------------------------------------

void write(schema::GradientPiece::Builder to, const GradientPiece& from) {
  to.setRange(from.range);
  to.setUse(from.use);
  to.setLevel(from.level);
  to.setIndex(from.index);
  write_list(to.initNumbers(static_cast<uint32_t>(from.numbers.size())), from.numbers);
}
void read(schema::GradientPiece::Reader from, GradientPiece* to) {
  to->range = from.getRange();
  to->use = from.getUse();
  to->level = from.getLevel();
  to->index = from.getIndex();
  read_list(from.getNumbers(), &to->numbers);
}

void write(schema::GradientSum::Builder to, const GradientSum& from) {
  to.setRange(from.range);
  write(to.initPartials(static_cast<uint32_t>(from.partials.size())), from.partials);
  write_list(to.initNumbers(static_cast<uint32_t>(from.numbers.size())), from.numbers);
}
void read(schema::GradientSum::Reader from, GradientSum* to) {
  to->range = from.getRange();
  read(from.getPartials(), &to->partials);
  read_list(from.getNumbers(), &to->numbers);
}

void write(schema::ShardAck::Builder, const ShardAck&) {}
void read(schema::ShardAck::Reader, ShardAck*) {}

void write(schema::PartialNorms::Builder to, const PartialNorms& from) {
  write_list(to.initRanges(static_cast<uint32_t>(from.ranges.size())), from.ranges);
  write_list(to.initNumbers(static_cast<uint32_t>(from.numbers.size())), from.numbers);
}
void read(schema::PartialNorms::Reader from, PartialNorms* to) {
  read_list(from.getRanges(), &to->ranges);
  read_list(from.getNumbers(), &to->numbers);
}

void write(schema::GlobalNorm::Builder to, const GlobalNorm& from) {
  write(to.initRecord(), from.record);
}
void read(schema::GlobalNorm::Reader from, GlobalNorm* to) {
  read(from.getRecord(), &to->record);
}

void write(schema::PullRange::Builder to, const PullRange& from) {
  to.setRange(from.range);
  to.setVersion(from.version);
  to.setState(from.state);
}
void read(schema::PullRange::Reader from, PullRange* to) {
  to->range = from.getRange();
  to->version = from.getVersion();
  to->state = from.getState();
}

void write(schema::RangeData::Builder to, const RangeData& from) {
  to.setRange(from.range);
  to.setVersion(from.version);
  to.setState(from.state);
}
void read(schema::RangeData::Reader from, RangeData* to) {
  to->range = from.getRange();
  to->version = from.getVersion();
  to->state = from.getState();
}

void write_workers(capnp::List<uint64_t>::Builder to, const std::vector<WorkerId>& from) {
  for (uint32_t i = 0; i < from.size(); ++i) to.set(i, from[i].value);
}

void write(schema::HoldingsReport::Builder to, const HoldingsReport& from) {
  to.setJoined(from.joined.value);
  to.setDecided(from.decided.value);
  to.setReloaded(from.reloaded);
  write_list(to.initHoldings(static_cast<uint32_t>(from.holdings.size())), from.holdings);
  write_list(to.initRecords(static_cast<uint32_t>(from.records.size())), from.records);
  write_workers(to.initStale(static_cast<uint32_t>(from.stale.size())), from.stale);
}
void read(schema::HoldingsReport::Reader from, HoldingsReport* to) {
  to->joined.value = from.getJoined();
  to->decided.value = from.getDecided();
  to->reloaded = from.getReloaded();
  read_list(from.getHoldings(), &to->holdings);
  read_list(from.getRecords(), &to->records);
  for (const uint64_t worker : from.getStale()) to->stale.push_back({worker});
}

void write(schema::RecoveryDecision::Builder to, const RecoveryDecision& from) {
  to.setBase(from.base);
  to.setReload(from.reload);
  write_list(to.initRecords(static_cast<uint32_t>(from.records.size())), from.records);
  write_workers(to.initStale(static_cast<uint32_t>(from.stale.size())), from.stale);
  write_list(to.initSources(static_cast<uint32_t>(from.sources.size())), from.sources);
}
void read(schema::RecoveryDecision::Reader from, RecoveryDecision* to) {
  to->base = from.getBase();
  to->reload = from.getReload();
  read_list(from.getRecords(), &to->records);
  for (const uint64_t worker : from.getStale()) to->stale.push_back({worker});
  read_list(from.getSources(), &to->sources);
}

void write(schema::StageData::Builder to, const StageData& from) {
  to.setPass(from.pass);
  to.setKind(from.kind);
  to.setChunk(from.chunk);
  to.setMicroBatch(from.micro_batch);
  to.setSequence(from.sequence);
}
void read(schema::StageData::Reader from, StageData* to) {
  to->pass = from.getPass();
  to->kind = from.getKind();
  to->chunk = from.getChunk();
  to->micro_batch = from.getMicroBatch();
  to->sequence = from.getSequence();
}

void write(schema::StageTaken::Builder to, const StageTaken& from) {
  to.setPass(from.pass);
  to.setKind(from.kind);
  to.setTaken(from.taken);
  to.setArrived(from.arrived);
}
void read(schema::StageTaken::Reader from, StageTaken* to) {
  to->pass = from.getPass();
  to->kind = from.getKind();
  to->taken = from.getTaken();
  to->arrived = from.getArrived();
}

void write(schema::StageAbort::Builder to, const StageAbort& from) {
  to.setPass(from.pass);
  to.setCode(from.code);
  to.setReason(from.reason);
}
void read(schema::StageAbort::Reader from, StageAbort* to) {
  to->pass = from.getPass();
  to->code = from.getCode();
  to->reason = from.getReason();
}

// --- the union ------------------------------------------------------------------------------------------------------

using SchemaBody = schema::ShardMessage::Body;

#define STRAND_WRITE_BODY(Type, TAG, name)                    \
  void write_body(SchemaBody::Builder to, const Type& from) { \
    write(to.init##Type(), from);                             \
  }
STRAND_SHARD_MESSAGES(STRAND_WRITE_BODY)
#undef STRAND_WRITE_BODY

void read_body(SchemaBody::Reader from, ShardBody* to) {
  switch (from.which()) {
#define STRAND_READ_BODY(Type, TAG, name) \
  case SchemaBody::TAG: return read(from.get##Type(), &to->emplace<Type>());
    STRAND_SHARD_MESSAGES(STRAND_READ_BODY)
#undef STRAND_READ_BODY
    case SchemaBody::NOTHING: KJ_FAIL_REQUIRE("a message without a body");
  }
  KJ_FAIL_REQUIRE("unknown kind of message", static_cast<uint16_t>(from.which()));
}

}  // namespace

std::string encode_shard_message(const ShardMessage& message) {
  capnp::MallocMessageBuilder builder;
  auto root = builder.initRoot<schema::ShardMessage>();
  write_header(root.initHeader(), message.header);
  std::visit([&](const auto& body) { write_body(root.initBody(), body); }, message.body);
  return seal_frame(FrameKind::kShardMessage, kWireVersion, builder);
}

Result<ShardMessage> decode_shard_message(const void* data, size_t bytes) {
  ShardMessage message;
  STRAND_TRY(
      open_frame(data, bytes, FrameKind::kShardMessage, kWireVersion, nullptr, [&](capnp::MessageReader& reader) {
        auto root = reader.getRoot<schema::ShardMessage>();
        read_header(root.getHeader(), &message.header);
        read_body(root.getBody(), &message.body);
      }));
  return message;
}

const char* shard_message_name(const ShardBody& body) {
#define STRAND_NAME(Type, TAG, name) name,
  static constexpr const char* kNames[] = {STRAND_SHARD_MESSAGES(STRAND_NAME)};
#undef STRAND_NAME
  static_assert(std::size(kNames) == std::variant_size_v<ShardBody>);
  return kNames[body.index()];
}

}  // namespace strand
