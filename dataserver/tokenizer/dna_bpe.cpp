#include "dataserver/tokenizer/dna_bpe.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "dataserver/tokenizer/backtrack.h"

namespace strand {
namespace {

constexpr std::string_view kBases = "ACTG";  // by code

uint32_t code_of(char base) {
  return static_cast<uint32_t>(base) >> 1 & 3;
}

// Eight bytes at once. Bits 1 and 2 of a letter are its code; what the code stands for is compared with the letter.
uint64_t codes_of(uint64_t letters, uint64_t* wrong) {
  constexpr uint64_t kOnes = 0x0101010101010101u;
  const uint64_t low = letters >> 1 & kOnes, high = letters >> 2 & kOnes, both = low & high;
  const uint64_t expected =
      kOnes * 'A' + low * ('C' - 'A') + high * ('T' - 'A') + both * ('G' + 'A') - both * ('C' + 'T');
  *wrong |= expected ^ letters;
  uint64_t codes = letters >> 1 & (kOnes * 3);
  codes = (codes | codes >> 6) & 0x000f000f000f000fu;
  codes = (codes | codes >> 12) & 0x000000ff000000ffu;
  return (codes | codes >> 24) & 0xffff;
}

// What is read of the packed bases at once, and may lie behind their end.
constexpr size_t kMargin = 8;
constexpr size_t kKeptBytes = size_t{1} << 18;

struct Space {
  std::vector<uint8_t> packed;  // four bases a byte, the first in the low bits
  BacktrackSpace<uint16_t> search;
};

// False when there is another byte than the four. Leaves room for `more` bases behind the word.
bool pack(std::string_view word, size_t more, std::vector<uint8_t>* packed) {
  packed->resize((word.size() + more) / 4 + 2 + kMargin);
  uint8_t* out = packed->data();
  uint64_t wrong = 0;
  size_t at = 0;
  for (; at + 8 <= word.size(); at += 8, out += 2) {
    uint64_t letters;
    std::memcpy(&letters, word.data() + at, sizeof letters);
    const uint16_t codes = static_cast<uint16_t>(codes_of(letters, &wrong));
    // Texts that are no DNA show it at once.
    if (wrong != 0) return false;
    std::memcpy(out, &codes, sizeof codes);
  }
  uint64_t letters = 0x4141414141414141u;
  std::memcpy(&letters, word.data() + at, word.size() - at);
  const uint16_t codes = static_cast<uint16_t>(codes_of(letters, &wrong));
  std::memcpy(out, &codes, sizeof codes);
  return wrong == 0;
}

static_assert(std::endian::native == std::endian::little);

}  // namespace

struct DnaBpe::Tables {
  static constexpr uint16_t kNone = kNoToken;

  const DnaBpe& dna;
  const uint8_t* packed;
  size_t length;

  uint16_t start() const { return static_cast<uint16_t>(dna.ids_.size()); }
  size_t bytes(uint16_t token) const { return dna.shapes_[token].bytes; }
  bool holds(uint16_t left, uint16_t token) const {
    return dna.pairs_.holds_at(dna.shapes_[left].row, dna.shapes_[token].column);
  }

  uint32_t base(size_t at) const { return packed[at >> 2] >> 2 * (at & 3) & 3; }
  uint32_t window(size_t at) const {
    uint32_t next;
    std::memcpy(&next, packed + (at >> 2), sizeof next);
    return next >> 2 * (at & 3) & 0xffff;
  }
  // What lies behind the word reads as some base or other, so the window does not count there.
  bool near_end(size_t at) const { return at + kWindow > length; }

  uint16_t first(size_t at) const {
    const uint32_t bases = window(at);
    const Entry entry = dna.window_[bases];
    if (near_end(at)) [[unlikely]]
      return longest_below(0, at, kNone);
    return entry.deep ? longest_below(dna.deep_[bases], at + kWindow, entry.token) : entry.token;
  }

  uint16_t next(size_t at, uint16_t token) const {
    token = dna.shapes_[token].shorter;
    if (near_end(at)) return token;
    const uint32_t lengths = dna.window_[window(at)].lengths;
    while (token != kNone && bytes(token) <= kWindow && (lengths >> (bytes(token) - 1) & 1) == 0) {
      token = dna.shapes_[token].shorter;
    }
    return token;
  }

  // The longest token from a node on, or else `token`. One that takes what lies behind the word is too long, and not
  // taken by the search.
  uint16_t longest_below(uint32_t node, size_t at, uint16_t token) const {
    for (;; ++at) {
      node = dna.nodes_[node].next[base(at)];
      if (node == 0) return token;
      if (dna.nodes_[node].token != kNone) token = dna.nodes_[node].token;
    }
  }
};

// Finds the tokens of every window that may stand at its beginning. A token may when it ends with the window, or some
// token may stand behind it: the pair holds, and that one may itself stand at the beginning of what it is followed by,
// or reaches beyond the window. So windows are filled in order of their length.
class DnaBpe::Builder {
 public:
  explicit Builder(DnaBpe* dna) : dna_(*dna) {}

  void run() {
    for (size_t length = 1; length <= kWindow; ++length) {
      lengths_[length].resize(size_t{1} << 2 * length);
      for (uint32_t bases = 0; bases < lengths_[length].size(); ++bases) fill(bases, length);
    }
  }

