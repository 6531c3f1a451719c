// The rules against planted violations, and against what must pass.
#include "tests/tidy/rules.h"

#include <gtest/gtest.h>

#include "tests/tidy/repository.h"

namespace strand::tidy {
namespace {

const std::vector<std::string> kPaths = {"docs/job.md", "ops/core/a.h", "schemas/wire.capnp", "shared/base/a.h",
                                         "worker/a.h"};

Layering table() {
  auto parsed = Layering::parse(
      "# comment\nfolder shared/base:\nfolder ops: shared/base\nfolder ops/cuda: shared/base ops worker\n"
      "folder worker: shared ops schemas\ndoor zmq: shared/net/zmq_*\n",
      "table");
  EXPECT_TRUE(parsed.ok());
  return std::move(parsed).value();
}

Findings layering(const std::string& path, const std::string& text) {
  return table().check({path, text}, kPaths);
}

TEST(Layering, AllowedIncludesPass) {
  EXPECT_TRUE(
      layering("ops/matmul/a.cpp", "#include \"shared/base/a.h\"\n#include \"ops/core/a.h\"\n#include <vector>\n")
          .empty());
  EXPECT_TRUE(layering("worker/b.cpp", "#include \"schemas/wire.capnp.h\"\n").empty());
  EXPECT_TRUE(layering("ops/cuda/a.cu", "#include \"worker/a.h\"\n").empty()) << "the longest folder decides";
}

TEST(Layering, PlantedViolationsAreNamed) {
  const Findings upward = layering("ops/matmul/a.cpp", "\n#include \"worker/a.h\"\n");
  ASSERT_EQ(upward.size(), 1u);
  EXPECT_EQ(upward[0].text().find("ops/matmul/a.cpp:2: [layering] ops must not include worker/a.h"), 0u)
      << upward[0].text();
  EXPECT_EQ(layering("shared/base/b.h", "#  include \"ops/core/a.h\"\n").size(), 1u);
  EXPECT_EQ(layering("ops/matmul/a.cpp", "#include \"a.h\"\n").size(), 1u) << "not from the root";
  EXPECT_EQ(layering("elsewhere/a.cpp", "").size(), 1u) << "a folder without a line";
  const Findings door = layering("worker/b.cpp", "#include <zmq.hpp>\n");
  ASSERT_EQ(door.size(), 1u);
  EXPECT_EQ(door[0].rule, "door");
}

TEST(Layering, MalformedTableNamesTheLine) {
  const auto bad = Layering::parse("folder ops: shared\nops shared\n", "table");
  ASSERT_FALSE(bad.ok());
  EXPECT_EQ(bad.error().message().find("table:2: "), 0u);
}

TEST(Matches, Stars) {
  EXPECT_TRUE(matches("ops/*_cpu.cpp", "ops/matmul/matmul_cpu.cpp"));
  EXPECT_TRUE(matches("cli/*", "cli/main.cpp"));
  EXPECT_FALSE(matches("ops/*_cpu.cpp", "ops/matmul/matmul_cpu.h"));
  EXPECT_FALSE(matches("a", "ab"));
  EXPECT_FALSE(matches("ab", "a"));
}

std::string lines(size_t count) {
  std::string text;
  for (size_t i = 0; i < count; ++i) text += "int x;\n";
  return text;
}

TEST(FileLength, Limits) {
  EXPECT_TRUE(check_file_length({"a/b.cpp", lines(500)}).empty());
  EXPECT_EQ(check_file_length({"a/b.cpp", lines(501)}).size(), 1u);
  EXPECT_EQ(check_file_length({"a/b.cpp", lines(500) + "no end of line"}).size(), 1u);
  EXPECT_TRUE(check_file_length({"a/b_cpu.cpp", lines(800)}).empty());
  EXPECT_EQ(check_file_length({"a/b-inl.h", lines(801)}).size(), 1u);
}

size_t longest(const std::string& text) {
  size_t most = 0;
  for (const FunctionLength& function : function_lengths(text)) most = std::max(most, function.lines);
  return most;
}

TEST(FunctionLength, Limit) {
  const std::string body = lines(68);
  EXPECT_TRUE(check_function_length({"a.cpp", "void f() {\n" + body + "}\n"}).empty());
  const Findings found = check_function_length({"a.cpp", "namespace a {\nvoid f() {\n" + body + "\n}\n}\n"});
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].text().find("a.cpp:2: [function length] 71 lines"), 0u) << found[0].text();
}

