#!/bin/bash
# Builds artifactfs, mounts a repository and shows around. Run it again: it is quick, and says what is mounted.
#
#   packaging/quickstart.sh                    mounts this very repository (no network), on a directory that it names
#   packaging/quickstart.sh <remote> <dir>     mounts any git remote
set -euo pipefail

usage() {
  sed -n '2,5s/^# \{0,1\}//p' "$0"
}
fail() {
  echo "artifactfs: $*" >&2
  exit 1
}

case ${1:-} in -h | --help) usage; exit 0 ;; esac
[[ $# -eq 0 || $# -eq 2 ]] || { usage >&2; exit 2; }
started_in=$PWD
project=$(cd "$(dirname "$(readlink -f "$0")")/.." && pwd)
build=$project/build/quickstart
artifactfs=$build/bin/artifactfs

# This repository as a remote. git refuses to serve one that another user owns (a CI job that runs as root in a
# checkout of somebody else's): then a bare repository of our own borrows its objects.
own_repository() {
  if git ls-remote --exit-code "$project" HEAD >/dev/null 2>&1; then
    echo "$project"
    return
  fi
  local head common copy=$build/source.git
  local here=(git -c "safe.directory=$project" -C "$project")
  head=$("${here[@]}" rev-parse --verify --quiet HEAD) ||
    fail "cannot mount '$project': no git repository with a commit; name another: $0 <remote> <dir>"
  common=$("${here[@]}" rev-parse --path-format=absolute --git-common-dir)
  rm -rf "$copy"
  git init --quiet --bare "$copy"
  echo "$common/objects" >"$copy/objects/info/alternates"
  [[ ! -f $common/shallow ]] || cp "$common/shallow" "$copy/shallow"
  git -C "$copy" symbolic-ref HEAD refs/heads/main
  git -C "$copy" update-ref refs/heads/main "$head"
  echo "$copy"
}

is_mounted() { # <dir>; asks the mount table, not the mount
  findmnt --noheadings --mountpoint "$1" >/dev/null 2>&1
}

show() { # prints a command as one would type it, and runs it
  printf '\n$ %s\n' "$*"
  "$@"
}

say() {
  printf '%s\n' "$*" >&2
}

cd "$project"
"$project/packaging/install-dependencies.sh" build run
say "Building in $build ..."
log=$build/build.log
mkdir -p "$build"
{ { [[ -f $build/build.ninja ]] || cmake --preset release -B "$build" -DARTIFACTFS_TESTS=OFF; } &&
  cmake --build "$build" --target artifactfs artifactfs-daemon artifactfs-fsmonitor; } >"$log" 2>&1 </dev/null || {
  tail -n 40 "$log" >&2
  fail "cannot build: see '$log'"
}

if [[ $# -eq 2 ]]; then
  remote=$1
  cd "$started_in"
  mkdir -p "$2" || fail "cannot mount on '$2': the directory cannot be made"
  directory=$(cd "$2" 2>/dev/null && pwd || readlink -f "$2")
else
  remote=$(own_repository)
  # The same directory in every run, and another one for another checkout of this project.
  directory=${TMPDIR:-/tmp}/artifactfs-quickstart-$(id -un)-$(cksum <<<"$project" | cut -d' ' -f1)
  is_mounted "$directory" || mkdir -p -m 700 "$directory"
fi

if is_mounted "$directory"; then
  say "Mounted already: $directory"
else
  printf '\n$ artifactfs mount %q %q\n' "$remote" "$directory"
  "$artifactfs" mount "$remote" "$directory"
fi

cd "$directory"
printf '\n$ cd %q\n' "$directory"
show ls
show git log -1 --oneline
show git status
for file in README.md README README.rst LICENSE; do
  if [[ -f $file ]]; then
    show head -n 5 "$file"
    break
  fi
done
cd "$started_in"
printf '\n$ artifactfs status %q\n' "$directory"
"$artifactfs" status "$directory"

cat <<END

Look around in  $directory
and end it with $artifactfs unmount $directory
END
