// How close the executor comes to the simulator: the stages of one replica as processes with a worker's hub and
// mailbox, every instruction a sleep. Ends with 1 when a step (the median of the rounds) takes more than
// 1.05 of what the simulator says.
//   pipeline_bench [--schedule all|gpipe|1f1b|interleaved|zb-h1] [--stages N] [--chunks N, of interleaved]
//                  [--micro-batches N] [--milliseconds N, of an instruction] [--rounds N] [--draw 0|1]
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "shared/base/check.h"
#include "shared/base/text.h"
#include "worker/group/peer_hub.h"
#include "worker/group/stage_mailbox.h"
#include "worker/pipeline/executor.h"
#include "worker/pipeline/simulator.h"

namespace strand {
namespace {

constexpr double kBar = 1.05;

class SleepingCompute final : public StageCompute {
 public:
  explicit SleepingCompute(Duration time) : time_(time) {}
  Result<Frame> forward(int, int, const Frame&) override { return sleep(); }
  Result<Frame> backward(int, int, const Frame&) override { return sleep(); }
  Result<Frame> backward_input(int, int, const Frame&) override { return sleep(); }
  Status backward_weight(int, int) override {
    std::this_thread::sleep_for(time_);
    return {};
  }

 private:
  Frame sleep() const {
    std::this_thread::sleep_for(time_);
    return Frame::from_string("bytes");
  }
  Duration time_;
};

struct Measured {
  double seconds = 0;
  std::vector<std::vector<InstructionTrace>> traces;
};

// What a stage's process writes to the bench: when it had ended, and each instruction's computing time.
struct Line {
  int64_t ended = 0;
  double compute = 0;
};

void write_lines(int fd, const std::vector<Line>& lines) {
  const size_t bytes = lines.size() * sizeof(Line);  // at most a few kB: the pipe takes it whole
  STRAND_CHECK(write(fd, lines.data(), bytes) == static_cast<ssize_t>(bytes), "the bench is gone");
}

// A stage in a process of its own, with what a worker has between its stages and nothing else.
class StageProcess final : public PeerHub::Client {
 public:
  StageProcess(const std::vector<GroupMember>& members, size_t stage)
      : members_(members),
        self_(members[stage]),
        mailbox_(JobId{1}, self_.worker, self_.incarnation, clock_, [this] { hub_->wake(); }) {
    auto hub = PeerHub::start(make_zmq_transport(std::nullopt, kMaxPeerFrame), self_.endpoint, self_.worker,
                              self_.incarnation);
    STRAND_CHECK(hub.ok(), hub.ok() ? "" : hub.error().message());
    hub_ = std::move(*hub);
    hub_->attach(this);
  }
  ~StageProcess() { hub_->detach(); }

  void on_message(const ShardMessage& message, Frame bulk) override {
    mailbox_.deliver(message, std::move(bulk), clock_.now());
  }
  void on_turn() override {
    if (!connected_) hub_->set_peers(members_);
    connected_ = true;
    for (const StageMailbox::Outgoing& out : mailbox_.flush(clock_.now())) hub_->send(out.to, out.message, out.bulk);
  }

