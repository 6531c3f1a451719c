// The counters of a data server, as /metrics shows them.
#pragma once

#include <numeric>

#include "dataserver/dataset.h"
#include "dataserver/row_answer.h"
#include "shared/metrics/metrics.h"

namespace strand {

struct ServingMetrics {
  explicit ServingMetrics(MetricsRegistry* registry)
      : requests(registry->counter("strand_data_requests_total", "Requests answered")),
        batches(registry->counter("strand_data_batches_total", "Batches of rows made")),
        rows(registry->counter("strand_data_rows_total", "Rows served")),
        tokens(registry->counter("strand_data_tokens_total", "Tokens served, padding not counted")),
        bytes(registry->counter("strand_data_bytes_total", "Bytes of the bulk frames served")),
        cut_tokens(registry->counter("strand_data_cut_tokens_total", "Tokens beyond a row's length, dropped")),
        dropped(registry->counter("strand_data_messages_dropped_total", "Messages damaged, unknown or unanswerable")),
        expired(registry->counter("strand_data_requests_expired_total", "Requests that nobody repeated in time")),
        held(registry->counter("strand_data_answers_held_total", "Answers that waited for room in a client's queue")),
        turned_away(registry->counter("strand_data_clients_refused_total", "Connections whose key is not listed")),
        cache_hits(registry->counter("strand_data_cache_hits_total", "Chunks of bases found in memory")),
        cache_misses(registry->counter("strand_data_cache_misses_total", "Chunks of bases read from the store")),
        cache_bytes(registry->gauge("strand_data_cache_bytes", "Chunks of bases in memory")),
        clients(registry->gauge("strand_data_clients", "Clients that asked for rows in the last minute")),
        waiting(registry->gauge("strand_data_waiting_requests", "Requests for rows not answered yet")),
        datasets(registry->gauge("strand_data_datasets", "Datasets open")),
        serving(registry->histogram("strand_data_serve_seconds", "Time to make the rows of one request")),
        time_to_batch(registry->histogram("strand_data_time_to_batch_seconds",
                                          "From the arrival of a request to its answer in the transport")) {}

  void count(const RowBlock& block, const RowAnswer& answer) {
    batches.add();
    rows.add(block.lengths.size());
    tokens.add(std::accumulate(block.lengths.begin(), block.lengths.end(), uint64_t{0}));
    bytes.add(answer.bytes);
    cut_tokens.add(block.cut_tokens);
  }

  Counter &requests, &batches, &rows, &tokens, &bytes, &cut_tokens, &dropped, &expired, &held, &turned_away,
      &cache_hits, &cache_misses;
  Gauge &cache_bytes, &clients, &waiting, &datasets;
  Histogram &serving, &time_to_batch;
};

}  // namespace strand
