#!/usr/bin/env bash
# Every test that CI runs, on a fresh Debian 12 or 13: installs what is missing, builds, tests, and ends with a table,
# a plain count and an exit code.
#
#   tests/run.sh [STEP...]      all steps, or those named (see the list at the end)
#   ISTHMUS_BUILD_ROOT=DIR      where to build (build)
#   ISTHMUS_FUZZ_SECONDS=N      how long each fuzz target runs (5)
#
# Not among them: tests/asterisk.sh, which needs other releases of Debian.
#
# Root or sudo is needed to install packages and to make network namespaces. A step that cannot run here is SKIPPED with
# its reason; in CI (CI is set) that counts as a failure, except for the container image, which says why.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
builds=${ISTHMUS_BUILD_ROOT:-$root/build}
logs=$builds/test-logs
fuzz_seconds=${ISTHMUS_FUZZ_SECONDS:-5}
readonly kSkipped=77
. "$root/deploy/lib/packages.sh"

names=() results=() durations=()

# run STEP COMMAND...: runs it with its output in a log and on the terminal; notes how it ended.
run() {
  local name=$1 started=$SECONDS code result
  shift
  [ ${#wanted[@]} -eq 0 ] || [[ " ${wanted[*]} " == *" $name "* ]] || return 0
  echo
  echo "== $name"
  "$@" 2>&1 | tee "$logs/$name.log"
  code=${PIPESTATUS[0]}
  case $code in
    0) result=passed ;;
    "$kSkipped")
      result=SKIPPED
      if [ -n "${CI:-}" ] && [ "$name" != container ]; then result=FAILED; fi
      ;;
    *) result=FAILED ;;
  esac
  names+=("$name")
  results+=("$result")
  durations+=("$((SECONDS - started))")
  echo "-- $name: $result after $((SECONDS - started)) s"
  [ "$result" != FAILED ]
}

packages() {
  isthmus_packages
  install_packages "${BUILD_PACKAGES[@]}" "${TEST_PACKAGES[@]}" "${FUZZ_PACKAGES[@]}" "${INTEROP_PACKAGES[@]}" \
    "${CONTAINER_PACKAGES[@]}"
}