  std::vector<InstructionTrace> step(const PipelineSchedule& schedule, Step number, Duration instruction) {
    const size_t stages = members_.size(), stage = static_cast<size_t>(self_.stage);
    mailbox_.open({Generation{1}, number, 0}, schedule.shape, self_.stage,
                  members_[(stage + stages - 1) % stages].worker, members_[(stage + 1) % stages].worker);
    SleepingCompute compute(instruction);
    auto traces = run_stage(schedule, self_.stage, &compute, &mailbox_, clock_, {});
    STRAND_CHECK(traces.ok(), traces.ok() ? "" : traces.error().message());
    mailbox_.close();
    return std::move(*traces);
  }
  // Nobody may go before the others have taken what was sent last.
  void wait_until_quiet() const {
    while (!mailbox_.quiet()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  Time now() const { return clock_.now(); }

 private:
  const std::vector<GroupMember>& members_;
  const GroupMember self_;
  const SystemClock clock_;
  std::unique_ptr<PeerHub> hub_;
  StageMailbox mailbox_;
  bool connected_ = false;
};

// A step without sleeps makes the connections; then the one that counts, when the bench says so.
[[noreturn]] void be_stage(const PipelineSchedule& schedule, const std::vector<GroupMember>& members, size_t stage,
                           Duration instruction, int hear, int tell) {
  {
    StageProcess process(members, stage);
    process.step(schedule, 1, Duration::zero());
    write_lines(tell, {Line{}});
    char go = 0;
    STRAND_CHECK(read(hear, &go, 1) == 1, "the bench is gone");
    const auto traces = process.step(schedule, 2, instruction);
    const Time ended = process.now();
    std::vector<Line> lines;
    for (const InstructionTrace& trace : traces) lines.push_back({ended.nanoseconds, trace.compute});
    process.wait_until_quiet();
    write_lines(tell, lines);
    STRAND_CHECK(read(hear, &go, 1) == 0, "one step only");
  }
  _exit(0);
}

std::vector<Line> read_lines(int fd, size_t count) {
  std::vector<Line> lines(count);
  char* at = reinterpret_cast<char*>(lines.data());
  for (size_t left = count * sizeof(Line); left > 0;) {
    const ssize_t n = read(fd, at, left);
    STRAND_CHECK(n > 0, "a stage has ended");
    at += n;
    left -= static_cast<size_t>(n);
  }
  return lines;
}

struct Child {
  pid_t pid = 0;
  int tell = -1, hear = -1;
};

std::vector<Child> start_stages(const PipelineSchedule& schedule, const std::string& folder, Duration instruction) {
  std::vector<GroupMember> members;
  for (int stage = 0; stage < schedule.shape.stages; ++stage) {
    const auto id = static_cast<uint64_t>(stage) + 1;
    members.push_back({WorkerId{id}, Incarnation{1}, 0, stage, concat("ipc://", folder, "/", stage)});
  }
  std::vector<Child> children;
  for (size_t stage = 0; stage < members.size(); ++stage) {
    int down[2], up[2];
    STRAND_CHECK(pipe(down) == 0 && pipe(up) == 0, "no pipes");
    const pid_t pid = fork();
    STRAND_CHECK(pid >= 0, "no process");
    if (pid == 0) {
      close(down[1]);
      close(up[0]);
      for (const Child& other : children) close(other.tell);
      be_stage(schedule, members, stage, instruction, down[0], up[1]);
    }
    close(down[0]);
    close(up[1]);
    children.push_back({pid, down[1], up[0]});
  }
  return children;
}

Measured run_step(const PipelineSchedule& schedule, Duration instruction) {
  std::string folder = (std::filesystem::temp_directory_path() / "strand-pipeline-XXXXXX").string();
  STRAND_CHECK(mkdtemp(folder.data()) != nullptr, "no folder for sockets");
  const std::vector<Child> children = start_stages(schedule, folder, instruction);
  for (const Child& child : children) read_lines(child.hear, 1);
  const Time begin = SystemClock().now();
  for (const Child& child : children) STRAND_CHECK(write(child.tell, "g", 1) == 1, "a stage has ended");
  Measured measured;
  for (size_t stage = 0; stage < children.size(); ++stage) {
    const auto& instructions = schedule.stages[stage];
    std::vector<InstructionTrace> traces;
    for (const Line& line : read_lines(children[stage].hear, instructions.size())) {
      traces.push_back({});
      traces.back().instruction = instructions[traces.size() - 1];
      traces.back().compute = line.compute;
      measured.seconds = std::max(measured.seconds, to_seconds(Time{line.ended} - begin));
    }
    measured.traces.push_back(std::move(traces));
  }
  for (const Child& child : children) close(child.tell);
  for (const Child& child : children) {
    waitpid(child.pid, nullptr, 0);
    close(child.hear);
  }
  std::filesystem::remove_all(folder);
  return measured;
}

double simulated_makespan(const PipelineSchedule& schedule, const InstructionSeconds& seconds, const LinkModel& link,
                          bool drawing, double unit) {
  const auto result = simulate(schedule, seconds, link);
  STRAND_CHECK(result.ok(), result.ok() ? "" : result.error().message());
  STRAND_CHECK(result->deadlock.empty(), result->deadlock_text());
  if (drawing) std::printf("%s", draw(schedule, seconds, *result, unit).c_str());
  return result->makespan;
}

// True: within the bar. The median of `rounds` steps, each of new processes: one stall of the machine is not the
// executor's.
bool compare(const PipelineSchedule& schedule, const std::string& name, double instruction, int rounds, bool draw) {
  const LinkModel link{0, kLinkBuffers};
  const auto planned = uniform_seconds(schedule, {instruction, instruction, instruction, instruction});
  const double expected = simulated_makespan(schedule, planned, link, draw, instruction);
  std::vector<double> ratios, of_measured;
  for (int round = 0; round < rounds; ++round) {
    const Measured measured = run_step(schedule, from_seconds(instruction));
    ratios.push_back(measured.seconds / expected);
    of_measured.push_back(measured.seconds /
                          simulated_makespan(schedule, compute_seconds(measured.traces), link, false, 1));
  }
  std::ranges::sort(ratios);
  std::ranges::sort(of_measured);
  const double ratio = ratios[ratios.size() / 2];
  std::printf(
      "%-12s simulated %7.1f ms   measured / simulated %.4f (%.4f to %.4f, %d steps)   of the measured "
      "instruction times %.4f\n",
      name.c_str(), 1e3 * expected, ratio, ratios.front(), ratios.back(), rounds, of_measured[of_measured.size() / 2]);
  return ratio <= kBar;
}

int run(std::map<std::string, std::string> options) {
  const auto number = [&](const std::string& name) { return std::atof(options[name].c_str()); };
  bool within = true, known = false;
  if (number("--rounds") < 1) {
    std::fprintf(stderr, "--rounds: expected at least 1\n");
    return 2;
  }
  for (const PipelineKind kind : kPipelineKinds) {
    const std::string name = pipeline_kind_name(kind);
    if (options["--schedule"] != "all" && options["--schedule"] != name) continue;
    known = true;
    const PipelineShape shape{static_cast<int>(number("--stages")),
                              kind == PipelineKind::kInterleaved ? static_cast<int>(number("--chunks")) : 1,
                              static_cast<int>(number("--micro-batches"))};
    const auto schedule = make_schedule(kind, shape);
    if (!schedule.ok()) {
      std::fprintf(stderr, "%s\n", schedule.error().message().c_str());
      return 2;
    }
    within = compare(*schedule, name, 1e-3 * number("--milliseconds"), static_cast<int>(number("--rounds")),
                     number("--draw") != 0) &&
             within;
  }
  if (!known) {
    std::fprintf(stderr, "%s\n", parse_pipeline_kind(options["--schedule"]).error().message().c_str());
    return 2;
  }
  return within ? 0 : 1;
}

}  // namespace
}  // namespace strand

int main(int argc, char** argv) {
  std::map<std::string, std::string> options = {{"--schedule", "all"},     {"--stages", "4"},        {"--chunks", "2"},
                                                {"--micro-batches", "16"}, {"--milliseconds", "20"}, {"--draw", "0"},
                                                {"--rounds", "1"}};
  for (int i = 1; i < argc; i += 2) {
    if (i + 1 == argc || options.count(argv[i]) == 0) {
      std::fprintf(stderr, "unknown option or missing value: %s\n", argv[i]);
      return 2;
    }
    options[argv[i]] = argv[i + 1];
  }
  return strand::run(options);
}
