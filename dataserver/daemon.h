// The data server process: real socket, disk, clock and threads around DataStreamServer.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "shared/base/result.h"
#include "shared/metrics/metrics.h"
#include "shared/net/transport.h"

namespace strand {

struct DataServerOptions {
  std::string endpoint;       // "ipc:///path" or "tcp://host:port", port 0 = any free
  std::string run_directory;  // the store is <run_directory>/store, opened when the first dataset is asked for
  std::function<std::unique_ptr<Transport>()> make_transport;  // empty: ZeroMQ without keys
  const std::atomic<bool>* stop = nullptr;                     // set by a signal: end; clients ask again later
  std::function<void(const std::string& endpoint)> ready;      // called once, when clients may come
  std::function<void(const std::string& address)> http_ready;  // called once, before `ready`, with where HTTP is
  std::string http;                    // "127.0.0.1:9101", port 0 = any free: /metrics and /healthz there; empty: none
  MetricsRegistry* metrics = nullptr;  // empty: one of its own
};

// Serves until told to stop. Errors: kConflict (endpoint or port in use), kBadInput (address). What is wrong with a
// dataset, the store included, is told to those who open it. One thread serves rows; one builds; one computes Markov
// baselines. Every client's requests are answered in order, and of the clients the one first that has had the least;
// one that does not read its answers holds up nobody and costs a bounded amount of memory (answer_sender.h).
Status run_dataserver(const DataServerOptions& options);

}  // namespace strand
