#include "dataserver/corpus/standard_input.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "shared/base/text.h"

namespace strand {

namespace {

int kept = -1;

Status copy(int from, int to) {
  std::vector<char> buffer(size_t{1} << 18);
  while (true) {
    const ssize_t count = ::read(from, buffer.data(), buffer.size());
    if (count == 0) return {};
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return bad_input(concat("cannot read standard input: ", std::strerror(errno)));
    for (ssize_t done = 0; done < count;) {
      const ssize_t wrote = ::write(to, buffer.data() + done, static_cast<size_t>(count - done));
      if (wrote < 0 && errno != EINTR) {
        return bad_input(concat("keeping standard input on disk: ", std::strerror(errno),
                                "; make room on the store's disk, or give the sequences as a file"));
      }
      if (wrote > 0) done += wrote;
    }
  }
}

}  // namespace

Status keep_standard_input(const std::string& folder) {
  if (kept >= 0) return bad_input("standard input is named twice ('-'); expected once");
  if (::isatty(STDIN_FILENO) == 1) {
    return bad_input(
        "standard input is a terminal; expected sequences, as in: zcat genome.fa.gz | strand data build - --store S");
  }
  std::string name = folder + "/standard-input-XXXXXX";
  const int file = ::mkostemp(name.data(), O_CLOEXEC);
  if (file < 0) return bad_input(concat("cannot make a file in ", folder, ": ", std::strerror(errno)));
  ::unlink(name.c_str());
  const Status copied = copy(STDIN_FILENO, file);
  if (!copied.ok()) {
    ::close(file);
    return copied;
  }
  kept = file;
  return {};
}

int open_standard_input() {
  return kept < 0 ? -1 : ::open(concat("/proc/self/fd/", kept).c_str(), O_RDONLY | O_CLOEXEC);
}

}  // namespace strand
