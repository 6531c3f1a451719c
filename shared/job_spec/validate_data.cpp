// [tokenizer] and [data].
#include <algorithm>
#include <numeric>
#include <set>

#include "shared/job_spec/checks.h"

namespace strand {
namespace {

constexpr size_t kMostSources = 255;
constexpr size_t kMostMixtures = 100;
constexpr int64_t kMostShift = 1 << 20;

std::string element(const char* list, size_t index, const char* key) {
  return index == 0 ? concat(list, ".", key) : concat(list, "[", index, "].", key);
}

bool is_held_out(const DataSpec& data, const std::string& source) {
  const auto& names = data.holdout.sources;
  return std::find(names.begin(), names.end(), source) != names.end();
}

void validate_names(const DataSpec& d, const Report& report) {
  std::set<std::string> names;
  for (size_t i = 0; i < d.sources.size(); ++i) {
    const SourceSpec& source = d.sources[i];
    const std::string key = element("data.source", i, "name");
    if (source.name.empty()) {
      report(key, "give the source a name: name = \"human\"");
    } else if (source.name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") !=
               std::string::npos) {
      report(key, concat("may hold letters, digits, '-', '_' and '.', found \"", source.name,
                         "\": it stands before the names of the source's records"));
    } else if (!names.insert(source.name).second) {
      report(key, concat("\"", source.name, "\" is the name of two sources: give each its own"));
    }
    if (source.files.empty()) {
      report(element("data.source", i, "files"), "name at least one file of sequences: files = [\"genome.fna.gz\"]");
    }
  }
  for (const std::string& name : d.holdout.sources) {
    if (names.contains(name)) continue;
    const std::string near = nearest_name(name, {names.begin(), names.end()});
    report("data.holdout.sources", concat("no [[data.source]] is named \"", name, "\"",
                                          near.empty() ? "" : concat("; did you mean \"", near, "\"?")));
  }
}

// All sources that train have a weight, or none has.
void validate_weights(const DataSpec& d, const Report& report) {
  size_t with = 0, training = 0;
  double sum = 0;
  for (size_t i = 0; i < d.sources.size(); ++i) {
    const SourceSpec& source = d.sources[i];
    const bool trains = !is_held_out(d, source.name);
    if (!trains && source.weight > 0) {
      report(element("data.source", i, "weight"), "the source is held out, so it has no rows in training: remove it");
    }
    training += trains;
    with += trains && source.weighted();
    if (trains && source.weighted()) sum += source.weight;
  }
  if (training == 0) return report("data.holdout.sources", "holds out every source: nothing is left to train on");
  if (with != 0 && with != training) {
    report("data.source.weight", concat("is there for ", with, " of ", training,
                                        " sources that train: give each a weight, or none (then data.temperature "
                                        "decides)"));
  } else if (with != 0 && !(sum > 0)) {
    report("data.source.weight", "is 0 for every source: give one of them more");
  }
  if (with != 0 && d.temperature != 1) {
    report("data.temperature", "weighs sources by their sizes; they have weights already: give one of the two");
  }
}

void validate_mixtures(const DataSpec& d, const Report& report) {
  if (d.mixture.size() > kMostMixtures) {
    report("data.mixture", concat("must be there at most ", kMostMixtures, " times, found ", d.mixture.size()));
  }
  int64_t before = 1;
  for (size_t i = 0; i < d.mixture.size(); ++i) {
    const MixtureSpec& mixture = d.mixture[i];
    if (mixture.from_step <= before) {
      report(element("data.mixture", i, "from_step"),
             concat("must be above ", before, i == 0 ? ", since [[data.source]] says how step 1 begins" : ", as before",
                    "; found ", mixture.from_step));
    }
    before = std::max(before, mixture.from_step);
    const std::string key = element("data.mixture", i, "weights");
    if (mixture.weights.size() != d.sources.size()) {
      report(key, concat("must name a weight for each of the ", d.sources.size(), " sources, in their order; found ",
                         mixture.weights.size()));
      continue;
    }
    if (std::any_of(mixture.weights.begin(), mixture.weights.end(), [](double w) { return w < 0; })) {
      report(key, "must not be negative; 0 leaves a source out");
    } else if (!(std::accumulate(mixture.weights.begin(), mixture.weights.end(), 0.0) > 0)) {
      report(key, "are all 0: give one source more");
    }
    for (size_t s = 0; s < d.sources.size(); ++s) {
      if (mixture.weights[s] > 0 && is_held_out(d, d.sources[s].name)) {
        report(key, concat("source \"", d.sources[s].name, "\" is held out: its weight must be 0"));
      }
    }
  }
}

void validate_sources(const DataSpec& d, const Report& report) {
  if (d.sources.empty()) {
    if (d.temperature != 1) report("data.temperature", "weighs the sources of [[data.source]], and there are none");
    if (!d.mixture.empty()) report("data.mixture", "weighs the sources of [[data.source]], and there are none");
    if (!d.holdout.sources.empty()) {
      report("data.holdout.sources", "names sources of [[data.source]], and there are none");
    }
    return;
  }
  if (!d.files.empty()) {
    report("data.files", "and [[data.source]] are two ways to say the same: name every file in its source");
  }
  if (d.sources.size() > kMostSources) {
    report("data.source", concat("must be there at most ", kMostSources, " times, found ", d.sources.size()));
  }
  if (!(d.temperature > 0)) report("data.temperature", concat("must be above 0, found ", d.temperature));
  validate_names(d, report);
  validate_weights(d, report);
  validate_mixtures(d, report);
}

void validate_rows(const DataSpec& d, const Report& report) {
  at_least(report, "data.segment", d.segment, 2);
  at_most(report, "data.segment", d.segment, 65535);
  at_least(report, "data.segment_bases", d.segment_bases, 0);
  at_most(report, "data.segment_bases", d.segment_bases, int64_t{1} << 32);
  at_least(report, "data.stride", d.stride, 0);
  at_most(report, "data.stride", d.stride, int64_t{1} << 32);
  at_least(report, "data.shift", d.shift, 0);
  at_most(report, "data.shift", d.shift, kMostShift);
  if (!d.packing) return;
  if (d.shift != 0) report("data.shift", "moves windows, and packing cuts rows without any: leave one of the two out");
  if (d.stride != 0)
    report("data.stride", "is of windows, and packing cuts rows without any: leave one of the two out");
  if (d.segment_bases != 0) {
    report("data.segment_bases", "is of windows, and packing fills rows with tokens: leave one of the two out");
  }
}

void validate_holdout(const DataSpec& d, const Report& report) {
  const HoldoutSpec& h = d.holdout;
  const int ways =
      (h.fraction != 0) + !h.records.empty() + !h.files.empty() + !h.intervals.empty() + !h.sources.empty();
  if (ways > 1) report("data.holdout", "give exactly one of fraction, records, files, intervals, sources");
  within(report, "data.holdout.fraction", h.fraction, 0, 1);
}

void validate_tokenizer(const JobSpec& spec, const Report& report) {
  const TokenizerSpec& t = spec.tokenizer;
  const int64_t vocabulary = spec.model.config.vocabulary;
  int64_t ids = 0;
  if (t.kind == TokenizerKind::kNucleotide) ids = 16;
  if (t.kind == TokenizerKind::kBpe) ids = t.vocabulary;
  if (t.kind == TokenizerKind::kKmer) {
    if (t.k < 1 || t.k > 7) {
      report("tokenizer.k", concat("must be from 1 to 7, found ", t.k));
    } else if (t.overlapping) {
      ids = (int64_t{1} << (2 * t.k)) + 5;  // 5 special tokens
    } else {
      ids = (t.k > 1 ? int64_t{1} << (2 * t.k) : 0) + 9;  // k-mers, 4 special tokens, the letters A T C G N
    }
  }
  if (t.overlapping && t.kind != TokenizerKind::kKmer) {
    report("tokenizer.overlapping", "is how k-mers are cut: set tokenizer.kind = \"kmer\", or remove it");
  }
  if (t.bos_eos && t.kind != TokenizerKind::kNucleotide) {
    report("tokenizer.bos_eos",
           "belongs to the nucleotide tokenizer: set tokenizer.kind = \"nucleotide\", or remove it");
  }
  if (t.kind == TokenizerKind::kBpe) {
    at_least(report, "tokenizer.vocabulary", t.vocabulary, 10);
    at_least(report, "tokenizer.max_length", t.max_length, 2);
    at_most(report, "tokenizer.max_length", t.max_length, 255);
  }
  if (t.kind == TokenizerKind::kFile && t.file.empty()) {
    report("tokenizer.file", "name the tokenizer.json that kind = \"file\" reads");
  }
  if (ids > vocabulary) {
    report("model.vocabulary", concat("the tokenizer has ", ids, " ids, the model only ", vocabulary,
                                      "; set model.vocabulary to at least ", ids));
  }
}

}  // namespace

void validate_data(const JobSpec& spec, const Report& report) {
  const DataSpec& d = spec.data;
  if (d.files.empty() && d.sources.empty() && spec.job.kind == "pretrain") {
    report("data.files", "name at least one FASTA file: files = [\"genome.fna.gz\"]");
  }
  validate_rows(d, report);
  if (d.segment > spec.model.config.max_sequence) {
    report("data.segment", concat("rows of ", d.segment, " tokens do not fit model.max_sequence = ",
                                  spec.model.config.max_sequence, "; shorten segment or raise max_sequence"));
  }
  const std::vector<std::string> files = d.all_files();
  if (std::set(files.begin(), files.end()).size() != files.size()) {
    report(d.sources.empty() ? "data.files" : "data.source.files",
           "names a file twice: its records would be there twice");
  }
  validate_sources(d, report);
  validate_holdout(d, report);
  validate_tokenizer(spec, report);
}

}  // namespace strand
