// The one list of all keys of a job file: how each is read into a JobSpec and written back.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "shared/job_spec/job_spec.h"
#include "shared/job_spec/toml_reader.h"

namespace strand {

struct Field {
  std::string key;   // "train.steps"
  std::string type;  // as errors and docs/job_file.md say it: "integer", "number", "boolean", "string", "array of
                     // strings", "a | b"
  // Empty when taken, else what is wrong.
  std::function<std::string(JobSpec*, const TomlValue&)> set;
  // As TOML; empty: not written (its default says nothing).
  std::function<std::string(const JobSpec&)> get;
};

// Every key once, those of lists ([[data.source]], [[data.mixture]]) for their first element.
const std::vector<Field>& job_fields();
// Every key of this job: those of lists for each of their elements, "data.source[1].name" for the second one.
std::vector<Field> job_fields(const JobSpec& spec);
std::optional<Field> find_field(const std::string& key);

// data_fields.cpp.
class FieldList;
void add_exclude_field(FieldList* list);
void add_interval_field(FieldList* list);
// Of element `index` of each list.
std::vector<Field> list_fields(size_t index);
// "data.source[1]" and what stands below it, for any element of a list but the first.
struct ListKey {
  std::string list;
  size_t index = 0;
};
std::optional<ListKey> list_key(const std::string& key);
bool is_list(const std::string& section);
// So that the element is there.
void grow_list(const ListKey& element, JobSpec* spec);
// "data.source.name" of "data.source[1].name".
std::string plain_key(const std::string& key);

}  // namespace strand
