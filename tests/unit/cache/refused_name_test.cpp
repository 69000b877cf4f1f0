// is_refused_name against real git: for each name a tree is written behind git's back and `git read-tree` is asked to
// take it, both protections on.
#include <gtest/gtest.h>

#include "base/subprocess.h"
#include "cache/tree.h"
#include "raw_tree_builder.h"
#include "temporary_directory.h"

namespace artifactfs {
namespace {

class Git {
 public:
  Git() {
    Environment environment = without_git_variables(current_environment());
    set_environment_value(environment, "GIT_CONFIG_GLOBAL", "/dev/null");
    set_environment_value(environment, "GIT_CONFIG_SYSTEM", "/dev/null");
    environment_ = environment;
    EXPECT_EQ(run({"init", "-q", "."}).status, 0);
    EXPECT_EQ(run({"config", "core.protectNTFS", "true"}).status, 0);
    EXPECT_EQ(run({"config", "core.protectHFS", "true"}).status, 0);
    blob_ = run({"hash-object", "-w", "--stdin"}, "content").out.substr(0, 40);
  }

  SubprocessOutput run(std::vector<std::string> arguments, std::string_view input = {}) {
    arguments.insert(arguments.begin(), "git");
    SubprocessOptions options;
    options.argv = std::move(arguments);
    options.environment = environment_;
    options.working_directory = directory_.path().string();
    const auto output = run_subprocess(std::move(options), input, Clock::system().now() + std::chrono::seconds(30));
    EXPECT_TRUE(output) << output.error().text();
    return output ? *output : SubprocessOutput{.status = -1, .out = {}, .err = {}};
  }

  bool refuses(const std::string& name, bool is_symlink) {
    const auto raw = RawTreeBuilder().add(is_symlink ? "120000" : "100644", name, *ObjectId::from_hex(blob_)).bytes();
    const std::string_view text(reinterpret_cast<const char*>(raw.data()), raw.size());
    const auto hashed = run({"hash-object", "-w", "-t", "tree", "--literally", "--stdin"}, text);
    EXPECT_EQ(hashed.status, 0) << hashed.err;
    return run({"read-tree", hashed.out.substr(0, 40)}).status != 0;
  }

 private:
  TemporaryDirectory directory_;
  Environment environment_;
  std::string blob_;
};

const std::vector<std::string>& names() {
  static const std::vector<std::string> all = {
      // plain
      "a",
      "git",
      ".g",
      ".gi",
      ".gitx",
      "x.git",
      ".gitignore",
      ".gitattributes",
      ".mailmap",
      "...",
      ".a",
      "..a",
      "a..",
      " ",
      "~",
      "\\",
      ":",
      "con",
      "a.",
      "a ",
      "C:",
      "c:a",
      "\xff",
      "\xe2\x82\xac",
      "-",
      "a\nb",
      // .git and its cases
      ".",
      "..",
      ".git",
      ".GIT",
      ".Git",
      ".giT",
      ".g\xc4\xb1t",
      ".git0",
      ".git-",
      ".git~1",
      // NTFS
      "git~1",
      "GIT~1",
      "Git~1",
      "git~2",
      "git~10",
      "git~1.",
      "git~1 ",
      "git~1:a",
      "git~1x",
      ".git.",
      ".git ",
      ".git...",
      ".git . .",
      ".git. x",
      ".git:",
      ".git:a",
      ".git::$INDEX_ALLOCATION",
      ".git .:x",
      ".git\\",
      ".git\\a",
      "git~1\\x",
      "a\\.git",
      "a\\.git\\b",
      "a\\git~1",
      "a\\.gitx",
      "\\.git",
      "\\\\.git",
      "a\\\\.git",
      "a\\b\\.GIT .",
      "a\\.git :",
      "a\\",
      "a\\..",
      "a:.git",
      "a.git",
      // HFS+
      ".g\xe2\x80\x8cit",
      "\xe2\x80\x8c.git",
      ".git\xe2\x80\x8d",
      ".\xe2\x80\x8eG\xe2\x80\x8fI\xe2\x80\xaat\xe2\x80\xab",
      ".gi\xe2\x80\xact",
      ".gi\xe2\x80\xadt",
      ".gi\xe2\x80\xaet",
      ".gi\xe2\x81\xaat",
      ".gi\xe2\x81\xabt",
      ".gi\xe2\x81\xact",
      ".gi\xe2\x81\xadt",
      ".gi\xe2\x81\xaet",
      ".gi\xe2\x81\xaft",
      "\xef\xbb\xbf.git",
      ".gi\xe2\x80\xaft",
      ".gi\xe2\x81\xa9t",
      ".gi\xe2\x80\x8bt",
      ".gi\xe2\x80\x90t",
      ".git\xff",
      ".git\xc0\xaf",
      ".git\xed\xa0\x80",
      ".git\xef\xbf\xbe",
      ".git\xf5\x80\x80\x80",
      ".git\xf0\x9f\x98\x80",
      ".git\xe2\x80",
      ".gi\xff"
      "t",
      ".git\xe2\x80\x8c\xff",
      ".git\xe2\x80\x8c.",
      ".git\xe2\x80\x8c ",
      // .gitmodules: refused as a symlink only
      ".gitmodules",
      ".GITMODULES",
      ".gitModules",
      ".gitmodules ",
      ".gitmodules.",
      ".gitmodules . ",
      ".gitmodules:",
      ".gitmodules:x",
      ".gitmodules\\",
      ".gitmodules x",
      ".gitmodulesx",
      "gitmodules",
      "gitmod~1",
      "GITMOD~4",
      "gitmod~0",
      "gitmod~5",
      "gitmod~1.",
      "gitmod~1 .",
      "gitmod~1:a",
      "gitmod~1x",
      "gitmod~11",
      "gi7eba~1",
      "GI7EBA~9",
      "gi7eb~10",
      "gi7e~123",
      "gi7~1234",
      "gi~12345",
      "g~123456",
      "~1234567",
      "~9999999",
      "gi7eba~0",
      "gi7eba~a",
      "gi7eba~1.",
      "gi7eba~1x",
      "gi7eba~",
      "gi7ebax~",
      "gi7d29~1",
      "gi7~01",
      "a\\.gitmodules",
      "a\\gitmod~1",
      "a\\gi7eba~1",
      "a\\.gitmodules\\b",
      "\\.gitmodules",
      ".gitmodules\xe2\x80\x8c",
      ".git\xe2\x80\x8cmodules",
      ".gitmodules\xff",
      "\xe2\x80\x8c.gitMODULES",
      ".gitmodules\xe2\x80\x8c.",
      ".gitattributes ",
      "gitatt~1",
  };
  return all;
}

TEST(RefusedName, AgreesWithGit) {
  Git git;
  for (const bool is_symlink : {false, true}) {
    for (const std::string& name : names()) {
      EXPECT_EQ(is_refused_name(name, is_symlink), git.refuses(name, is_symlink))
          << ::testing::PrintToString(name) << (is_symlink ? " as a symlink" : " as a file");
    }
  }
}

TEST(RefusedName, IsStricterThanGitAboutWhatNoDirectoryCanHold) {
  EXPECT_TRUE(is_refused_name("", false));
  EXPECT_TRUE(is_refused_name("a/b", false));
  EXPECT_TRUE(is_refused_name(std::string_view("a\0b", 3), false));
}

}  // namespace
}  // namespace artifactfs
