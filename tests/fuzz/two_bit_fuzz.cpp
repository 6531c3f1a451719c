// Any bytes as a .2bit file: refused with the file's name and a byte, or records whose letters the file has room for.
#include <cstring>
#include <set>
#include <string>

#include "dataserver/formats/two_bit.h"
#include "shared/base/check.h"
#include "tests/fuzz/fuzz_main.h"

namespace strand {
namespace {

class Bytes final : public ByteSource {
 public:
  explicit Bytes(std::string_view bytes) : bytes_(bytes) {}
  uint64_t size() const override { return bytes_.size(); }
  Status read(uint64_t at, size_t count, char* out) const override {
    STRAND_CHECK(at <= bytes_.size() && count <= bytes_.size() - at, at, " ", count);
    std::memcpy(out, bytes_.data() + at, count);
    return {};
  }

 private:
  std::string_view bytes_;
};

class Count final : public FastaSink {
 public:
  Status begin_record(const std::string& name, int64_t) override {
    STRAND_CHECK(!name.empty() && names.insert(name).second);
    return {};
  }
  Status bases(std::string_view text) override {
    STRAND_CHECK(!text.empty() && text.find_first_not_of("ACGTNacgtn") == text.npos);
    letters += text.size();
    return {};
  }
  Status end_record() override { return {}; }
  std::set<std::string> names;
  uint64_t letters = 0;
};

}  // namespace
}  // namespace strand

int fuzz_one(const uint8_t* data, size_t size) {
  using namespace strand;
  const Bytes source({reinterpret_cast<const char*>(data), size});
  Count sink;
  const Status read = read_two_bit("f", source, &sink, [](double share) {
    STRAND_CHECK(share >= 0 && share <= 1);
    return true;
  });
  STRAND_CHECK(read.ok() || read.error().message().starts_with("f: byte "), read.error().message());
  STRAND_CHECK(sink.letters <= 4 * size);  // no record shares bytes with another one
  return 0;
}
