#include "dataserver/formats/feature_table.h"

#include <algorithm>

#include "shared/base/text.h"

namespace strand {

namespace {

// The text between the quotes, doubled ones single.
std::string unquoted(const std::string& value) {
  std::string text;
  for (size_t i = 1; i + 1 < value.size(); ++i) {
    text += value[i];
    if (value[i] == '"' && value[i + 1] == '"') ++i;
  }
  return text;
}

}  // namespace

void FeatureTable::begin(std::string file, uint64_t record, const LocationScope& scope, FeatureSink* sink) {
  file_ = std::move(file);
  record_name_ = scope.record;
  accession_ = scope.accession;
  scope_ = {record_name_, accession_, scope.bases};
  sink_ = sink;
  record_ = record;
  open_ = false;
}

Error FeatureTable::refuse(int64_t line, const std::string& message) const {
  return bad_input(concat(file_, ": line ", line, ": ", open_ ? concat("feature ", feature_.kind, ": ") : "", message));
}

bool FeatureTable::quote_open() const {
  return quoted_ && quotes_ % 2 != 0;
}

Status FeatureTable::line(size_t indent, std::string_view text, int64_t number) {
  if (indent >= kKeyIndent) {
    if (!open_) return refuse(number, "text before the first feature; expected a kind and a location: remove it");
    if (!quote_open() && text.starts_with('/')) return add_qualifier(text.substr(1), number);
    if (!feature_.qualifiers.empty()) {
      extend_qualifier(text);
    } else {
      location_ += text;
    }
    return {};
  }
  STRAND_TRY(end());
  open_ = true;
  feature_ = {};
  feature_.record = record_;
  feature_.line = number;
  const size_t blank = std::min(text.find_first_of(" \t"), text.size());
  feature_.kind = text.substr(0, blank);
  location_ = trim(text.substr(blank));
  quoted_ = false;
  return {};
}

Status FeatureTable::add_qualifier(std::string_view text, int64_t number) {
  const size_t equals = std::min(text.find('='), text.size());
  const std::string_view name = trim(text.substr(0, equals));
  if (name.empty()) return refuse(number, "a qualifier without a name; expected /name or /name=value");
  feature_.qualifiers.emplace_back(name, "");
  qualifier_line_ = number;
  const std::string_view value = equals < text.size() ? trim(text.substr(equals + 1)) : std::string_view();
  quoted_ = value.starts_with('"');
  quotes_ = 0;
  extend_qualifier(value);
  return {};
}

void FeatureTable::extend_qualifier(std::string_view text) {
  auto& [name, value] = feature_.qualifiers.back();
  // A protein, and what is no text, goes on without a blank.
  if (!value.empty() && quoted_ && name != "translation") value += ' ';
  value += text;
  quotes_ += static_cast<size_t>(std::count(text.begin(), text.end(), '"'));
}

Status FeatureTable::end() {
  if (!open_) return {};
  if (quote_open()) {
    return refuse(qualifier_line_, concat("the text of /", feature_.qualifiers.back().first,
                                          " has no closing quote; expected '\"' at its end, and quotes inside it "
                                          "doubled"));
  }
  for (auto& [name, value] : feature_.qualifiers) {
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"') value = unquoted(value);
  }
  std::erase_if(location_, [](char c) { return c == ' ' || c == '\t'; });
  if (location_.empty()) return refuse(feature_.line, "no location; expected one like 5..9 or complement(5..9)");
  auto location = parse_location(location_, scope_);
  if (!location.ok()) return refuse(feature_.line, location.error().message());
  feature_.parts = std::move(location->parts);
  feature_.ordered = location->ordered;
  bound_feature(&feature_);
  open_ = false;
  return sink_ == nullptr ? Status() : sink_->feature(std::move(feature_));
}

}  // namespace strand
