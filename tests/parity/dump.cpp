// Strand's side of the comparison with PyTorch (strand.py is the other end):
//   parity_dump table REQUEST    prints [{"name", "shape", "decayed"}, ...]: the parameters in flat order
//   parity_dump run REQUEST      computes, writes files, prints {"loss", "targets", "losses"}
// REQUEST is JSON: {"job": {"model.preset": "opt-125m", "train.clip": 1, ...}, "rows", "segment", "steps", "bf16",
// "threads", "in": folder, "out": folder, "outputs": [names]}.
// Reads from `in`, little-endian: weights (fp32, flat), ids, targets (int32 [steps][rows][segment]; -100: none),
// lengths (int32 [steps][rows]); for "fed" also gradients (fp32 [steps][parameters], means over targets). Writes the
// named of:
//   hidden    fp32 [layers + 1][rows * segment][hidden]: the input of each block, and the last block's output
//   logits    fp32 [rows * segment][vocabulary]
//   gradient  fp32 [parameters], of the sum over targets
//   trained   fp32 [parameters], the weights after `steps` updates, one batch each
//   fed       fp32 [parameters], the weights after AdamW alone on `gradients`
// The first three are of the first batch; so are "loss" (a sum) and "targets". "losses" are means, one a step.
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "shared/base/check.h"
#include "tests/parity/parity_model.h"
#include "worker/params/optimizer.h"

namespace strand::parity {
namespace {

struct Request {
  JobSpec spec;
  int64_t rows = 0, segment = 0, steps = 0;
  bool bf16 = false;
  int threads = 1;
  std::string in, out;
  std::vector<std::string> outputs;

  bool wants(const char* name) const { return std::find(outputs.begin(), outputs.end(), name) != outputs.end(); }
};

// The values at [first, first + out.size()) of a file.
template <class T>
void read(const Request& request, const char* name, int64_t first, std::span<T> out) {
  std::ifstream in(request.in + "/" + name, std::ios::binary);
  in.seekg(first * static_cast<int64_t>(sizeof(T)));
  in.read(reinterpret_cast<char*>(out.data()), static_cast<std::streamsize>(out.size_bytes()));
  STRAND_CHECK(in.good(), request.in, "/", name, ": expected ", out.size(), " values from number ", first);
}

void append(std::ofstream& out, std::span<const float> values) {
  out.write(reinterpret_cast<const char*>(values.data()), static_cast<std::streamsize>(values.size_bytes()));
}

void write(const Request& request, const char* name, std::span<const float> values) {
  std::ofstream out(request.out + "/" + name, std::ios::binary);
  append(out, values);
  out.close();
  STRAND_CHECK(out.good(), request.out, "/", name, ": cannot write");
}

TokenRows batch_of(const Request& request, int64_t step) {
  const int64_t tokens = request.rows * request.segment;
  TokenRows batch;
  batch.ids.resize(static_cast<size_t>(tokens));
  batch.targets.resize(static_cast<size_t>(tokens));
  batch.lengths.resize(static_cast<size_t>(request.rows));
  read(request, "ids", step * tokens, std::span(batch.ids));
  read(request, "targets", step * tokens, std::span(batch.targets));
  read(request, "lengths", step * request.rows, std::span(batch.lengths));
  return batch;
}

void load(const Request& request, ParityModel& model) {
  read(request, "weights", 0, model.weights());
  model.ready();
}

void write_hidden(const Request& request, const ParityModel& model) {
  std::ofstream out(request.out + "/hidden", std::ios::binary);
  for (int64_t layer = 0; layer <= request.spec.model.config.layers; ++layer) append(out, model.hidden(layer));
  out.close();
  STRAND_CHECK(out.good(), request.out, "/hidden: cannot write");
}

// Trains from the loaded weights; the mean loss of each step.
Json train(const Request& request, ParityModel& model) {
  Json losses = Json::array();
  for (int64_t step = 0; step < request.steps; ++step) {
    const CrossEntropySum sum = model.run(batch_of(request, step));
    losses.push_back(sum.loss / static_cast<double>(sum.targets));
    model.step(sum.targets);
  }
  return losses;
}

void feed(const Request& request, ParityModel& model) {
  const auto elements = static_cast<int64_t>(model.weights().size());
  std::vector<float> gradient(model.weights().size());
  for (int64_t step = 0; step < request.steps; ++step) {
    read(request, "gradients", step * elements, std::span(gradient));
    model.step(gradient.data(), 1);
  }
}

Json run(const Request& request) {
  ParityModel model(request.spec, request.rows, request.segment, request.bf16, request.threads);
  load(request, model);
  const CrossEntropySum sum = model.run(batch_of(request, 0));
  if (request.wants("hidden")) write_hidden(request, model);
  if (request.wants("logits")) write(request, "logits", model.logits());
  if (request.wants("gradient")) write(request, "gradient", model.gradient());
  Json losses = Json::array();
  if (request.wants("trained")) {
    losses = train(request, model);
    write(request, "trained", model.weights());
  }
  if (request.wants("fed")) {
    ParityModel fed(request.spec, request.rows, request.segment, request.bf16, request.threads);
    load(request, fed);
    feed(request, fed);
    write(request, "fed", fed.weights());
  }
  return {{"loss", sum.loss}, {"targets", sum.targets}, {"losses", losses}};
}

Json table(const Request& request) {
  Json tensors = Json::array();
  for (const ParameterInfo& tensor : parameter_table(request.spec.model.config)) {
    const bool decayed = weight_decay(request.spec.train, tensor.decay) != 0;
    tensors.push_back({{"name", tensor.name}, {"shape", tensor.shape}, {"decayed", decayed}});
  }
  return tensors;
}

Result<Request> parse(const std::string& text) {
  STRAND_ASSIGN(const Json json, parse_json(text, "request"));
  Request request;
  STRAND_ASSIGN(request.spec, job_of(json.at("job")));
  request.rows = json.value("rows", int64_t{0});
  request.segment = json.value("segment", int64_t{0});
  request.steps = json.value("steps", int64_t{0});
  request.bf16 = json.value("bf16", false);
  request.threads = json.value("threads", 1);
  request.in = json.value("in", "");
  request.out = json.value("out", "");
  request.outputs = json.value("outputs", std::vector<std::string>{});
  return request;
}

int main_of(const std::string& command, const std::string& text) {
  const auto request = parse(text);
  if (!request.ok()) {
    std::fprintf(stderr, "parity_dump: %s\n", request.error().message().c_str());
    return 2;
  }
  std::cout << dump_json(command == "table" ? table(*request) : run(*request)) << '\n';
  return 0;
}

}  // namespace
}  // namespace strand::parity

int main(int argc, char** argv) {
  const std::string command = argc == 3 ? argv[1] : "";
  if (command != "table" && command != "run") {
    std::fprintf(stderr, "usage: parity_dump table|run REQUEST\n");
    return 2;
  }
  return strand::parity::main_of(command, argv[2]);
}
