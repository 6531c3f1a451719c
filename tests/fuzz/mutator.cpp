#include "tests/fuzz/mutator.h"

#include <algorithm>
#include <cctype>

#include "shared/base/text.h"

namespace strand::fuzz {
namespace {

// SplitMix64 (Steele, Lea, Flood 2014): enough for picking mutations.
uint64_t advance(uint64_t* state) {
  uint64_t z = (*state += 0x9e3779b97f4a7c15ull);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

// Values at which length fields and counters break.
constexpr uint64_t kEdges[] = {0,      1,          0x7f,       0x80,       0xff,       0x7fff,
                               0xffff, 0x7fffffff, 0x80000000, 0xffffffff, ~0ull >> 1, ~0ull};

}  // namespace

Mutator::Mutator(uint64_t seed, std::vector<Input> corpus, std::vector<Input> dictionary, size_t max_bytes)
    : state_(seed), corpus_(std::move(corpus)), dictionary_(std::move(dictionary)), max_bytes_(max_bytes) {
  if (corpus_.empty()) corpus_.emplace_back();
}

uint64_t Mutator::random(uint64_t bound) {
  return bound == 0 ? 0 : advance(&state_) % bound;
}

Input Mutator::next() {
  Input input = corpus_[random(corpus_.size())];
  for (uint64_t changes = 1 + random(8); changes > 0; --changes) change(&input);
  if (input.size() > max_bytes_) input.resize(max_bytes_);
  return input;
}

void Mutator::change(Input* input) {
  const uint64_t kind = random(10);
  switch (kind) {
    case 0: splice(input); return;
    case 1: change_number(input); return;
    case 2:
      if (!dictionary_.empty()) {
        input->insert(random(input->size() + 1), dictionary_[random(dictionary_.size())]);
        return;
      }
      [[fallthrough]];
    default: change_bytes(input, kind);
  }
}

void Mutator::change_bytes(Input* input, uint64_t kind) {
  if (input->empty()) {
    input->push_back(static_cast<char>(random(256)));
    return;
  }
  const size_t at = random(input->size());
  const size_t length = 1 + random(std::min<size_t>(64, input->size() - at));
  switch (kind) {
    case 2:
    case 3: (*input)[at] = static_cast<char>((*input)[at] ^ (1 << random(8))); break;
    case 4: (*input)[at] = static_cast<char>(random(256)); break;
    case 5: input->erase(at, length); break;
    case 6: input->resize(at); break;
    case 7: {
      const Input piece = input->substr(at, length);
      for (uint64_t copies = 1 + random(4); copies > 0; --copies) input->insert(at, piece);
      break;
    }
    case 8: {
      const uint64_t value = kEdges[random(std::size(kEdges))];
      const size_t width = std::min<size_t>(size_t{1} << random(4), input->size() - at);
      for (size_t i = 0; i < width; ++i) (*input)[at + i] = static_cast<char>(value >> (8 * i));
      break;
    }
    default: input->insert(at, 1, static_cast<char>(random(256)));
  }
}

void Mutator::splice(Input* input) {
  const Input& other = corpus_[random(corpus_.size())];
  const size_t from = random(other.size());
  const size_t length = random(other.size() - from + 1);
  const size_t at = random(input->size() + 1);
  input->replace(at, random(input->size() - at + 1), other, from, length);
}

// Replaces one run of digits by an edge value: most formats under test are text.
void Mutator::change_number(Input* input) {
  const auto digit = [](char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; };
  const auto start = input->begin() + static_cast<std::ptrdiff_t>(random(input->size() + 1));
  const auto first = std::find_if(start, input->end(), digit);
  if (first == input->end()) return change_bytes(input, 9);
  const auto last = std::find_if_not(first, input->end(), digit);
  const std::string value = std::to_string(kEdges[random(std::size(kEdges))]);
  input->replace(first, last, (random(3) == 0 ? "-" : "") + value);
}

namespace {

// The text between the quotes, with its escapes resolved; empty when they are malformed.
Input unescape(std::string_view quoted) {
  Input word;
  for (size_t i = 0; i < quoted.size(); ++i) {
    if (quoted[i] != '\\') {
      word.push_back(quoted[i]);
    } else if (i + 1 < quoted.size() && (quoted[i + 1] == '\\' || quoted[i + 1] == '"')) {
      word.push_back(quoted[++i]);
    } else if (i + 3 < quoted.size() && quoted[i + 1] == 'x' &&
               std::isxdigit(static_cast<unsigned char>(quoted[i + 2])) &&
               std::isxdigit(static_cast<unsigned char>(quoted[i + 3]))) {
      word.push_back(static_cast<char>(std::stoi(std::string(quoted.substr(i + 2, 2)), nullptr, 16)));
      i += 3;
    } else {
      return {};
    }
  }
  return word;
}

}  // namespace

Result<std::vector<Input>> parse_dictionary(std::string_view text, const std::string& origin) {
  std::vector<Input> words;
  int number = 0;
  for (const std::string& whole : split(text, '\n')) {
    ++number;
    const std::string_view line = trim(whole);
    if (line.empty() || line.front() == '#') continue;
    const bool quoted = line.size() >= 2 && line.front() == '"' && line.back() == '"';
    Input word = quoted ? unescape(line.substr(1, line.size() - 2)) : Input();
    if (word.empty()) {
      return bad_input(concat(origin, ": line ", number,
                              ": expected one non-empty word in double quotes, with \\\\, \\\" or \\xNN"));
    }
    words.push_back(std::move(word));
  }
  return words;
}

}  // namespace strand::fuzz
