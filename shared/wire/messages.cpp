#include "shared/wire/messages.h"

#include <capnp/message.h>
#include <kj/debug.h>

#include "schemas/message.capnp.h"
#include "shared/wire/convert.h"
#include "shared/wire/frame.h"

// Kinds of messages: type, accessor suffix, union tag, name in logs. Order of Body.
#define STRAND_MESSAGES(X)                           \
  X(Hello, HELLO, "hello")                           \
  X(Welcome, WELCOME, "welcome")                     \
  X(Refused, REFUSED, "refused")                     \
  X(Assign, ASSIGN, "assign")                        \
  X(Heartbeat, HEARTBEAT, "heartbeat")               \
  X(StepReport, STEP_REPORT, "step_report")          \
  X(Ack, ACK, "ack")                                 \
  X(PartSaved, PART_SAVED, "part_saved")             \
  X(JobFinished, JOB_FINISHED, "job_finished")       \
  X(JobFailed, JOB_FAILED, "job_failed")             \
  X(Stop, STOP, "stop")                              \
  X(Stopped, STOPPED, "stopped")                     \
  X(OpenDataset, OPEN_DATASET, "open_dataset")       \
  X(DatasetStatus, DATASET_STATUS, "dataset_status") \
  X(FetchRows, FETCH_ROWS, "fetch_rows")             \
  X(Rows, ROWS, "rows")                              \
  X(DataRefused, DATA_REFUSED, "data_refused")       \
  X(ClientRequest, CLIENT_REQUEST, "client_request") \
  X(ClientReply, CLIENT_REPLY, "client_reply")

