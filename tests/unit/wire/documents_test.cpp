// schemas/README.md and docs/wire_protocol.md say what the schemas and the codec do. Runs in the repository root.
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <vector>

#include "shared/base/text.h"
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

// Everything between pairs of `quote`. (Not std::regex: GCC 12 warns inside it under sanitizers.)
std::vector<std::string> quoted(const std::string& text, char quote) {
  std::vector<std::string> words;
  size_t begin = text.find(quote);
  while (begin != std::string::npos) {
    const size_t end = text.find(quote, begin + 1);
    if (end == std::string::npos) break;
    words.push_back(text.substr(begin + 1, end - begin - 1));
    begin = text.find(quote, end + 1);
  }
  return words;
}

// Rows of the tables of a section: the first word, in backticks, and the whole line.
std::map<std::string, std::string> table(const std::string& text) {
  std::map<std::string, std::string> rows;
  for (const std::string& line : split(text, '\n')) {
    if (line.starts_with("| `")) rows[quoted(line, '`').at(0)] = line;
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
  const auto rows = table(section(read("schemas/README.md"), "Messages"));
  std::set<std::string> members, codec;
  for (const std::string& line : split(read("schemas/message.capnp"), '\n')) {
    // Lines like: "    stepReport @7 :Worker.StepReport;" (those of the header are not in the union)
    const size_t at = line.find(" @"), colon = line.find(" :"), dot = line.find('.', at);
    if (at == std::string::npos || colon == std::string::npos || dot == std::string::npos) continue;
    const std::string name = snake_case(std::string(trim(line.substr(0, at))));
    const std::string file = snake_case(line.substr(colon + 2, dot - colon - 2)).substr(1) + ".capnp";
    if (file == "common.capnp") continue;
    members.insert(name);
    ASSERT_TRUE(rows.contains(name)) << "schemas/README.md lacks a row for " << name;
    EXPECT_NE(rows.at(name).find("`" + file + "`"), std::string::npos) << name << " is in " << file;
    const std::string type = line.substr(dot + 1, line.find(';') - dot - 1);
    EXPECT_NE(read("schemas/" + file).find("struct " + type + " {"), std::string::npos) << name;
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
  const size_t begin = source.find("kCommands = {");
  ASSERT_NE(begin, std::string::npos) << "the list of commands has moved: point this test at it";
  const auto names = quoted(source.substr(begin, source.find('}', begin) - begin), '"');
  const std::set<std::string> known(names.begin(), names.end());
  std::set<std::string> described;
  const std::string commands = section(read("schemas/README.md"), "Client commands");
  for (const auto& [name, rest] : table(commands.substr(0, commands.find("What the answers hold")))) {
    described.insert(name);
  }
  EXPECT_EQ(known, described);
}

TEST(DocumentsTest, EveryKeyOfTheAnswersExists) {
  const std::string commands = section(read("schemas/README.md"), "Client commands");
  const std::string keys = commands.substr(commands.find("What the answers hold"));
  const std::string source = read("coordinator/job_json.cpp") + read("coordinator/coordinator_commands.cpp") +
                             read("coordinator/run_directory.cpp");
  const auto words = quoted(keys, '`');
  for (const std::string& key : words) {
    EXPECT_NE(source.find("\"" + key + "\""), std::string::npos) << key << " is not in any answer";
  }
  EXPECT_GT(words.size(), 50u);
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
