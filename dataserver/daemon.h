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
  MetricsRegistry* metrics = nullptr;                          // empty: counted and logged at the end only
};

// Serves until told to stop. Errors: kConflict (endpoint in use), kBadInput (address). What is wrong with a dataset,
// the store included, is told to those who open it. One thread serves rows; one builds; one computes Markov baselines.
Status run_dataserver(const DataServerOptions& options);

}  // namespace strand
