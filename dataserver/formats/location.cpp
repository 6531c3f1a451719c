#include "dataserver/formats/location.h"

#include <algorithm>

#include "shared/base/text.h"

namespace strand {

void bound_feature(Feature* feature) {
  feature->begin = feature->parts.front().begin;
  feature->end = feature->parts.front().end;
  feature->strand = feature->parts.front().strand;
  for (const FeaturePart& part : feature->parts) {
    feature->begin = std::min(feature->begin, part.begin);
    feature->end = std::max(feature->end, part.end);
    if (part.strand != feature->strand) feature->strand = 0;
  }
}

namespace {

constexpr int64_t kBeyond = int64_t{1} << 60;  // larger numbers are cut to it

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// One number of a location, and what stands before it.
struct Position {
  int64_t base = 0;  // from 1
  bool before = false, after = false;
  size_t at = 0;
};

class LocationParser {
 public:
  LocationParser(std::string_view text, const LocationScope& scope) : text_(text), scope_(scope) {}

  Result<Location> parse() {
    Location location;
    STRAND_TRY(expression(0, &location));
    if (at_ < text_.size()) return unexpected("the end of the location");
    return location;
  }

 private:
  Error at(size_t place, const std::string& message) const {
    return bad_input(concat("column ", place + 1, " of the location: ", message));
  }

  Error unexpected(const std::string& expected) const {
    const std::string found = at_ < text_.size() ? concat("'", text_.substr(at_, 12), "'") : "nothing";
    return at(at_, concat("expected ", expected, ", found ", found,
                          "; write it as 5..9, complement(5..9) or join(5..9,20..30)"));
  }

  bool take(std::string_view word) {
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }

  Status expression(int depth, Location* location) {
    if (depth > kDeepestLocation) return at(at_, concat("more than ", kDeepestLocation, " levels; write it flat"));
    if (take("complement(")) {
      const size_t first = location->parts.size();
      STRAND_TRY(expression(depth + 1, location));
      if (!take(")")) return unexpected("')'");
      const auto begin = location->parts.begin() + static_cast<ptrdiff_t>(first);
      std::reverse(begin, location->parts.end());
      std::for_each(begin, location->parts.end(), [](FeaturePart& part) { part.strand = -part.strand; });
      return {};
    }
    const bool ordered = take("order(");
    if (!ordered && !take("join(")) return stretch(location);
    location->ordered |= ordered;
    do {
      STRAND_TRY(expression(depth + 1, location));
    } while (take(","));
    return take(")") ? Status() : unexpected("',' or ')'");
  }

  // NAME: of a stretch on a record; only the record itself is known here.
  Status skip_own_name() {
    const size_t end = text_.find_first_of(":,()", at_);
    if (end == std::string_view::npos || text_[end] != ':') return {};
    const std::string_view name = text_.substr(at_, end - at_);
    const std::string_view bare = name.substr(0, name.rfind('.'));
    const std::string_view own = scope_.record.substr(0, scope_.record.rfind('.'));
    if (name != scope_.record && name != own && name != scope_.accession &&
        (bare != scope_.accession || scope_.accession.empty())) {
      return at(at_, concat("a part on another record, '", name, "'; expected bases of ", scope_.record,
                            " only: give the assembled record, or take this feature out"));
    }
    at_ = end + 1;
    return {};
  }

  Result<int64_t> number() {
    if (at_ >= text_.size() || !is_digit(text_[at_])) return unexpected("the number of a base");
    int64_t value = 0;
    while (at_ < text_.size() && is_digit(text_[at_])) {
      value = std::min(kBeyond, value * 10 + (text_[at_++] - '0'));
    }
    return value;
  }

  // 5, <5, >5, (5.7) or 5.7; of an inexact one the outer base is taken: `low` says which.
  Result<Position> position(bool low) {
    Position position;
    position.before = take("<");
    position.after = !position.before && take(">");
    const bool bracket = take("(");
    position.at = at_;
    STRAND_ASSIGN(position.base, number());
    if (!text_.substr(at_).starts_with("..") && take(".")) {
      STRAND_ASSIGN(const int64_t second, number());
      if (!low) position.base = second;
    }
    if (bracket && !take(")")) return unexpected("')'");
    if (position.base < 1 || position.base > scope_.bases) {
      return at(position.at, concat("base ", position.base, " is outside the record; expected 1 to ", scope_.bases,
                                    ": the features are of another sequence, or the sequence was cut"));
    }
    return position;
  }

  Status stretch(Location* location) {
    STRAND_TRY(skip_own_name());
    const size_t start = at_;
    STRAND_ASSIGN(const Position first, position(true));
    Position last = first;
    const bool between = take("^");
    if (between || take("..")) {
      STRAND_ASSIGN(last, position(false));
    } else if (at_ > start) {  // one base, or one of 5.7
      at_ = start;
      STRAND_ASSIGN(last, position(false));
    }
    FeaturePart part;
    part.partial_begin = first.before || (first.at == last.at && last.before);
    part.partial_end = last.after;
    part.begin = first.base - 1;
    part.end = last.base;
    if (between) {
      // The last base of a circle and its first one touch, too.
      const bool around = first.base == scope_.bases && last.base == 1;
      if (last.base != first.base + 1 && !around) {
        return at(start, concat("'", text_.substr(start, at_ - start), "' is between no two bases that touch; ",
                                "expected N^N+1"));
      }
      part.begin = part.end = first.base;
    } else if (last.base < first.base) {
      return at(start, concat("'", text_.substr(start, at_ - start), "' ends before it begins; expected the smaller ",
                              "base first (over the origin of a circle: join(", first.base, "..", scope_.bases, ",1..",
                              last.base, "))"));
    }
    location->parts.push_back(part);
    return {};
  }

  std::string_view text_;
  const LocationScope& scope_;
  size_t at_ = 0;
};

}  // namespace

Result<Location> parse_location(std::string_view text, const LocationScope& scope) {
  return LocationParser(text, scope).parse();
}

}  // namespace strand
