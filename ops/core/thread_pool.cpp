#include "ops/core/thread_pool.h"

#include <omp.h>
#include <xmmintrin.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "shared/base/check.h"

namespace strand {
namespace {

constexpr unsigned kFlushDenormals = 0x8040;  // FTZ and DAZ of MXCSR
// About 20 microseconds: ops follow each other faster than a sleeping thread wakes.
constexpr int kSpins = 1000;

// libgomp of this thread at one thread, denormals flushed; undone at the end of the scope.
class ComputeMode {
 public:
  ComputeMode() : omp_threads_(omp_get_max_threads()), mxcsr_(_mm_getcsr()) {
    omp_set_num_threads(1);
    _mm_setcsr(mxcsr_ | kFlushDenormals);
  }
  ~ComputeMode() {
    omp_set_num_threads(omp_threads_);
    // The sticky exception flags raised meanwhile are dropped with the mode.
    _mm_setcsr(mxcsr_);
  }
  ComputeMode(const ComputeMode&) = delete;
  ComputeMode& operator=(const ComputeMode&) = delete;

 private:
  int omp_threads_;
  unsigned mxcsr_;
};

}  // namespace

struct ThreadPool::State {
  std::vector<std::thread> workers;
  std::mutex mutex;
  std::condition_variable start;
  std::condition_variable done;
  // Guarded by mutex except where read as a hint while spinning.
  std::atomic<uint64_t> round{0};
  std::atomic<int> busy{0};
  bool stop = false;
  const std::function<void(int64_t, int)>* body = nullptr;
  int64_t tasks = 0;
  std::atomic<int64_t> next{0};

  void take_tasks(int thread) {
    for (int64_t task = next.fetch_add(1); task < tasks; task = next.fetch_add(1)) (*body)(task, thread);
  }

  void work(int thread) {
    ComputeMode mode;
    uint64_t seen = 0;
    while (true) {
      for (int i = 0; i < kSpins && round.load(std::memory_order_relaxed) == seen; ++i) _mm_pause();
      {
        std::unique_lock lock(mutex);
        start.wait(lock, [&] { return stop || round.load() != seen; });
        if (stop) return;
        seen = round.load();
      }
      take_tasks(thread);
      if (busy.fetch_sub(1) == 1) {
        std::lock_guard lock(mutex);
        done.notify_one();
      }
    }
  }
};

ThreadPool::ThreadPool(int threads) : state_(std::make_unique<State>()) {
  STRAND_CHECK(threads >= 1, "threads ", threads);
  for (int thread = 1; thread < threads; ++thread) {
    state_->workers.emplace_back([state = state_.get(), thread] { state->work(thread); });
  }
}

ThreadPool::~ThreadPool() {
  {
    std::lock_guard lock(state_->mutex);
    state_->stop = true;
  }
  state_->start.notify_all();
  for (std::thread& worker : state_->workers) worker.join();
}

int ThreadPool::threads() const {
  return static_cast<int>(state_->workers.size()) + 1;
}

void ThreadPool::run(int64_t tasks, const std::function<void(int64_t task, int thread)>& body) {
  ComputeMode mode;
  State& state = *state_;
  if (tasks <= 1 || state.workers.empty()) {
    for (int64_t task = 0; task < tasks; ++task) body(task, 0);
    return;
  }
  {
    std::lock_guard lock(state.mutex);
    STRAND_CHECK(state.busy.load() == 0, "ThreadPool::run is not reentrant");
    state.body = &body;
    state.tasks = tasks;
    state.next.store(0);
    state.busy.store(static_cast<int>(state.workers.size()));
    state.round.fetch_add(1);
  }
  state.start.notify_all();
  state.take_tasks(0);
  for (int i = 0; i < kSpins && state.busy.load(std::memory_order_relaxed) != 0; ++i) _mm_pause();
  std::unique_lock lock(state.mutex);
  state.done.wait(lock, [&] { return state.busy.load() == 0; });
}

}  // namespace strand
