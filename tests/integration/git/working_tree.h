// What a working tree holds, as one text that two trees can be compared by.
#pragma once

#include <filesystem>
#include <string>

namespace artifactfs::test {

/// A line for everything below `root` but what is called ".git", in the order of names: type and permissions, the path,
/// and the content (short texts as they are, others by size and hash) or the symbolic link's target. What cannot be
/// read is described by its error.
std::string describe_tree(const std::filesystem::path& root);

/// The lines that only one of two such texts has, "-" for `expected` and "+" for `actual`; empty when they are equal.
std::string line_differences(const std::string& expected, const std::string& actual);

}  // namespace artifactfs::test
