// docs/job_file.md names every key with its type and its real default, and no key that does not exist.
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <sstream>

#include "shared/base/text.h"
#include "shared/job_spec/fields.h"

namespace strand {
namespace {

struct Row {
  std::string type, standard;
};

// Rows "| `train.steps` | integer | `1000` | ... |".
std::map<std::string, Row> rows_of_the_page() {
  std::ifstream page("docs/job_file.md");
  EXPECT_TRUE(page.good()) << "run from the repository's root";
  std::map<std::string, Row> rows;
  for (std::string line; std::getline(page, line);) {
    if (!line.starts_with("| `")) continue;
    // "\|" stands for a bar within a cell.
    std::vector<std::string> cells{""};
    for (size_t i = 1; i < line.size(); ++i) {
      if (line[i] == '\\' && i + 1 < line.size() && line[i + 1] == '|') {
        cells.back() += line[++i];
      } else if (line[i] == '|') {
        cells.emplace_back();
      } else if (line[i] != '`') {
        cells.back() += line[i];
      }
    }
    EXPECT_EQ(cells.size(), 5u) << line;
    const std::string key(trim(cells[0]));
    EXPECT_FALSE(rows.contains(key)) << key << " twice";
    rows[key] = {std::string(trim(cells[1])), std::string(trim(cells[2]))};
    EXPECT_FALSE(trim(cells[3]).empty()) << key << " has no meaning";
  }
  return rows;
}

TEST(JobPage, EveryKeyWithItsTypeAndDefault) {
  auto rows = rows_of_the_page();
  const JobSpec defaults;
  for (const Field& field : job_fields()) {
    const auto row = rows.find(field.key);
    ASSERT_NE(row, rows.end()) << field.key << " is missing in docs/job_file.md";
    EXPECT_EQ(row->second.type, field.type) << field.key;
    const std::string standard = field.get(defaults);
    EXPECT_EQ(row->second.standard, standard.empty() ? "none" : standard) << field.key;
    rows.erase(row);
  }
  for (const auto& [key, row] : rows) ADD_FAILURE() << "docs/job_file.md has an unknown key: " << key;
}

}  // namespace
}  // namespace strand