TEST(FunctionLength, KnowsWhatIsAFunction) {
  const std::string body = lines(80);
  EXPECT_EQ(longest("class A {\n" + body + "};\n"), 0u);
  EXPECT_EQ(longest("template <class T>\nstruct A : B<T> {\n" + body + "};\n"), 0u);
  EXPECT_EQ(longest("const int a[] = {\n" + body + "};\n"), 0u);
  EXPECT_EQ(longest("enum class A : int {\n" + body + "};\n"), 0u);
  EXPECT_EQ(longest("class A {\n public:\n  A() : x_{1}, y_(2) {\n" + body + "  }\n};\n"), 82u);
  EXPECT_EQ(longest("struct A {\n  int f() const override {\n" + body + "  }\n};\n"), 82u);
  EXPECT_EQ(longest("TEST(A, B) {\n" + body + "}\n"), 82u);
  EXPECT_EQ(longest("void f(std::vector<int> a = {1, 2}) {\n" + body + "}\n"), 82u);
  EXPECT_EQ(longest("void f() {\n  g([] {\n" + body + "  });\n}\n"), 84u) << "a lambda is part of its function";
  EXPECT_EQ(longest("template <class T>\nauto f(T t) -> int {\n" + body + "}\n"), 82u);
}

TEST(FunctionLength, SkipsLiteralsCommentsAndDirectives) {
  EXPECT_EQ(longest("void f() {\n  s = \"}\";\n  c = '}';\n  n = 1'000;  // }\n  /* } */\n  r = R\"(})\";\n}\n"), 7u);
  EXPECT_EQ(longest("#define A(x) { \\\n  x {\nvoid f() {\n}\n"), 2u);
  const std::string first = "a \"b\\\"c\" 'd' // e", second = "R\"x(f)\" )x\" g";
  EXPECT_EQ(blank_literals(first + "\n" + second),
            "a" + std::string(first.size() - 1, ' ') + "\n" + std::string(second.size() - 1, ' ') + "g");
}

TEST(Text, MachinePaths) {
  for (const char* bad : {"see /"
                          "work/x",
                          "\"/"
                          "home/me/x\"",
                          "cd /"
                          "root/",
                          "C:\\"
                          "Users\\me"}) {
    EXPECT_EQ(check_machine_paths({"a.md", bad}).size(), 1u) << bad;
  }
  EXPECT_TRUE(check_machine_paths({"a.md",
                                   "frame/"
                                   "work/x ../"
                                   "work/x /usr/lib /tmp/x $HOME/x a/"
                                   "root/b"})
                  .empty());
}

TEST(Text, Leftovers) {
  EXPECT_EQ(check_leftovers({"a.py",
                             "x\n# TO"
                             "DO: y\n"})[0]
                .line,
            2u);
  EXPECT_EQ(check_leftovers({"a.cpp",
                             "// FIX"
                             "ME\n"})
                .size(),
            1u);
  EXPECT_TRUE(check_leftovers({"a.cpp",
                               "// TO"
                               "DOS\n"})
                  .empty());
}

TEST(Text, Links) {
  const auto check = [](const std::string& text) { return check_links({"docs/guide.md", text}, kPaths).size(); };
  EXPECT_EQ(
      check("[a](job.md) [b](../shared/base/a.h#L3) [c](https://x.org/y) [d](#here) [e](../worker/) [f](../ops/core)"),
      0u);
  EXPECT_EQ(check("[a](missing.md) and [b](../docs/none.md#x)"), 2u);
  EXPECT_EQ(check("```\n[a](missing.md)\n```\n"), 0u);
}

TEST(Header, NeedsGuardAndPurpose) {
  EXPECT_TRUE(check_header({"a.h", "// What it is for.\n#pragma once\n"}).empty());
  EXPECT_EQ(check_header({"a.h", "#pragma once\n"}).size(), 1u);
  EXPECT_EQ(check_header({"a.h", "// What it is for.\n"}).size(), 1u);
}

TEST(Repository, QuotesForTheShell) {
  EXPECT_EQ(run("printf %s " + shell_quoted("a'b $c")).output, "a'b $c");
  EXPECT_EQ(run("exit 3").status, 3);
}

}  // namespace
}  // namespace strand::tidy
