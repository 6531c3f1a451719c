// What this machine has of what Strand needs.
#pragma once

#include <string>
#include <vector>

namespace strand {

struct DoctorLine {
  std::string what;
  std::string found;
  bool ok = true;    // false: something does not work here
  std::string mend;  // what to do about it; empty when nothing needs to be
};

std::vector<DoctorLine> doctor();

}  // namespace strand
