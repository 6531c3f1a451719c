// Strand's own threads for compute. Tasks are numbered by shape alone and every task writes its own outputs, so
// results never depend on the number of threads.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

namespace strand {

class ThreadPool {
 public:
  // threads >= 1; the calling thread is one of them. Each thread runs with omp_set_num_threads(1) and with FTZ and
  // DAZ on, also the caller while inside run().
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const;
  // Calls body(task, thread) for task in [0, tasks), each once, and returns when all are done. `thread` in
  // [0, threads()) says which scratch to use. Not reentrant.
  void run(int64_t tasks, const std::function<void(int64_t task, int thread)>& body);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace strand
