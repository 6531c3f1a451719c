// Any text as a job file: an error with its place, or a job that reads back from its effective form to the same value.
#include <string>

#include "shared/base/check.h"
#include "shared/job_spec/job_spec.h"
#include "shared/job_spec/parameter_table.h"
#include "tests/fuzz/fuzz_main.h"

int fuzz_one(const uint8_t* data, size_t size) {
  std::string text(reinterpret_cast<const char*>(data), size);
  // A last line "set:key=value" is a --set of its own.
  std::vector<std::string> sets;
  if (const size_t at = text.rfind("\nset:"); at != std::string::npos) {
    sets.push_back(text.substr(at + 5));
    text.resize(at + 1);
  }
  const strand::ParsedJob parsed = strand::parse_job(text, "fuzzed.toml", "/base", sets);
  for (const strand::SpecError& error : parsed.errors) {
    STRAND_CHECK(!error.message.empty() && error.line >= 0 && error.column >= 0);
  }
  if (!parsed.errors.empty()) return 0;
  STRAND_CHECK(strand::memory_bytes(parsed.spec) > 0);
  STRAND_CHECK(strand::flops_per_token(parsed.spec.model.config, parsed.spec.data.segment) > 0);
  const strand::ParsedJob again = strand::parse_job(strand::effective_job_toml(parsed.spec), "effective", "/", {});
  STRAND_CHECK(again.errors.empty(), strand::job_errors("effective", again.errors).message());
  STRAND_CHECK(again.spec == parsed.spec, strand::effective_job_toml(parsed.spec));
  return 0;
}
