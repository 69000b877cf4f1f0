// Which git command asks the hook, and what of the answer its bugs would turn into a wrong result. The hook is not
// told; it looks at the command line of its parent.
//
// - `git diff <commit>` and `git diff-index` of git 2.32 to 2.42.0 look at an uninitialised struct stat of every entry
//   that fsmonitor calls unchanged (check_removed() in diff-lib.c; fixed in 2.42.1). With the addresses of one run in
//   sixteen it looks like a directory's, and every file is shown as deleted. So they are told that everything may have
//   changed.
// - `git mv` and `git rm` of a submodule write .gitmodules and then stage it in the same process, with the answer from
//   before (add_to_index() does not leave fsmonitor out): the old .gitmodules would be committed. So they are told that
//   it may have changed.
//
// An alias of a builtin command is asked for by the alias's name: one with operands might be a diff.
#pragma once

#include <string_view>

namespace artifactfs {

enum class AskingCommand {
  ordinary,
  needs_everything,
  writes_gitmodules,
};

/// `command_line` as in /proc/<pid>/cmdline: words, each ended by NUL.
AskingCommand classify_asking_command(std::string_view command_line);

/// Of the git that started this process (directly, or through the shell that git uses when the hook's path has unusual
/// characters); ordinary when no git is found there, for the bugs are git's.
AskingCommand asking_command();

}  // namespace artifactfs
