#!/bin/bash
# Everything that must hold before a change goes in: installs what is missing, builds with and without sanitizers, then
# runs the tests. Works in a fresh clone at any path. Arguments go to ctest (e.g. -R cache, -L unit).
#
# The last lines are ctest's summary of the release build's run, in which formatting, layering, clang-tidy and clang's
# thread-safety analysis are tests of the label `lint`. Stops at the first step that fails.
set -euo pipefail

project=$(cd "$(dirname "$(readlink -f "$0")")/.." && pwd)
cd "$project"
exec </dev/null
jobs=${ARTIFACTFS_JOBS:-$(nproc)}

# Real servers, kills and a machine that others use too: a test gets a second try, and ctest's output shows that it did.
again=(--repeat until-pass:2)

step() {
  printf '\n== %s\n' "$*"
}

step "dependencies"
packaging/install-dependencies.sh build run test

for preset in release asan; do
  step "build ($preset)"
  target=all
  [[ $preset == release ]] || target=sanitizer_tests
  log=build/configure-$preset.log
  mkdir -p build
  cmake --preset "$preset" >"$log" 2>&1 || { cat "$log"; exit 1; }
  cmake --build --preset "$preset" --target "$target" --parallel "$jobs" -- --quiet
done

# Without arguments an empty selection would be a mistake of this script; with them it is the caller's wish.
none=error
[[ $# -eq 0 ]] || none=ignore
step "unit, fault and fuzz tests under AddressSanitizer and UndefinedBehaviorSanitizer"
ASAN_OPTIONS=strict_string_checks=1:detect_stack_use_after_return=1 UBSAN_OPTIONS=print_stacktrace=1 \
  ctest --preset asan --parallel "$jobs" "${again[@]}" --label-regex '^(unit|fault|fuzz)$' --no-tests="$none" "$@"

step "all tests"
exec ctest --preset release --parallel "$jobs" "${again[@]}" --no-tests=error "$@"
