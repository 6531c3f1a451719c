// The progress bar of long work: one line, redrawn, on a terminal; otherwise a plain line now and then.
#pragma once

#include <string>

#include "shared/base/clock.h"

namespace strand {

struct Progress {
  int64_t done = 0, total = 0;
  std::string text;          // what stands behind the bar
  double seconds_left = -1;  // negative: not known yet
};

// "[=========>          ]  45% step 450/1000 loss 1.33 ... 2 min 10 s left", cut to `width` columns.
std::string progress_line(const Progress& progress, int width);

// "8/32 rows  4.1 rows/s" and how long the rest takes at this speed; total 0: not known.
Progress rate_progress(int64_t done, int64_t total, const std::string& unit, double seconds);

class ProgressBar {
 public:
  // quiet: nothing is shown. Writes to stderr.
  ProgressBar(const Clock& clock, bool quiet);
  void update(const Progress& progress);
  // A line of its own above the bar.
  void message(const std::string& line);
  void finish();

 private:
  void clear();

  const Clock& clock_;
  bool quiet_, terminal_;
  Time last_;
  bool drawn_ = false;
};

}  // namespace strand
