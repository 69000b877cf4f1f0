// Trees that git refuses to check out are refused, and leave nothing behind.
#include "tests/integration/mount/mount_test.h"

namespace artifactfs::test {
namespace {

namespace fs = std::filesystem;

std::string raw_entry(const std::string& mode, const std::string& name, const std::string& oid_hex) {
  std::string entry = mode + " " + name + '\0';
  for (size_t i = 0; i < oid_hex.size(); i += 2) {
    entry += static_cast<char>(std::stoi(oid_hex.substr(i, 2), nullptr, 16));
  }
  return entry;
}

TEST_F(MountTest, HostileTreeIsRefused) {
  const auto outside = artifactfs_ / "outside";
  fs::create_directories(outside);
  struct Case {
    std::string name;
    std::string shown;  // what the message must name
  };
  const std::vector<Case> cases = {{".git", ".git"},
                                   {".GIT", ".GIT"},
                                   {".Git", ".Git"},
                                   {"git~1", "git~1"},
                                   {"GIT~1", "GIT~1"},
                                   {".git ", ".git "},
                                   {".git.", ".git."},
                                   {".g\xe2\x80\x8cit", ".g"},
                                   {".git::$INDEX_ALLOCATION", ".git::$INDEX_ALLOCATION"},
                                   {".", "."},
                                   {"..", ".."},
                                   {"../../outside", "../../outside"},
                                   {"a/b", "a/b"},
                                   {"", ""}};
  artifactfs_.start_daemon();
  int number = 0;
  for (const auto& [name, shown] : cases) {
    for (const bool deep : {false, true}) {
      SCOPED_TRACE("'" + name + (deep ? "' below" : "' at the root"));
      GitRepository source(artifactfs_ / ("source" + std::to_string(++number)));
      const std::string blob = source.git({"hash-object", "-w", "--stdin"}, "hostile\n");
      std::string tree =
          source.git({"hash-object", "-w", "-t", "tree", "--literally", "--stdin"}, raw_entry("100644", name, blob));
      if (deep) {
        tree = source.git({"hash-object", "-w", "-t", "tree", "--literally", "--stdin"},
                          raw_entry("40000", "directory", tree));
      }
      source.git({"update-ref", "refs/heads/main", source.git({"commit-tree", "-m", "hostile", tree})});
      const auto target = artifactfs_ / "target";
      fs::create_directories(target);
      const auto output = artifactfs_.run({"mount", (source.path() / ".git").string(), target.string()});
      EXPECT_EQ(1, output.status);
      EXPECT_TRUE(output.err.starts_with("artifactfs: cannot mount '")) << output.err;
      EXPECT_EQ(1, std::ranges::count(output.err, '\n')) << output.err;
      EXPECT_NE(std::string::npos, output.err.find("'" + shown)) << output.err;
      EXPECT_TRUE(artifactfs_.mounted().empty());
      EXPECT_TRUE(artifactfs_.state_entries("mounts").empty());
      EXPECT_TRUE(artifactfs_.state_entries("stores").empty());
      EXPECT_TRUE(fs::is_empty(target));
      EXPECT_TRUE(fs::is_empty(outside));
    }
  }
}

TEST_F(MountTest, SymbolicLinksCannotShadowWhatIsBelow) {
  // Two entries of one name, a link and a directory: git would write through the link.
  const auto outside = artifactfs_ / "outside";
  fs::create_directories(outside);
  GitRepository source(artifactfs_ / "source");
  const std::string link = source.git({"hash-object", "-w", "--stdin"}, outside.string());
  const std::string blob = source.git({"hash-object", "-w", "--stdin"}, "hostile\n");
  const std::string below = source.git({"mktree"}, "100644 blob " + blob + "\tfile\n");
  const std::string tree = source.git({"hash-object", "-w", "-t", "tree", "--literally", "--stdin"},
                                      raw_entry("120000", "name", link) + raw_entry("40000", "name", below));
  source.git({"update-ref", "refs/heads/main", source.git({"commit-tree", "-m", "hostile", tree})});
  fs::create_directories(artifactfs_ / "target");
  artifactfs_.start_daemon();
  const auto output = artifactfs_.run({"mount", (source.path() / ".git").string(), (artifactfs_ / "target").string()});
  EXPECT_EQ(1, output.status);
  EXPECT_NE(std::string::npos, output.err.find("'name'")) << output.err;
  EXPECT_TRUE(artifactfs_.mounted().empty());
}

}  // namespace
}  // namespace artifactfs::test
