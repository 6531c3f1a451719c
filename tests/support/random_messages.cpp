#include "tests/support/random_messages.h"

#include <cmath>
#include <limits>
#include <type_traits>
#include <utility>

namespace strand {
namespace {

// One overload for each kind of field; fill(random, a, b, ...) fills several.
template <class T>
requires std::is_integral_v<T>
void fill_one(TestRandom& random, T* value) {
  const uint64_t choice = random() % 4;
  *value = choice == 0   ? std::numeric_limits<T>::max()
           : choice == 1 ? std::numeric_limits<T>::min()
                         : static_cast<T>(random());
}
void fill_one(TestRandom& random, bool* value) {
  *value = random() % 2 == 1;
}
void fill_one(TestRandom& random, double* value) {
  *value = random() % 4 == 0 ? -std::numeric_limits<double>::infinity()
                             : std::ldexp(static_cast<double>(random()), static_cast<int>(random() % 200) - 100);
}
void fill_one(TestRandom& random, std::string* value) {
  value->resize(random() % 4 == 0 ? 0 : random() % 60);
  for (char& c : *value) c = static_cast<char>(random());
}
void fill_one(TestRandom& random, WorkerState* value) {
  *value = static_cast<WorkerState>(random() % 6);
}
void fill_one(TestRandom& random, RowSet* value) {
  *value = static_cast<RowSet>(random() % kRowSets);
}
void fill_one(TestRandom& random, DatasetState* value) {
  *value = static_cast<DatasetState>(random() % 3);
}
template <class Tag>
void fill_one(TestRandom& random, StrongId<Tag>* value) {
  fill_one(random, &value->value);
}

template <class... T>
void fill(TestRandom& random, T&... values);

void fill_one(TestRandom& random, Digest128* value) {
  fill(random, value->high, value->low);
}
void fill_one(TestRandom& random, FingerprintField* value) {
  fill(random, value->name, value->value);
}
void fill_one(TestRandom& random, ManifestPart* value) {
  fill(random, value->file, value->bytes, value->checksum);
}
void fill_one(TestRandom& random, BestEvaluation* value) {
  auto& [metric, step, best, since, last] = *value;
  fill(random, metric, step, best, since, last);
}
void fill_one(TestRandom& random, KeyRange* value) {
  fill(random, value->first_element, value->elements);
}
void fill_one(TestRandom& random, NamedMetric* value) {
  fill(random, value->name, value->value);
}
void fill_one(TestRandom& random, GroupMember* value) {
  auto& [worker, incarnation, replica, stage, endpoint] = *value;
  fill(random, worker, incarnation, replica, stage, endpoint);
}
void fill_one(TestRandom& random, PartBlock* value) {
  fill(random, value->tensor, value->block, value->elements, value->checksum[0], value->checksum[1],
       value->checksum[2]);
}
template <class T>
void fill_one(TestRandom& random, std::vector<T>* value) {
  value->resize(random() % 5);
  for (T& item : *value) fill_one(random, &item);
}

template <class... T>
void fill(TestRandom& random, T&... values) {
  (fill_one(random, &values), ...);
}

// The fields of a message, in order. A field left out here would also be left out of the round-trip test, so each
// structure is taken apart whole: a new field does not compile until it is named.
void fill_body(TestRandom& random, Hello& m) {
  auto& [host, pid, version, numerics, memory, state, endpoint] = m;
  fill(random, host, pid, version, numerics, memory, state, endpoint);
}
void fill_body(TestRandom& random, Welcome& m) {
  auto& [lease] = m;
  fill(random, lease);
}
void fill_body(TestRandom& random, Refused& m) {
  auto& [code, reason] = m;
  fill(random, code, reason);
}
void fill_body(TestRandom& random, Assign& m) {
  auto& [job, directory, endpoints, checkpoints, token, members, recorded, leaving] = m;
  fill(random, job, directory, endpoints, checkpoints, token, members, recorded, leaving);
}
void fill_body(TestRandom& random, Heartbeat& m) {
  auto& [state, work, suspects] = m;
  fill(random, state, work, suspects);
}
void fill_body(TestRandom& random, StepReport& m) {
  auto& [loss, norm, rate, tokens, step, data_wait, checkpoint_wait, evaluated, eval_loss, eval_bits, metrics, best,
         audit, base] = m;
  fill(random, loss, norm, rate, tokens, step, data_wait, checkpoint_wait, evaluated, eval_loss, eval_bits, metrics,
       best, audit, base);
}
void fill_body(TestRandom&, Ack&) {}
void fill_body(TestRandom& random, PartSaved& m) {
  auto& [file, bytes, checksum, digest, state_digest, next_row, dataset, best, ranges, block_digests] = m;
  fill(random, file, bytes, checksum, digest, state_digest, next_row, dataset, best, ranges, block_digests);
}
void fill_body(TestRandom& random, JobFinished& m) {
  auto& [train, eval, bits, markov, order, bases, tokens, rate, utilization, digest, state_digest, best, dev, test] = m;
  fill(random, train, eval, bits, markov, order, bases, tokens, rate, utilization, digest, state_digest, best, dev,
       test);
}
void fill_body(TestRandom& random, JobFailed& m) {
  auto& [code, reason, elsewhere] = m;
  fill(random, code, reason, elsewhere);
}
void fill_body(TestRandom& random, Stop& m) {
  auto& [checkpoint] = m;
  fill(random, checkpoint);
}
void fill_body(TestRandom&, Stopped&) {}
void fill_body(TestRandom& random, OpenDataset& m) {
  auto& [job, expected] = m;
  fill(random, job, expected);
}
void fill_body(TestRandom& random, DatasetStatus& m) {
  auto& [state, progress, code, reason, fingerprint, fields, segments, rows, bases, vocabulary, token_bases, ready,
         bits, segment, test_rows, labels, names, mean, deviation, longest, cut_rows, cut_tokens] = m;
  fill(random, state, progress, code, reason, fingerprint, fields, segments, rows, bases, vocabulary, token_bases,
       ready, bits, segment, test_rows, labels, names, mean, deviation, longest, cut_rows, cut_tokens);
}
void fill_body(TestRandom& random, FetchRows& m) {
  auto& [fingerprint, seed, set, first, rows] = m;
  fill(random, fingerprint, seed, set, first, rows);
}
void fill_body(TestRandom& random, Rows& m) {
  auto& [first, rows, segment, checksum, targets, labels, samples, token_bytes] = m;
  fill(random, first, rows, segment, checksum, targets, labels, samples, token_bytes);
}
void fill_body(TestRandom& random, DataRefused& m) {
  auto& [code, reason] = m;
  fill(random, code, reason);
}
void fill_body(TestRandom& random, ClientRequest& m) {
  auto& [command, json] = m;
  fill(random, command, json);
}
void fill_body(TestRandom& random, ClientReply& m) {
  auto& [code, json] = m;
  fill(random, code, json);
}

template <size_t... I>
Body body_of_kind(size_t kind, std::index_sequence<I...>) {
  Body body;
  ((kind == I ? void(body.emplace<I>()) : void()), ...);
  return body;
}

}  // namespace

WireMessage random_message(TestRandom& random, size_t kind) {
  WireMessage message{{}, body_of_kind(kind, std::make_index_sequence<std::variant_size_v<Body>>())};
  auto& [request, job, generation, sender, incarnation, step] = message.header;
  fill(random, request, job, generation, sender, incarnation, step);
  std::visit([&](auto& body) { fill_body(random, body); }, message.body);
  return message;
}

Manifest random_manifest(TestRandom& random) {
  Manifest manifest;
  auto& [job, generation, step, next_row, toml, numerics, dataset, digest, state_digest, parts, best] = manifest;
  fill(random, job, generation, step, next_row, toml, numerics, dataset, digest, state_digest, parts, best);
  return manifest;
}

PartHeader random_part_header(TestRandom& random) {
  PartHeader header;
  auto& [step, next_row, names, blocks] = header;
  fill(random, step, next_row, names, blocks);
  return header;
}

}  // namespace strand
