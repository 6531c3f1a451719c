#include "dataserver/formats/two_bit.h"

#include <algorithm>
#include <array>
#include <unordered_map>
#include <vector>

#include "shared/base/text.h"

namespace strand {

namespace {

constexpr uint32_t kSignature = 0x1a412743;
constexpr uint32_t kSwapped = 0x4327411a;
constexpr size_t kHeaderBytes = 16;
constexpr size_t kPieceBases = size_t{1} << 18;  // a multiple of 4

// The four letters of every packed byte: T0 C1 A2 G3, the first base in the highest bits.
constexpr std::array<std::array<char, 4>, 256> make_quads() {
  constexpr char kLetters[] = {'T', 'C', 'A', 'G'};
  std::array<std::array<char, 4>, 256> quads{};
  for (size_t byte = 0; byte < 256; ++byte) {
    for (size_t i = 0; i < 4; ++i) quads[byte][i] = kLetters[(byte >> (6 - 2 * i)) & 3];
  }
  return quads;
}
constexpr auto kQuads = make_quads();

uint64_t number(const char* bytes, size_t count, bool big_endian) {
  uint64_t value = 0;
  for (size_t i = 0; i < count; ++i) {
    value = (value << 8) | static_cast<uint8_t>(bytes[big_endian ? i : count - 1 - i]);
  }
  return value;
}

struct Block {
  uint32_t begin = 0, end = 0;
};

struct Entry {
  std::string name;
  uint64_t offset = 0;
};

// A record but for its bases, which begin at `packed`.
struct Record {
  uint32_t bases = 0;
  std::vector<Block> unknown, mask;
  uint64_t packed = 0;
};

class Reader {
 public:
  Reader(const std::string& file, const ByteSource& source, FastaSink* sink,
         const std::function<bool(double)>& progress)
      : file_(file), source_(source), sink_(sink), progress_(progress) {}

  Status read() {
    STRAND_TRY(header());
    STRAND_TRY(index());
    std::vector<std::pair<uint64_t, uint64_t>> spans = {{0, at_}};  // of the file, one for each record
    for (const Entry& entry : entries_) {
      STRAND_ASSIGN(const Record record, open(entry));
      spans.emplace_back(entry.offset, at_);
    }
    std::sort(spans.begin(), spans.end());
    for (size_t i = 1; i < spans.size(); ++i) {
      if (spans[i].first < spans[i - 1].second) {
        return at(spans[i].first,
                  "a record that begins inside another one or inside the index; expected each to have "
                  "bytes of its own");
      }
    }
    for (const Entry& entry : entries_) {
      STRAND_ASSIGN(const Record record, open(entry));
      STRAND_TRY(sink_->begin_record(entry.name, 0));
      STRAND_TRY(letters(record));
      STRAND_TRY(sink_->end_record());
    }
    return {};
  }

 private:
  Error at(uint64_t byte, const std::string& message) const {
    return bad_input(concat(file_, ": byte ", byte, ": ", message, ": fetch the file or make it again (faToTwoBit)"));
  }

  // Reads at_ on; `what` names it in the error.
  Result<uint64_t> take(size_t bytes, const char* what) {
    char buffer[8];
    STRAND_TRY(need(bytes, what));
    STRAND_TRY(source_.read(at_, bytes, buffer));
    at_ += bytes;
    return number(buffer, bytes, big_endian_);
  }

  Status need(uint64_t bytes, const char* what) const {
    const uint64_t size = source_.size();
    if (at_ <= size && bytes <= size - at_) return {};
    return at(at_, concat("the file of ", size, " bytes ends before ", what, ", which takes ", bytes,
                          " more; expected a whole .2bit file"));
  }

  Status header() {
    STRAND_TRY(need(kHeaderBytes, "the header"));
    char bytes[4];
    STRAND_TRY(source_.read(0, 4, bytes));
    const auto little = static_cast<uint32_t>(number(bytes, 4, false));
    if (little != kSignature && little != kSwapped) return at(0, "no .2bit signature; expected 0x1a412743");
    big_endian_ = little == kSwapped;
    at_ = 4;
    STRAND_ASSIGN(version_, take(4, "the version"));
    if (version_ > 1) return at(4, concat("version ", version_, "; expected 0 or 1"));
    STRAND_ASSIGN(records_, take(4, "the number of records"));
    STRAND_ASSIGN(const uint64_t reserved, take(4, "the reserved word"));
    if (reserved != 0) return at(12, concat("the reserved word is ", reserved, "; expected 0"));
    if (records_ == 0) return at(8, "no records; expected at least one");
    return {};
  }

  Status index() {
    const size_t offset_bytes = version_ == 0 ? 4 : 8;
    std::unordered_map<std::string, uint64_t> seen;
    STRAND_TRY(need(records_ * (2 + offset_bytes), "the index"));
    for (uint64_t i = 0; i < records_; ++i) {
      const uint64_t place = at_;
      STRAND_ASSIGN(const uint64_t length, take(1, "a name's length"));
      if (length == 0) return at(place, concat("record ", i + 1, " has no name"));
      STRAND_TRY(need(length, "a record's name"));
      Entry entry;
      entry.name.resize(length);
      STRAND_TRY(source_.read(at_, length, entry.name.data()));
      at_ += length;
      for (const char c : entry.name) {
        if (static_cast<uint8_t>(c) <= 0x20 || c == 0x7f) {
          return at(place, concat("record ", i + 1, "'s name holds a blank or a control character"));
        }
      }
      STRAND_ASSIGN(entry.offset, take(offset_bytes, "a record's offset"));
      if (entry.offset >= source_.size()) {
        return at(place, concat("record '", entry.name, "' begins at byte ", entry.offset, "; expected a byte of the ",
                                source_.size(), " in the file"));
      }
      if (const auto [first, fresh] = seen.emplace(entry.name, place); !fresh) {
        return at(place, concat("record name '", entry.name, "' comes twice, first at byte ", first->second));
      }
      entries_.push_back(std::move(entry));
    }
    return {};
  }

