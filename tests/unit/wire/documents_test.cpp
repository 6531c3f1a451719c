// schemas/README.md and docs/wire_protocol.md say what the schemas and the codec do. Runs in the repository root.
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "shared/wire/messages.h"
#include "tests/support/random_messages.h"

namespace strand {
namespace {

std::string read(const std::string& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file.good()) << path << " cannot be read; run the test in the repository root";
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string section(const std::string& text, const std::string& title) {
  const size_t begin = text.find("\n## " + title + "\n");
  EXPECT_NE(begin, std::string::npos) << title;
  const size_t end = text.find("\n## ", begin + 1);
  return text.substr(begin, end == std::string::npos ? end : end - begin);
}

// Rows of the tables of a section: the first word in backticks and the rest of the line.
std::map<std::string, std::string> table(const std::string& text) {
  static const std::regex kRow("\\n\\| `([a-z_]+)` \\|([^\\n]*)");
  std::map<std::string, std::string> rows;
  for (auto it = std::sregex_iterator(text.begin(), text.end(), kRow); it != std::sregex_iterator(); ++it) {
    rows[(*it)[1]] = (*it)[2];
  }
  return rows;
}

std::string snake_case(const std::string& camel) {
  std::string snake;
  for (char c : camel) {
    if (c >= 'A' && c <= 'Z') snake += '_';
    snake += static_cast<char>(c | 0x20);
  }
  return snake;
}

TEST(DocumentsTest, TheTableOfMessagesIsTheUnionOfTheSchema) {
  // Lines of message.capnp like: stepReport @7 :Worker.StepReport;
  static const std::regex kMember("\\n +([a-zA-Z]+) @[0-9]+ :(Worker|Data|Client)\\.([A-Za-z]+);");
  const std::string schema = read("schemas/message.capnp");
  const auto rows = table(section(read("schemas/README.md"), "Messages"));
  std::set<std::string> members, codec;
  for (auto it = std::sregex_iterator(schema.begin(), schema.end(), kMember); it != std::sregex_iterator(); ++it) {
    const std::string name = snake_case((*it)[1]), file = snake_case((*it)[2]).substr(1) + ".capnp";
    members.insert(name);
    ASSERT_TRUE(rows.contains(name)) << "schemas/README.md lacks a row for " << name;
    EXPECT_NE(rows.at(name).find("`" + file + "`"), std::string::npos) << name << " is in " << file;
    EXPECT_NE(read("schemas/" + file).find("struct " + (*it)[3].str() + " {"), std::string::npos) << name;
  }
  TestRandom random(1);
  for (size_t kind = 0; kind < std::variant_size_v<Body>; ++kind) {
    codec.insert(message_name(random_message(random, kind).body));
  }
  EXPECT_EQ(members, codec) << "schemas/message.capnp and shared/wire/messages.h";
  EXPECT_EQ(members.size(), rows.size()) << "a row for a message that does not exist";
}

TEST(DocumentsTest, TheTableOfCommandsIsTheCoordinators) {
  const std::string source = read("coordinator/coordinator_commands.cpp");
  std::smatch list;
  ASSERT_TRUE(std::regex_search(source, list, std::regex("kCommands = \\{([^}]*)\\}")))
      << "the list of commands has moved: point this test at it";
  const std::string names = list[1];
  std::set<std::string> known, described;
  static const std::regex kQuoted("\"([a-z_]+)\"");
  for (auto it = std::sregex_iterator(names.begin(), names.end(), kQuoted); it != std::sregex_iterator(); ++it) {
    known.insert((*it)[1]);
  }
  const std::string commands = section(read("schemas/README.md"), "Client commands");
  for (const auto& [name, rest] : table(commands.substr(0, commands.find("What the answers hold")))) {
    described.insert(name);
  }
  EXPECT_EQ(known, described);
}

TEST(DocumentsTest, EveryKeyOfTheAnswersExists) {
  const std::string commands = section(read("schemas/README.md"), "Client commands");
  const std::string keys = commands.substr(commands.find("What the answers hold"));
  const std::string source = read("coordinator/job_json.cpp") + read("coordinator/coordinator_commands.cpp");
  static const std::regex kKey("`([a-z_]+)`");
  int checked = 0;
  for (auto it = std::sregex_iterator(keys.begin(), keys.end(), kKey); it != std::sregex_iterator(); ++it, ++checked) {
    EXPECT_NE(source.find("\"" + (*it)[1].str() + "\""), std::string::npos) << (*it)[1] << " is not in any answer";
  }
  EXPECT_GT(checked, 50);
}

TEST(DocumentsTest, TheWorkedExampleIsWhatTheCodecWrites) {
  const std::string text = read("docs/wire_protocol.md");
  const size_t begin = text.find("```hex\n");
  ASSERT_NE(begin, std::string::npos);
  std::istringstream lines(text.substr(begin + 7, text.find("```", begin + 7) - begin - 7));
  std::string bytes, line, word;
  while (std::getline(lines, line)) {
    std::istringstream words(line);
    words >> word;  // the offset
    while (words >> word) bytes += static_cast<char>(std::stoi(word, nullptr, 16));
  }
  WireMessage message{{}, Heartbeat{WorkerState::kTraining}};
  Header& header = message.header;
  header.request = 7;
  header.job.value = 1;
  header.generation.value = 3;
  header.sender.value = 0x1122334455667788;
  header.incarnation.value = 1'700'000'000'000'000'000;
  header.step = 200;
  EXPECT_EQ(encode_message(message), bytes);
}

}  // namespace
}  // namespace strand
