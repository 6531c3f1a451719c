// The ids of words met lately. English is few words many times: finding one is several times cheaper than merging it.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

namespace strand {

// One table for each thread, shared by all tokenizers: 8,192 places of one cache line, chosen by the word's hash. A
// word takes the place of the one before it.
class WordCache {
 public:
  static constexpr size_t kLongestWord = 15;

  // Tells tokenizers apart in the table. Never twice the same.
  static uint32_t new_owner() {
    static std::atomic<uint32_t> last{0};
    return ++last;
  }

  // The calling thread's table, made at its first use.
  static WordCache& of_thread() {
    thread_local WordCache cache;
    return cache;
  }

  // Appends the ids of text[at, end), at most kLongestWord bytes. When the table does not have them, encode(word)
  // appends them, and they are kept unless they are many.
  template <class Encode>
  void append(uint32_t owner, std::string_view text, size_t at, size_t end, std::vector<int32_t>* ids, Encode encode) {
    const Key key = key_of(text, at, end - at);
    Place& place = places_[hash(key, owner) >> (64 - kPlaceBits)];
    if (place.owner == owner && place.key.low == key.low && place.key.high == key.high) {
      if (place.count == 1) {
        ids->push_back(place.ids[0]);
      } else {
        ids->insert(ids->end(), place.ids.begin(), place.ids.begin() + place.count);
      }
      return;
    }
    const size_t before = ids->size();
    encode(text.substr(at, end - at));
    const size_t count = ids->size() - before;
    if (count > kMostIds) return;
    place.key = key;
    place.owner = owner;
    place.count = static_cast<uint32_t>(count);
    if (count > 0) std::memcpy(place.ids.data(), ids->data() + before, count * sizeof(int32_t));
  }

 private:
  static constexpr int kPlaceBits = 13;
  static constexpr size_t kMostIds = 10;

  struct Key {
    uint64_t low = 0, high = 0;  // the bytes, then zeros; the last byte holds the length
  };
  struct alignas(64) Place {
    Key key;
    uint32_t owner = 0;  // 0: empty
    uint32_t count = 0;
    std::array<int32_t, kMostIds> ids{};
  };
  static_assert(sizeof(Place) == 64);

  static Key key_of(std::string_view text, size_t at, size_t length) {
    Key key;
    if (at + sizeof key <= text.size()) {
      std::memcpy(&key, text.data() + at, sizeof key);
      if (length < 8) {
        key.low &= ~(~uint64_t{0} << 8 * length);
        key.high = 0;
      } else {
        key.high &= ~(~uint64_t{0} << 8 * (length - 8));
      }
    } else {
      std::memcpy(&key, text.data() + at, length);
    }
    key.high |= uint64_t{length} << 56;
    return key;
  }

  static uint64_t hash(const Key& key, uint32_t owner) {
    const uint64_t mixed = (key.low ^ owner) * 0x9e3779b97f4a7c15ull ^ key.high;
    return (mixed ^ mixed >> 29) * 0xbf58476d1ce4e5b9ull;
  }

  std::unique_ptr<Place[]> places_{new Place[size_t{1} << kPlaceBits]};
};

}  // namespace strand
