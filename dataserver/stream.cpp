#include "dataserver/stream.h"

#include "shared/base/text.h"

namespace strand {

namespace {

bool may_pass(const Error& error) {
  return error.code() == ErrorCode::kConflict || error.code() == ErrorCode::kUnavailable;
}

DatasetStatus refusal(const Error& error) {
  DatasetStatus status;
  status.state = DatasetState::kRefused;
  status.code = static_cast<uint8_t>(error.code());
  status.reason = error.message();
  return status;
}

SendReply refuse_fetch(const Asker& asker, ErrorCode code, std::string reason) {
  return {asker, DataRefused{static_cast<uint8_t>(code), std::move(reason)}};
}

}  // namespace

SendReply DataStreamServer::refuse_open(const Asker& asker, const Error& error) {
  return {asker, refusal(error)};
}

bool DataStreamServer::make_room(DataActions* actions) {
  if (entries_.size() < kMostDatasets) return true;
  auto oldest = entries_.end();
  for (auto at = entries_.begin(); at != entries_.end(); ++at) {
    if (at->second.under_way) continue;
    if (oldest == entries_.end() || at->second.last_used < oldest->second.last_used) oldest = at;
  }
  if (oldest == entries_.end()) return false;
  actions->push_back(CloseDataset{oldest->first});
  entries_.erase(oldest);
  return true;
}

Body DataStreamServer::status_of(const Entry& entry, const std::vector<FingerprintField>& expected) const {
  if (entry.state == DatasetState::kRefused) return refusal(*entry.error);
  DatasetStatus status;
  status.state = entry.state;
  status.progress = entry.progress;
  if (entry.state == DatasetState::kBuilding) return status;
  const DatasetSummary& summary = entry.summary;
  const std::string difference = expected.empty() ? "" : first_difference(expected, summary.fields);
  if (!difference.empty()) {
    return refusal(bad_input(concat(difference, "; the data, tokenizer or cutting is not what this run began with: ",
                                    "restore it, or start a new job")));
  }
  status.fingerprint = summary.fingerprint;
  status.fields = summary.fields;
  status.segments = summary.segments;
  status.eval_rows = summary.eval_rows;
  status.eval_bases = summary.eval_bases;
  status.vocabulary = summary.vocabulary;
  status.token_bases = summary.token_bases;
  status.segment = static_cast<uint32_t>(summary.segment);
  status.test_rows = summary.test_rows;
  status.labels_per_row = summary.labels_per_row;
  status.output_names = summary.output_names;
  status.label_mean = summary.label_mean;
  status.label_deviation = summary.label_deviation;
  status.longest_row = summary.longest_row;
  status.cut_rows = summary.cut_rows;
  status.cut_tokens = summary.cut_tokens;
  status.markov_ready = entry.markov_ready;
  status.markov_bits = entry.markov_bits;
  return status;
}

DataActions DataStreamServer::on_open(const Asker& asker, const std::string& key,
                                      const std::vector<FingerprintField>& expected, Time now) {
  DataActions actions;
  auto found = entries_.find(key);
  if (found == entries_.end()) {
    if (!make_room(&actions)) {
      actions.push_back(refuse_open(
          asker, unavailable(concat("already building ", kMostDatasets, " datasets; ask again when one is done"))));
      return actions;
    }
    found = entries_.emplace(key, Entry{}).first;
    found->second.first_asked = found->second.state_since = now;
    actions.push_back(BuildDataset{key});
  }
  Entry& entry = found->second;
  const Duration age = now - entry.state_since;
  const bool waited = entry.state == DatasetState::kBuilding && !entry.under_way && age >= kRetryEvery;
  const bool forgotten = entry.state == DatasetState::kRefused && age >= kRefusalKept;
  if (waited || forgotten) {
    if (forgotten) entry.first_asked = now;
    entry.state = DatasetState::kBuilding;
    entry.under_way = true;
    entry.progress = 0;
    entry.error.reset();
    actions.push_back(BuildDataset{key});
  }
  entry.last_used = now;
  actions.push_back(SendReply{asker, status_of(entry, expected)});
  return actions;
}

DataActions DataStreamServer::on_fetch(const Asker& asker, const FetchRows& fetch, Time now) {
  for (auto& [key, entry] : entries_) {
    if (entry.state != DatasetState::kReady || entry.summary.fingerprint != fetch.fingerprint) continue;
    entry.last_used = now;
    return {ServeRows{asker, key, fetch}};
  }
  return {refuse_fetch(asker, ErrorCode::kNotFound,
                       concat("dataset ", fetch.fingerprint.hex(), " is not open here; send open_dataset first"))};
}

void DataStreamServer::on_progress(const std::string& key, double progress) {
  const auto found = entries_.find(key);
  if (found != entries_.end()) found->second.progress = progress;
}

DataActions DataStreamServer::on_built(const std::string& key, const Result<DatasetSummary>& built, Time now) {
  Entry& entry = entries_.at(key);
  entry.state_since = now;
  if (built.ok()) {
    entry.state = DatasetState::kReady;
    entry.progress = 1;
    entry.summary = *built;
    return {ComputeMarkov{key}};  // still under way
  }
  entry.under_way = false;
  if (may_pass(built.error()) && now - entry.first_asked < kRetryFor) return {};  // stays building
  entry.state = DatasetState::kRefused;
  entry.error = built.error();
  return {};
}

void DataStreamServer::on_markov(const std::string& key, const Result<std::vector<double>>& bits) {
  Entry& entry = entries_.at(key);
  entry.under_way = false;
  entry.markov_ready = true;  // without figures after an error: nobody should wait for them for ever
  if (bits.ok()) entry.markov_bits = *bits;
}

}  // namespace strand