  // The count, then all beginnings, then all lengths.
  Result<std::vector<Block>> blocks(const Entry& entry, uint32_t bases, const char* what) {
    STRAND_ASSIGN(const uint64_t count, take(4, what));
    STRAND_TRY(need(count * 8, what));
    const uint64_t place = at_;
    std::string bytes(count * 8, '\0');
    STRAND_TRY(source_.read(at_, bytes.size(), bytes.data()));
    at_ += bytes.size();
    std::vector<Block> blocks(count);
    uint64_t last = 0;
    for (size_t i = 0; i < count; ++i) {
      const uint64_t begin = number(bytes.data() + 4 * i, 4, big_endian_);
      const uint64_t length = number(bytes.data() + 4 * (count + i), 4, big_endian_);
      if (begin < last || begin + length > bases) {
        return at(place + 4 * i,
                  concat("record '", entry.name, "': ", what, " ", i + 1, " covers bases ", begin, " to ",
                         begin + length, "; expected them from ", last, " to ", bases, ", in order and apart"));
      }
      last = begin + length;
      blocks[i] = {static_cast<uint32_t>(begin), static_cast<uint32_t>(last)};
    }
    return blocks;
  }

  Result<Record> open(const Entry& entry) {
    Record record;
    at_ = entry.offset;
    STRAND_ASSIGN(const uint64_t bases, take(4, "a record's length"));
    if (bases == 0) return at(entry.offset, concat("record '", entry.name, "' has no bases; expected at least one"));
    record.bases = static_cast<uint32_t>(bases);
    STRAND_ASSIGN(record.unknown, blocks(entry, record.bases, "N block"));
    STRAND_ASSIGN(record.mask, blocks(entry, record.bases, "mask block"));
    const uint64_t place = at_;
    STRAND_ASSIGN(const uint64_t reserved, take(4, "a record's reserved word"));
    if (reserved != 0) {
      return at(place, concat("record '", entry.name, "': the reserved word is ", reserved, "; expected 0"));
    }
    record.packed = at_;
    STRAND_TRY(need((bases + 3) / 4, "a record's bases"));
    at_ += (bases + 3) / 4;
    return record;
  }

  Status letters(const Record& record) {
    std::string packed, text;
    size_t unknown = 0, mask = 0;
    for (uint64_t begin = 0; begin < record.bases; begin += kPieceBases) {
      const uint64_t end = std::min<uint64_t>(record.bases, begin + kPieceBases);
      packed.resize((end - begin + 3) / 4);
      STRAND_TRY(source_.read(record.packed + begin / 4, packed.size(), packed.data()));
      text.clear();
      for (const char byte : packed) text.append(kQuads[static_cast<uint8_t>(byte)].data(), 4);
      text.resize(end - begin);
      over(
          record.unknown, begin, end, &unknown, [&](char* first, char* last) { std::fill(first, last, 'N'); }, &text);
      over(
          record.mask, begin, end, &mask,
          [&](char* first, char* last) {
            for (; first != last; ++first) *first = static_cast<char>(*first + ('a' - 'A'));
          },
          &text);
      STRAND_TRY(sink_->bases(text));
      const double share = static_cast<double>(record.packed + end / 4) / static_cast<double>(source_.size());
      if (!progress_(std::min(1.0, share))) {
        return Error(ErrorCode::kStopped, concat("stopped while reading ", file_));
      }
    }
    return {};
  }

  // change(first, last) for the letters of `text`, bases [begin, end), that lie in a block; `next` walks the blocks.
  template <class Change>
  static void over(const std::vector<Block>& blocks, uint64_t begin, uint64_t end, size_t* next, const Change& change,
                   std::string* text) {
    while (*next < blocks.size() && blocks[*next].end <= begin) ++*next;
    for (size_t i = *next; i < blocks.size() && blocks[i].begin < end; ++i) {
      const uint64_t first = std::max<uint64_t>(begin, blocks[i].begin), last = std::min<uint64_t>(end, blocks[i].end);
      if (first < last) change(text->data() + (first - begin), text->data() + (last - begin));
    }
  }

  const std::string& file_;
  const ByteSource& source_;
  FastaSink* sink_;
  const std::function<bool(double)>& progress_;
  bool big_endian_ = false;
  uint64_t version_ = 0, records_ = 0;
  uint64_t at_ = 0;
  std::vector<Entry> entries_;
};

}  // namespace

bool is_two_bit(std::string_view bytes) {
  if (bytes.size() < 4) return false;
  const uint64_t first = number(bytes.data(), 4, false);
  return first == kSignature || first == kSwapped;
}

Status read_two_bit(const std::string& file, const ByteSource& source, FastaSink* sink,
                    const std::function<bool(double)>& progress) {
  return Reader(file, source, sink, progress).read();
}

}  // namespace strand
