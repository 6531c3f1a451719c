// What a data server does about requests: pure, the datasets and the sockets are behind the actions. It keeps no
// progress of any client; a request asked twice is answered twice.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "dataserver/dataset.h"
#include "shared/base/clock.h"
#include "shared/wire/messages.h"

namespace strand {

// Whom to answer.
struct Asker {
  std::string peer;
  Header header;  // of the request; the reply repeats it
};

struct BuildDataset {
  std::string key;  // Dataset::open of the specification with this key; result: on_built
};
struct ComputeMarkov {
  std::string key;  // Dataset::markov_bits; result: on_markov
};
struct CloseDataset {
  std::string key;  // drop it; nothing under way uses it
};
struct SendReply {
  Asker to;
  Body body;
};
struct ServeRows {
  Asker to;
  std::string key;
  FetchRows fetch;
};
using DataAction = std::variant<BuildDataset, ComputeMarkov, CloseDataset, SendReply, ServeRows>;
using DataActions = std::vector<DataAction>;

class DataStreamServer {
 public:
  // At once; the least recently used one that is not under way makes room.
  static constexpr size_t kMostDatasets = 8;
  // A refusal is repeated this long, then the next asking looks at the files again.
  static constexpr Duration kRefusalKept = std::chrono::seconds(2);
  // While the store is held by another process (a dying predecessor), building is tried again this often, this long.
  static constexpr Duration kRetryEvery = std::chrono::milliseconds(500);
  static constexpr Duration kRetryFor = std::chrono::seconds(20);

  // Always answered at once: building, ready or refused. The client asks again until it is what it wants.
  DataActions on_open(const Asker& asker, const std::string& key, const std::vector<FingerprintField>& expected,
                      Time now);
  // A specification that does not even parse.
  static SendReply refuse_open(const Asker& asker, const Error& error);
  // kNotFound for a fingerprint that is not open here: send OpenDataset again.
  DataActions on_fetch(const Asker& asker, const FetchRows& fetch, Time now);

  void on_progress(const std::string& key, double progress);
  DataActions on_built(const std::string& key, const Result<DatasetSummary>& built, Time now);
  void on_markov(const std::string& key, const Result<std::vector<double>>& bits);

 private:
  struct Entry {
    DatasetState state = DatasetState::kBuilding;
    bool under_way = true;  // an action of ours has not reported back
    double progress = 0;
    std::optional<Error> error;
    DatasetSummary summary;
    bool markov_ready = false;
    std::vector<double> markov_bits;
    Time first_asked, last_used, state_since;
  };
  Body status_of(const Entry& entry, const std::vector<FingerprintField>& expected) const;
  // False when every place is taken by work under way.
  bool make_room(DataActions* actions);

  std::map<std::string, Entry> entries_;
};

}  // namespace strand
