// Sequences from every kind of file are the same sequences, and what is none is refused with its place.
#include "dataserver/sequences/sequence_file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <vector>

namespace strand {
namespace {

class SequenceFiles : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder_); }
  std::string write(const std::string& name, const std::string& content) {
    std::ofstream(folder_ + "/" + name, std::ios::binary) << content;
    return folder_ + "/" + name;
  }
  std::vector<NamedSequence> read(SequenceFile file) {
    std::vector<NamedSequence> found;
    const Status status = read_sequences(
        file,
        [&](NamedSequence sequence) -> Status {
          found.push_back(std::move(sequence));
          return {};
        },
        [](double) { return true; });
    error_ = status.ok() ? "" : status.error().message();
    return found;
  }
  void refused(const std::string& name, const std::string& content, const std::vector<std::string>& words) {
    read({write(name, content)});
    EXPECT_NE(error_, "");
    for (const std::string& word : words) EXPECT_NE(error_.find(word), std::string::npos) << word << " in " << error_;
  }

  std::string folder_ = testing::TempDir() + "/sequences";
  std::string error_;
};

TEST_F(SequenceFiles, EveryFormatGivesTheSameBases) {
  const std::vector<std::string> files = {
      write("a.fa", ">one first\nACGT\nacgn\n>two\nRYTT\n"), write("a.csv", "id,sequence\none,ACGTacgn\ntwo,RYTT\n"),
      write("a.tsv", "sequence\tid\nACGTACGN\tone\n\nRYTT\ttwo\n"),
      write("a.jsonl", "{\"id\": \"one\", \"sequence\": \"ACGTACGN\"}\n{\"id\": \"two\", \"sequence\": \"RYTT\"}\n"),
      write("a.txt", "ACGTACGN\n\n  RYTT\r\n")};
  for (const std::string& path : files) {
    const bool table = path.find(".fa") == std::string::npos && path.find(".txt") == std::string::npos;
    const auto found = read({path, "sequence", table ? "id" : ""});
    ASSERT_EQ(error_, "") << path;
    ASSERT_EQ(found.size(), 2u) << path;
    EXPECT_EQ(found[0].bases, "ACGTACGN") << path;
    EXPECT_EQ(found[1].bases, "NNTT") << path;
    const bool named = path.find(".txt") == std::string::npos;
    EXPECT_EQ(found[1].name, named ? "two" : "2") << path;
  }
}

TEST_F(SequenceFiles, WhatIsNoSequenceIsRefusedWithItsPlace) {
  refused("b.txt", "ACGT\nACXT\n", {"b.txt: line 2", "letter 3 is 'X'", "IUPAC"});
  refused("c.csv", "sequence\nACGU\n", {"line 2", "write RNA's U as T"});
  refused("d.csv", "sequence,label\n,1\n", {"line 2", "empty sequence"});
  refused("e.csv", "seq\nACGT\n", {"no column \"sequence\"", "seq"});
  refused("f.txt", "\n\n", {"no sequences"});
  refused("g.bed", "ACGT\n", {"g.bed", ".fa", ".txt"});
}

TEST_F(SequenceFiles, TheVisitorsErrorEndsTheReading) {
  const std::string path = write("h.txt", "ACGT\nACGT\nACGT\n");
  int visited = 0;
  const Status status = read_sequences(
      {path}, [&](NamedSequence) -> Status { return ++visited == 2 ? Status(bad_input("enough")) : Status(); },
      [](double) { return true; });
  EXPECT_EQ(status.error().message(), "enough");
  EXPECT_EQ(visited, 2);
}

}  // namespace
}  // namespace strand
