#include "cli/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "shared/base/text.h"

namespace strand {
namespace {

constexpr Duration kTerminalInterval = std::chrono::milliseconds(100);
constexpr Duration kPlainInterval = std::chrono::seconds(15);
constexpr int kBarWidth = 24;

int terminal_width() {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20) return size.ws_col - 1;
  return 119;
}

}  // namespace

std::string progress_line(const Progress& progress, int width) {
  const double share =
      progress.total > 0
          ? std::clamp(static_cast<double>(progress.done) / static_cast<double>(progress.total), 0.0, 1.0)
          : 0.0;
  const int filled = static_cast<int>(share * kBarWidth);
  std::string bar(static_cast<size_t>(filled), '=');
  if (filled < kBarWidth) bar += '>';
  bar.resize(kBarWidth, ' ');
  std::string line = concat("[", bar, "] ", format_number(100 * share, 0), "% ", progress.text);
  if (progress.seconds_left >= 0) line += concat("  ", human_seconds(progress.seconds_left), " left");
  if (static_cast<int>(line.size()) > width) line.resize(static_cast<size_t>(width));
  return line;
}

Progress rate_progress(int64_t done, int64_t total, const std::string& unit, double seconds) {
  const double speed = static_cast<double>(done) / std::max(seconds, 1e-9);
  Progress progress{done, total, "", -1};
  progress.text =
      concat(done, total > 0 ? concat("/", total) : "", " ", unit, "  ", format_number(speed, 1), " ", unit, "/s");
  if (total > 0 && speed > 0) progress.seconds_left = static_cast<double>(total - done) / speed;
  return progress;
}

ProgressBar::ProgressBar(const Clock& clock, bool quiet)
    : clock_(clock), quiet_(quiet), terminal_(isatty(STDERR_FILENO) == 1), last_(clock.now() + -kPlainInterval) {}

void ProgressBar::clear() {
  if (drawn_) std::fputs("\r\033[K", stderr);
  drawn_ = false;
}

void ProgressBar::update(const Progress& progress) {
  if (quiet_ || clock_.now() - last_ < (terminal_ ? kTerminalInterval : kPlainInterval)) return;
  last_ = clock_.now();
  clear();
  std::fprintf(stderr, terminal_ ? "%s" : "%s\n", progress_line(progress, terminal_ ? terminal_width() : 200).c_str());
  std::fflush(stderr);
  drawn_ = terminal_;
}

void ProgressBar::message(const std::string& line) {
  if (quiet_) return;
  clear();
  std::fprintf(stderr, "%s\n", line.c_str());
}

void ProgressBar::finish() {
  clear();
}

}  // namespace strand