 private:
  void fill(uint32_t bases, size_t length) {
    uint32_t node = 0, lengths = 0;
    uint16_t longest = kNoToken;
    for (size_t taken = 1; taken <= length; ++taken) {
      node = dna_.nodes_[node].next[bases >> 2 * (taken - 1) & 3];
      if (node == 0) break;
      const uint16_t token = dna_.nodes_[node].token;
      if (token == kNoToken || !may_stand(token, bases >> 2 * taken, length - taken)) continue;
      lengths |= 1u << (taken - 1);
      longest = token;
    }
    lengths_[length][bases] = static_cast<uint8_t>(lengths);
    if (length < kWindow) return;
    const bool deep = node != 0 && dna_.nodes_[node].next != std::array<uint32_t, 4>{};
    dna_.window_[bases] = {longest, static_cast<uint8_t>(lengths), deep};
    dna_.deep_[bases] = deep ? node : 0;
  }

  // `rest`: the `length` bases behind the token.
  bool may_stand(uint16_t token, uint32_t rest, size_t length) const {
    if (length == 0) return true;
    const uint32_t lengths = lengths_[length][rest];
    uint32_t node = 0;
    for (size_t taken = 1; taken <= length; ++taken) {
      node = dna_.nodes_[node].next[rest >> 2 * (taken - 1) & 3];
      if (node == 0) return false;
      if ((lengths >> (taken - 1) & 1) != 0 && dna_.pairs_.holds(token, dna_.nodes_[node].token)) return true;
    }
    return holds_below(token, node);
  }

  bool holds_below(uint16_t token, uint32_t node) const {
    for (const uint32_t next : dna_.nodes_[node].next) {
      if (next == 0) continue;
      const uint16_t longer = dna_.nodes_[next].token;
      if ((longer != kNoToken && dna_.pairs_.holds(token, longer)) || holds_below(token, next)) return true;
    }
    return false;
  }

  DnaBpe& dna_;
  std::array<std::vector<uint8_t>, kWindow + 1> lengths_;  // as Entry's, by the window's length
};

std::optional<DnaBpe> DnaBpe::make(std::array<int32_t, 256> letters, const std::vector<BpeMerge>& merges) {
  for (size_t byte = 0; byte < letters.size(); ++byte) {
    if (kBases.find(static_cast<char>(byte)) == std::string_view::npos) {
      letters[byte] = -1;
    } else if (letters[byte] < 0) {
      return std::nullopt;
    }
  }
  const std::optional<BpeRules> rules = BpeRules::make(letters, merges);
  if (!rules || rules->tokens().size() > PairMatrix::kMostTokens) return std::nullopt;
  const auto too_long = [](const BpeRules::Token& token) { return token.bytes.size() > UINT16_MAX; };
  if (std::any_of(rules->tokens().begin(), rules->tokens().end(), too_long)) return std::nullopt;
  DnaBpe dna(*rules);
  Builder(&dna).run();
  return dna;
}

DnaBpe::DnaBpe(const BpeRules& rules)
    : pairs_(rules), nodes_(1), window_(size_t{1} << 2 * kWindow), deep_(size_t{1} << 2 * kWindow) {
  for (const BpeRules::Token& token : rules.tokens()) {
    uint32_t node = 0;
    for (const char base : token.bytes) {
      const uint32_t code = code_of(base);
      if (nodes_[node].next[code] == 0) {
        nodes_[node].next[code] = static_cast<uint32_t>(nodes_.size());
        nodes_.emplace_back();
      }
      node = nodes_[node].next[code];
    }
    nodes_[node].token = static_cast<uint16_t>(ids_.size());
    ids_.push_back(token.id);
    longest_ = std::max(longest_, token.bytes.size());
  }
  const uint32_t start = static_cast<uint32_t>(ids_.size());
  for (const BpeRules::Token& token : rules.tokens()) {
    uint32_t node = 0;
    uint16_t shorter = kNoToken;
    for (size_t i = 0; i + 1 < token.bytes.size(); ++i) {
      node = nodes_[node].next[code_of(token.bytes[i])];
      if (nodes_[node].token != kNoToken) shorter = nodes_[node].token;
    }
    const uint32_t number = static_cast<uint32_t>(shapes_.size());
    shapes_.push_back({static_cast<uint16_t>(token.bytes.size()), shorter, static_cast<uint16_t>(pairs_.row(number)),
                       static_cast<uint16_t>(pairs_.column(number))});
  }
  shapes_.push_back({0, kNoToken, static_cast<uint16_t>(pairs_.row(start)), 0});
}

bool DnaBpe::encode(std::string_view word, std::vector<int32_t>* ids, size_t* steps) const {
  thread_local Space space;
  // The longest token may reach beyond the word.
  if (!pack(word, longest_, &space.packed)) return false;
  if (word.empty()) return true;
  const Backtracked found =
      backtrack(Tables{*this, space.packed.data(), word.size()}, word.size(), longest_, &space.search);
  const size_t before = ids->size();
  ids->resize(before + found.tokens);
  for (size_t i = 0; i < found.tokens; ++i) (*ids)[before + i] = ids_[space.search.tokens()[i]];
  if (steps != nullptr) *steps += found.steps;
  space.search.release();
  if (space.packed.size() > kKeptBytes) space.packed = {};
  return true;
}

}  // namespace strand