namespace strand {
namespace {

// --- parts ----------------------------------------------------------------------------------------------------------

capnp::Text::Reader text(const std::string& value) {
  return {value.c_str(), value.size()};
}

void write(schema::Header::Builder to, const Header& from) {
  to.setRequest(from.request);
  to.setJob(from.job.value);
  to.setGeneration(from.generation.value);
  to.setSender(from.sender.value);
  to.setIncarnation(from.incarnation.value);
  to.setStep(from.step);
}
void read(schema::Header::Reader from, Header* to) {
  to->request = from.getRequest();
  to->job.value = from.getJob();
  to->generation.value = from.getGeneration();
  to->sender.value = from.getSender();
  to->incarnation.value = from.getIncarnation();
  to->step = from.getStep();
}

// Values outside an enum throw; open_frame turns that into kCorrupt.
WorkerState read(schema::WorkerState from) {
  KJ_REQUIRE(from <= schema::WorkerState::FAILED, "unknown worker state");
  return static_cast<WorkerState>(from);
}
DatasetState read(schema::DatasetState from) {
  KJ_REQUIRE(from <= schema::DatasetState::REFUSED, "unknown dataset state");
  return static_cast<DatasetState>(from);
}

RowSet read(schema::RowSet from) {
  KJ_REQUIRE(from <= schema::RowSet::TEST, "unknown set of rows");
  return static_cast<RowSet>(from);
}

void write(capnp::List<double>::Builder to, const std::vector<double>& from) {
  for (uint32_t i = 0; i < from.size(); ++i) to.set(i, from[i]);
}
void write(capnp::List<uint64_t>::Builder to, const std::vector<uint64_t>& from) {
  for (uint32_t i = 0; i < from.size(); ++i) to.set(i, from[i]);
}
template <class T>
std::vector<T> read(typename capnp::List<T>::Reader from) {
  std::vector<T> to;
  to.reserve(from.size());
  for (const T value : from) to.push_back(value);
  return to;
}

void write(capnp::List<capnp::Text>::Builder to, const std::vector<std::string>& from) {
  for (uint32_t i = 0; i < from.size(); ++i) to.set(i, text(from[i]));
}
std::vector<std::string> read(capnp::List<capnp::Text>::Reader from) {
  std::vector<std::string> to;
  for (auto one : from) to.push_back(read_text(one));
  return to;
}

using SchemaFields = capnp::List<schema::FingerprintField>;
void write(SchemaFields::Builder to, const std::vector<FingerprintField>& from) {
  for (uint32_t i = 0; i < from.size(); ++i) {
    to[i].setName(text(from[i].name));
    to[i].setValue(text(from[i].value));
  }
}
std::vector<FingerprintField> read(SchemaFields::Reader from) {
  std::vector<FingerprintField> to;
  to.reserve(from.size());
  for (auto field : from) to.push_back({read_text(field.getName()), read_text(field.getValue())});
  return to;
}

// --- worker <-> coordinator -----------------------------------------------------------------------------------------

void write(schema::Hello::Builder to, const Hello& from) {
  to.setHost(text(from.host));
  to.setPid(from.pid);
  to.setVersion(text(from.version));
  to.setNumerics(text(from.numerics));
  to.setMemoryBytes(from.memory_bytes);
  to.setState(static_cast<schema::WorkerState>(from.state));
  to.setEndpoint(text(from.endpoint));
}
void read(schema::Hello::Reader from, Hello* to) {
  to->host = read_text(from.getHost());
  to->pid = from.getPid();
  to->version = read_text(from.getVersion());
  to->numerics = read_text(from.getNumerics());
  to->memory_bytes = from.getMemoryBytes();
  to->state = read(from.getState());
  to->endpoint = read_text(from.getEndpoint());
}

void write(schema::Welcome::Builder to, const Welcome& from) {
  to.setLeaseMilliseconds(from.lease_milliseconds);
}
void read(schema::Welcome::Reader from, Welcome* to) {
  to->lease_milliseconds = from.getLeaseMilliseconds();
}

void write(schema::Refused::Builder to, const Refused& from) {
  to.setCode(from.code);
  to.setReason(text(from.reason));
}
void read(schema::Refused::Reader from, Refused* to) {
  to->code = from.getCode();
  to->reason = read_text(from.getReason());
}

void write(schema::Assign::Member::Builder to, const GroupMember& from) {
  to.setWorker(from.worker.value);
  to.setIncarnation(from.incarnation.value);
  to.setReplica(from.replica);
  to.setStage(from.stage);
  to.setEndpoint(text(from.endpoint));
}
GroupMember read(schema::Assign::Member::Reader from) {
  return {
      {from.getWorker()}, {from.getIncarnation()}, from.getReplica(), from.getStage(), read_text(from.getEndpoint())};
}

void write(schema::Assign::Builder to, const Assign& from) {
  to.setJobToml(text(from.job_toml));
  to.setRunDirectory(text(from.run_directory));
  write(to.initDataEndpoints(from.data_endpoints.size()), from.data_endpoints);
  auto checkpoints = to.initCheckpoints(from.checkpoints.size());
  for (uint32_t i = 0; i < from.checkpoints.size(); ++i) checkpoints.set(i, from.checkpoints[i]);
  to.setDirectoryToken(text(from.directory_token));
  auto members = to.initMembers(from.members.size());
  for (uint32_t i = 0; i < from.members.size(); ++i) write(members[i], from.members[i]);
  to.setRecordedStep(from.recorded_step);
  auto leaving = to.initLeaving(from.leaving.size());
  for (uint32_t i = 0; i < from.leaving.size(); ++i) write(leaving[i], from.leaving[i]);
}
void read(schema::Assign::Reader from, Assign* to) {
  to->job_toml = read_text(from.getJobToml());
  to->run_directory = read_text(from.getRunDirectory());
  to->data_endpoints = read(from.getDataEndpoints());
  for (Step step : from.getCheckpoints()) to->checkpoints.push_back(step);
  to->directory_token = read_text(from.getDirectoryToken());
  for (auto member : from.getMembers()) to->members.push_back(read(member));
  to->recorded_step = from.getRecordedStep();
  for (auto member : from.getLeaving()) to->leaving.push_back(read(member));
}

void write(schema::Heartbeat::Builder to, const Heartbeat& from) {
  to.setState(static_cast<schema::WorkerState>(from.state));
  to.setWorkNanoseconds(from.work_nanoseconds);
  auto suspects = to.initSuspects(from.suspects.size());
  for (uint32_t i = 0; i < from.suspects.size(); ++i) suspects.set(i, from.suspects[i].value);
}
void read(schema::Heartbeat::Reader from, Heartbeat* to) {
  to->state = read(from.getState());
  to->work_nanoseconds = from.getWorkNanoseconds();
  for (const uint64_t suspect : from.getSuspects()) to->suspects.push_back({suspect});
}

void write(schema::StepReport::Builder to, const StepReport& from) {
  to.setLoss(from.loss);
  to.setGradientNorm(from.gradient_norm);
  to.setLearningRate(from.learning_rate);
  to.setTokens(from.tokens);
  to.setStepNanoseconds(from.step_nanoseconds);
  to.setDataWaitNanoseconds(from.data_wait_nanoseconds);
  to.setCheckpointWaitNanoseconds(from.checkpoint_wait_nanoseconds);
  to.setEvaluated(from.evaluated);
  to.setEvalLoss(from.eval_loss);
  to.setEvalBitsPerBase(from.eval_bits_per_base);
  auto metrics = to.initMetrics(from.metrics.size());
  for (uint32_t i = 0; i < from.metrics.size(); ++i) {
    metrics[i].setName(text(from.metrics[i].name));
    metrics[i].setValue(from.metrics[i].value);
  }
  write_best(to.initBest(), from.best, text);
  to.setAudit(from.audit);
  to.setBase(from.base);
}
void read(schema::StepReport::Reader from, StepReport* to) {
  to->loss = from.getLoss();
  to->gradient_norm = from.getGradientNorm();
  to->learning_rate = from.getLearningRate();
  to->tokens = from.getTokens();
  to->step_nanoseconds = from.getStepNanoseconds();
  to->data_wait_nanoseconds = from.getDataWaitNanoseconds();
  to->checkpoint_wait_nanoseconds = from.getCheckpointWaitNanoseconds();
  to->evaluated = from.getEvaluated();
  to->eval_loss = from.getEvalLoss();
  to->eval_bits_per_base = from.getEvalBitsPerBase();
  for (auto metric : from.getMetrics()) to->metrics.push_back({read_text(metric.getName()), metric.getValue()});
  to->best = read_best(from.getBest());
  to->audit = from.getAudit();
  to->base = from.getBase();
}

void write(schema::Ack::Builder, const Ack&) {}
void read(schema::Ack::Reader, Ack*) {}

void write(schema::PartSaved::Builder to, const PartSaved& from) {
  to.setFile(text(from.file));
  to.setBytes(from.bytes);
  write_digest(to.initChecksum(), from.checksum);
  write_digest(to.initDigest(), from.digest);
  write_digest(to.initStateDigest(), from.state_digest);
  to.setNextRow(from.next_row);
  write(to.initDataset(from.dataset.size()), from.dataset);
  write_best(to.initBest(), from.best, text);
  auto ranges = to.initRanges(from.ranges.size());
  for (uint32_t i = 0; i < from.ranges.size(); ++i) {
    ranges[i].setFirstElement(from.ranges[i].first_element);
    ranges[i].setElements(from.ranges[i].elements);
  }
  auto digests = to.initBlockDigests(from.block_digests.size());
  for (uint32_t i = 0; i < from.block_digests.size(); ++i) write_digest(digests[i], from.block_digests[i]);
}
void read(schema::PartSaved::Reader from, PartSaved* to) {
  to->file = read_text(from.getFile());
  to->bytes = from.getBytes();
  to->checksum = read_digest(from.getChecksum());
  to->digest = read_digest(from.getDigest());
  to->state_digest = read_digest(from.getStateDigest());
  to->next_row = from.getNextRow();
  to->dataset = read(from.getDataset());
  to->best = read_best(from.getBest());
  for (auto range : from.getRanges()) to->ranges.push_back({range.getFirstElement(), range.getElements()});
  for (auto digest : from.getBlockDigests()) to->block_digests.push_back(read_digest(digest));
}

void write(schema::JobFinished::Builder to, const JobFinished& from) {
  to.setTrainLoss(from.train_loss);
  to.setEvalLoss(from.eval_loss);
  to.setBitsPerBase(from.bits_per_base);
  to.setMarkovBitsPerBase(from.markov_bits_per_base);
  to.setMarkovOrder(from.markov_order);
  to.setEvalBases(from.eval_bases);
  to.setTokens(from.tokens);
  to.setTokensPerSecond(from.tokens_per_second);
  to.setFlopsUtilization(from.flops_utilization);
  write_digest(to.initDigest(), from.digest);
  write_digest(to.initStateDigest(), from.state_digest);
  write_best(to.initBest(), from.best, text);
  to.setDev(text(from.dev));
  to.setTest(text(from.test));
}
void read(schema::JobFinished::Reader from, JobFinished* to) {
  to->train_loss = from.getTrainLoss();
  to->eval_loss = from.getEvalLoss();
  to->bits_per_base = from.getBitsPerBase();
  to->markov_bits_per_base = from.getMarkovBitsPerBase();
  to->markov_order = from.getMarkovOrder();
  to->eval_bases = from.getEvalBases();
  to->tokens = from.getTokens();
  to->tokens_per_second = from.getTokensPerSecond();
  to->flops_utilization = from.getFlopsUtilization();
  to->digest = read_digest(from.getDigest());
  to->state_digest = read_digest(from.getStateDigest());
  to->best = read_best(from.getBest());
  to->dev = read_text(from.getDev());
  to->test = read_text(from.getTest());
}

void write(schema::JobFailed::Builder to, const JobFailed& from) {
  to.setCode(from.code);
  to.setReason(text(from.reason));
  to.setElsewhere(from.elsewhere);
}
void read(schema::JobFailed::Reader from, JobFailed* to) {
  to->code = from.getCode();
  to->reason = read_text(from.getReason());
  to->elsewhere = from.getElsewhere();
}

void write(schema::Stop::Builder to, const Stop& from) {
  to.setCheckpoint(from.checkpoint);
}
void read(schema::Stop::Reader from, Stop* to) {
  to->checkpoint = from.getCheckpoint();
}

void write(schema::Stopped::Builder, const Stopped&) {}
void read(schema::Stopped::Reader, Stopped*) {}

// --- data server ----------------------------------------------------------------------------------------------------

void write(schema::OpenDataset::Builder to, const OpenDataset& from) {
  to.setJobToml(text(from.job_toml));
  write(to.initExpected(from.expected.size()), from.expected);
}
void read(schema::OpenDataset::Reader from, OpenDataset* to) {
  to->job_toml = read_text(from.getJobToml());
  to->expected = read(from.getExpected());
}

void write(schema::DatasetStatus::Builder to, const DatasetStatus& from) {
  to.setState(static_cast<schema::DatasetState>(from.state));
  to.setProgress(from.progress);
  to.setCode(from.code);
  to.setReason(text(from.reason));
  write_digest(to.initFingerprint(), from.fingerprint);
  write(to.initFields(from.fields.size()), from.fields);
  to.setSegments(from.segments);
  to.setEvalRows(from.eval_rows);
  to.setEvalBases(from.eval_bases);
  to.setVocabulary(from.vocabulary);
  to.setTokenBases({from.token_bases.data(), from.token_bases.size()});
  to.setMarkovReady(from.markov_ready);
  write(to.initMarkovBits(from.markov_bits.size()), from.markov_bits);
  to.setSegment(from.segment);
  to.setTestRows(from.test_rows);
  to.setLabelsPerRow(from.labels_per_row);
  write(to.initOutputNames(from.output_names.size()), from.output_names);
  write(to.initLabelMean(from.label_mean.size()), from.label_mean);
  write(to.initLabelDeviation(from.label_deviation.size()), from.label_deviation);
  to.setLongestRow(from.longest_row);
  write(to.initCutRows(from.cut_rows.size()), from.cut_rows);
  write(to.initCutTokens(from.cut_tokens.size()), from.cut_tokens);
}
void read(schema::DatasetStatus::Reader from, DatasetStatus* to) {
  to->state = read(from.getState());
  to->progress = from.getProgress();
  to->code = from.getCode();
  to->reason = read_text(from.getReason());
  to->fingerprint = read_digest(from.getFingerprint());
  to->fields = read(from.getFields());
  to->segments = from.getSegments();
  to->eval_rows = from.getEvalRows();
  to->eval_bases = from.getEvalBases();
  to->vocabulary = from.getVocabulary();
  auto bases = from.getTokenBases();
  to->token_bases.assign(bases.begin(), bases.end());
  to->markov_ready = from.getMarkovReady();
  to->markov_bits = read<double>(from.getMarkovBits());
  to->segment = from.getSegment();
  to->test_rows = from.getTestRows();
  to->labels_per_row = from.getLabelsPerRow();
  to->output_names = read(from.getOutputNames());
  to->label_mean = read<double>(from.getLabelMean());
  to->label_deviation = read<double>(from.getLabelDeviation());
  to->longest_row = from.getLongestRow();
  to->cut_rows = read<uint64_t>(from.getCutRows());
  to->cut_tokens = read<uint64_t>(from.getCutTokens());
}

void write(schema::FetchRows::Builder to, const FetchRows& from) {
  write_digest(to.initFingerprint(), from.fingerprint);
  to.setSeed(from.seed);
  to.setSet(static_cast<schema::RowSet>(from.set));
  to.setFirstRow(from.first_row);
  to.setRows(from.rows);
}
void read(schema::FetchRows::Reader from, FetchRows* to) {
  to->fingerprint = read_digest(from.getFingerprint());
  to->seed = from.getSeed();
  to->set = read(from.getSet());
  to->first_row = from.getFirstRow();
  to->rows = from.getRows();
}

void write(schema::Rows::Builder to, const Rows& from) {
  to.setFirstRow(from.first_row);
  to.setRows(from.rows);
  to.setSegment(from.segment);
  to.setChecksum(from.checksum);
  to.setTargets(from.targets);
  to.setLabelsPerRow(from.labels_per_row);
  write(to.initSamples(from.samples.size()), from.samples);
  to.setTokenBytes(from.token_bytes);
}
void read(schema::Rows::Reader from, Rows* to) {
  to->first_row = from.getFirstRow();
  to->rows = from.getRows();
  to->segment = from.getSegment();
  to->checksum = from.getChecksum();
  to->targets = from.getTargets();
  to->labels_per_row = from.getLabelsPerRow();
  to->samples = read<uint64_t>(from.getSamples());
  to->token_bytes = from.getTokenBytes();
}

void write(schema::DataRefused::Builder to, const DataRefused& from) {
  to.setCode(from.code);
  to.setReason(text(from.reason));
}
void read(schema::DataRefused::Reader from, DataRefused* to) {
  to->code = from.getCode();
  to->reason = read_text(from.getReason());
}

// --- client ---------------------------------------------------------------------------------------------------------

void write(schema::ClientRequest::Builder to, const ClientRequest& from) {
  to.setCommand(text(from.command));
  to.setJson(text(from.json));
}
void read(schema::ClientRequest::Reader from, ClientRequest* to) {
  to->command = read_text(from.getCommand());
  to->json = read_text(from.getJson());
}

void write(schema::ClientReply::Builder to, const ClientReply& from) {
  to.setCode(from.code);
  to.setJson(text(from.json));
}
void read(schema::ClientReply::Reader from, ClientReply* to) {
  to->code = from.getCode();
  to->json = read_text(from.getJson());
}

// --- the union ------------------------------------------------------------------------------------------------------

using SchemaBody = schema::Message::Body;

#define STRAND_WRITE_BODY(Type, TAG, name)                    \
  void write_body(SchemaBody::Builder to, const Type& from) { \
    write(to.init##Type(), from);                             \
  }
STRAND_MESSAGES(STRAND_WRITE_BODY)
#undef STRAND_WRITE_BODY

void read_body(SchemaBody::Reader from, Body* to) {
  switch (from.which()) {
#define STRAND_READ_BODY(Type, TAG, name) \
  case SchemaBody::TAG: return read(from.get##Type(), &to->emplace<Type>());
    STRAND_MESSAGES(STRAND_READ_BODY)
#undef STRAND_READ_BODY
    case SchemaBody::NOTHING: KJ_FAIL_REQUIRE("a message without a body");
  }
  KJ_FAIL_REQUIRE("unknown kind of message", static_cast<uint16_t>(from.which()));
}

}  // namespace

std::string encode_message(const WireMessage& message) {
  capnp::MallocMessageBuilder builder;
  auto root = builder.initRoot<schema::Message>();
  write(root.initHeader(), message.header);
  std::visit([&](const auto& body) { write_body(root.initBody(), body); }, message.body);
  return seal_frame(FrameKind::kMessage, kWireVersion, builder);
}

Result<WireMessage> decode_message(const void* data, size_t bytes) {
  WireMessage message;
  STRAND_TRY(open_frame(data, bytes, FrameKind::kMessage, kWireVersion, nullptr, [&](capnp::MessageReader& reader) {
    auto root = reader.getRoot<schema::Message>();
    read(root.getHeader(), &message.header);
    read_body(root.getBody(), &message.body);
  }));
  return message;
}

const char* row_set_name(RowSet set) {
  constexpr const char* kNames[] = {"training", "held-out", "test"};
  return kNames[static_cast<size_t>(set)];
}

const char* message_name(const Body& body) {
#define STRAND_NAME(Type, TAG, name) name,
  static constexpr const char* kNames[] = {STRAND_MESSAGES(STRAND_NAME)};
#undef STRAND_NAME
  static_assert(std::size(kNames) == std::variant_size_v<Body>);
  return kNames[body.index()];
}

}  // namespace strand
