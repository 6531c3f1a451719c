// Keys of [data] that are more than one value: intervals, and the tables [[data.source]] and [[data.mixture]].
#include <algorithm>
#include <charconv>

#include "shared/job_spec/field_list.h"

namespace strand {
namespace {

// "record:begin-end", 0-based, half-open.
std::string parse_interval(const std::string& text, HoldoutInterval* out) {
  const size_t colon = text.rfind(':');
  const size_t dash = text.find('-', colon == std::string::npos ? 0 : colon);
  const auto number = [&](size_t from, size_t to, int64_t* value) {
    const auto [end, error] = std::from_chars(text.data() + from, text.data() + to, *value);
    return error == std::errc() && end == text.data() + to;
  };
  if (colon == std::string::npos || colon == 0 || dash == std::string::npos || !number(colon + 1, dash, &out->begin) ||
      !number(dash + 1, text.size(), &out->end)) {
    return concat("expected \"record:begin-end\" (0-based, end not included), found \"", text, "\"");
  }
  out->record = text.substr(0, colon);
  if (out->begin < 0 || out->end <= out->begin) return concat("\"", text, "\" is an empty interval");
  return "";
}

bool is_bed(std::string_view text) {
  for (const std::string_view ending : {".gz", ".bgz", ".xz"}) {
    if (text.ends_with(ending)) {
      text.remove_suffix(ending.size());
      break;
    }
  }
  return text.ends_with(".bed");
}

constexpr size_t kMostElements = 1000;

// `field`, written for element 0 of a list of `spec`, as the field of element `index`.
template <class List>
Field of_element(Field field, const std::string& list, size_t index, List list_of) {
  if (index > 0) field.key.insert(list.size(), concat("[", index, "]"));
  const auto get = field.get;
  const auto set = field.set;
  field.set = [set, list_of, index](JobSpec* spec, const TomlValue& v) {
    auto& elements = list_of(*spec);
    if (elements.size() <= index) elements.resize(index + 1);
    JobSpec one;
    list_of(one) = {elements[index]};
    const std::string problem = set(&one, v);
    elements[index] = list_of(one).front();
    return problem;
  };
  field.get = [get, list_of, index](const JobSpec& spec) -> std::string {
    const auto& elements = list_of(const_cast<JobSpec&>(spec));
    if (elements.size() <= index) return "";
    JobSpec one;
    list_of(one) = {elements[index]};
    return get(one);
  };
  return field;
}

// A weight may be absent, and then is not written.
void add_weight(FieldList* list, const std::string& key) {
  list->number(
      key, [](JobSpec & spec) -> auto& { return spec.data.sources[0].weight; });
  Field& field = list->fields.back();
  field.set = [set = field.set](JobSpec* spec, const TomlValue& v) -> std::string {
    const std::string problem = set(spec, v);
    return problem.empty() && !spec->data.sources[0].weighted() ? "must not be negative" : problem;
  };
  field.get = [get = field.get](const JobSpec& spec) -> std::string {
    return spec.data.sources[0].weighted() ? get(spec) : "";
  };
}

constexpr const char* kSource = "data.source";
constexpr const char* kMixture = "data.mixture";

}  // namespace

void add_exclude_field(FieldList* list) {
  list->fields.push_back({"data.exclude", "array of strings",
                          [](JobSpec* spec, const TomlValue& v) -> std::string {
                            const auto* texts = std::get_if<std::vector<std::string>>(&v.value);
                            if (texts == nullptr) return expected("an array of \"record:begin-end\" and .bed files", v);
                            spec->data.exclude = {};
                            for (const auto& text : *texts) {
                              if (is_bed(text)) {
                                spec->data.exclude.files.push_back(text);
                                continue;
                              }
                              HoldoutInterval interval;
                              if (auto wrong = parse_interval(text, &interval); !wrong.empty()) {
                                return wrong + "; a file of intervals is called .bed";
                              }
                              spec->data.exclude.intervals.push_back(interval);
                            }
                            return "";
                          },
                          [](const JobSpec& spec) {
                            std::vector<std::string> texts = spec.data.exclude.files;
                            for (const auto& i : spec.data.exclude.intervals) {
                              texts.push_back(concat(i.record, ":", i.begin, "-", i.end));
                            }
                            return FieldList::list_of(texts);
                          }});
}

void add_interval_field(FieldList* list) {
  list->fields.push_back({"data.holdout.intervals", "array of strings",
                          [](JobSpec* spec, const TomlValue& v) -> std::string {
                            const auto* texts = std::get_if<std::vector<std::string>>(&v.value);
                            if (texts == nullptr) return expected("an array of \"record:begin-end\" strings", v);
                            spec->data.holdout.intervals.clear();
                            for (const auto& text : *texts) {
                              HoldoutInterval interval;
                              if (auto wrong = parse_interval(text, &interval); !wrong.empty()) return wrong;
                              spec->data.holdout.intervals.push_back(interval);
                            }
                            return "";
                          },
                          [](const JobSpec& spec) {
                            std::vector<std::string> texts;
                            for (const auto& i : spec.data.holdout.intervals) {
                              texts.push_back(concat(i.record, ":", i.begin, "-", i.end));
                            }
                            return FieldList::list_of(texts);
                          }});
}

#define AT(member)           \
  [](JobSpec & s) -> auto& { \
    return s.member;         \
  }

std::vector<Field> list_fields(size_t index) {
  FieldList sources, mixtures;
  sources.text("data.source.name", AT(data.sources[0].name));
  sources.texts("data.source.files", AT(data.sources[0].files));
  add_weight(&sources, "data.source.weight");
  mixtures.integer("data.mixture.from_step", AT(data.mixture[0].from_step));
  mixtures.numbers("data.mixture.weights", AT(data.mixture[0].weights));
  std::vector<Field> fields;
  for (Field& field : sources.fields) {
    fields.push_back(of_element(std::move(field), kSource, index, AT(data.sources)));
  }
  for (Field& field : mixtures.fields) {
    fields.push_back(of_element(std::move(field), kMixture, index, AT(data.mixture)));
  }
  return fields;
}

#undef AT

std::optional<ListKey> list_key(const std::string& key) {
  for (const char* list : {kSource, kMixture}) {
    const std::string before = concat(list, "[");
    if (!key.starts_with(before)) continue;
    const size_t end = key.find(']', before.size());
    if (end == std::string::npos) continue;
    ListKey found{list, 0};
    const auto [rest, error] = std::from_chars(key.data() + before.size(), key.data() + end, found.index);
    if (error == std::errc() && rest == key.data() + end && found.index > 0 && found.index < kMostElements) {
      return found;
    }
  }
  return std::nullopt;
}

bool is_list(const std::string& section) {
  return section == kSource || section == kMixture;
}

void grow_list(const ListKey& element, JobSpec* spec) {
  const auto grow = [&](auto& elements) { elements.resize(std::max(elements.size(), element.index + 1)); };
  if (element.list == kSource) grow(spec->data.sources);
  if (element.list == kMixture) grow(spec->data.mixture);
}

std::string plain_key(const std::string& key) {
  const size_t open = key.find('['), close = key.find(']', open);
  return close == std::string::npos ? key : key.substr(0, open) + key.substr(close + 1);
}

}  // namespace strand