# Lines of progress now and then instead of thousands.
quiet_ninja() {
  ninja -C "$1" "${@:2}" 2>&1 | awk '
    /^\[/ { split($1, part, /[\[\/\]]/); if (part[2] - shown >= 40 || part[2] == part[3]) { print "   " $1; fflush(); shown = part[2] } next }
    { print; fflush() }'
  return "${PIPESTATUS[0]}"
}

configure() {  # PRESET [OPTION...]
  cmake -S "$root" --preset "$1" -B "$builds/$1" "${@:2}" >"$logs/configure-$1.log" 2>&1 ||
    { tail -20 "$logs/configure-$1.log"; return 1; }
}

build() {
  configure release -DISTHMUS_TESTS=ON -DISTHMUS_BENCH=ON && quiet_ninja "$builds/release"
}

unit() {
  ctest --test-dir "$builds/release" -j2 --output-on-failure --no-tests=error
}

# The pure code, where parsers and bookkeeping are, and whole systems of it in tests/sim, under ASan and UBSan; then
# each fuzz target for a few seconds, of the same build. The I/O rooms' tests would double the time of this step: run
# them by hand after a change there (cmake --preset asan-ubsan, then ctest).
build_sanitized() {
  configure fuzz -DISTHMUS_TESTS=ON && quiet_ninja "$builds/fuzz"
}

# Interop tests wait most of their time: meanwhile that build takes what they leave of the processors (SCHED_IDLE,
# which gives way at once to whoever wants them).
ahead=
build_sanitized_ahead() {
  export -f configure quiet_ninja build_sanitized
  export root builds logs
  chrt --idle 0 setsid bash -c 'build_sanitized' >"$logs/build-sanitized.log" 2>&1 &
  ahead=$!
}

await_sanitized() {
  [ -n "$ahead" ] || return 0
  echo "   waiting for the build that began beside the interop tests"
  wait "$ahead" || true  # what is wrong with it, the build that follows says
  ahead=
}

# In a job of its own, so that what it started ends with it.
cancel_sanitized() {
  [ -z "$ahead" ] || kill -- "-$ahead" 2>/dev/null || true
}
trap cancel_sanitized EXIT

sanitizers() {
  build_sanitized &&
    ctest --test-dir "$builds/fuzz" -j2 --output-on-failure --no-tests=error -E 'allocation|^layering'
}

fuzz() {
  local target targets name scratch count=0
  build_sanitized || return 1
  targets=$(ninja -C "$builds/fuzz" -t targets all | sed -nE 's/^([a-z0-9_]+_fuzz): phony$/\1/p' | grep -v '^cmake_')
  [ -n "$targets" ] || { echo "no fuzz target found"; return 1; }
  for target in $targets; do
    name=${target%_fuzz}
    scratch=$(mktemp -d)
    if ! "$builds/fuzz/tests/fuzz/$target" -max_total_time="$fuzz_seconds" -timeout=10 -rss_limit_mb=2048 \
      -artifact_prefix="$logs/$name-" "$scratch" "$root/tests/fuzz/corpus/$name" >"$logs/fuzz-$name.log" 2>&1; then
      echo "$target FAILED:"
      tail -30 "$logs/fuzz-$name.log"
      rm -rf "$scratch"
      return 1
    fi
    rm -rf "$scratch"
    count=$((count + 1))
    echo "   $target: $(grep -oE 'Done [0-9]+ runs' "$logs/fuzz-$name.log" || echo 'corpus replayed')"
  done
  echo "$count fuzz targets, no crash"
}

format() {
  git -C "$root" ls-files '*.hpp' '*.cpp' | sed "s|^|$root/|" | xargs clang-format --dry-run -Werror
}

interop() {  # SCRIPT
  python3 "$1" "$builds/release"
}

# Keeps the benchmark working; what it measures beside other work means little.
call_cost() {
  python3 "$root/tests/bench/call_cost.py" "$builds/release" --rate 50 --seconds 3
}

# The same for idle sessions; memory does not depend on what else runs.
idle_sessions() {
  python3 "$root/tests/bench/idle_sessions.py" "$builds/release" --sessions 200 --rest 2 --limit-kb 200
}

quickstart() {
  ISTHMUS_BUILD=$builds/release "$root/deploy/quickstart.sh"
}

container() {
  "$root/deploy/test-container.sh"
}

summary() {
  local i passed=0 failed=0 skipped=0
  echo
  printf '%-28s %-8s %6s\n' step result s
  for i in "${!names[@]}"; do
    printf '%-28s %-8s %6s\n' "${names[$i]}" "${results[$i]}" "${durations[$i]}"
    case ${results[$i]} in
      passed) passed=$((passed + 1)) ;;
      FAILED) failed=$((failed + 1)) ;;
      *) skipped=$((skipped + 1)) ;;
    esac
  done
  echo
  echo "logs: $logs"
  echo "$passed passed, $failed failed, $skipped skipped"
  [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}

wanted=("$@")
mkdir -p "$logs"
cd "$root"
run packages packages
if run build build; then
  run unit unit
  run quickstart quickstart
  [ ${#wanted[@]} -gt 0 ] || build_sanitized_ahead
  for script in "$root"/tests/interop/*.py; do
    name=$(basename "$script" .py)
    [ "$name" = support ] || run "interop-$name" interop "$script"
  done
  run call-cost call_cost
  run idle-sessions idle_sessions
fi
await_sanitized
if run sanitizers sanitizers; then
  run fuzz fuzz
fi
run format format
[ ! -x "$root/deploy/test-container.sh" ] || run container container
summary
