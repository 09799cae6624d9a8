#!/usr/bin/env bash
# Isthmus, from a clean clone to a real call, on Debian 12 or 13: installs what is missing, builds
# the programs, then lets phones and a registrar that nobody changed call each other through one
# socket.
#
#   deploy/quickstart.sh              all of it; needs root or sudo only to install packages
#   ISTHMUS_BUILD=DIR                 where to build                      (build/release)
#   ISTHMUS_DEMO=DIR                  recordings, captures, logs          (build/quickstart)
#
# The demonstration runs in network namespaces, so that it touches nothing of this machine, needs no
# free ports, and shows exactly what leaves the client's side. Exit code 0: everything worked.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=${ISTHMUS_BUILD:-$root/build/release}
demo=${ISTHMUS_DEMO:-$root/build/quickstart}
log=$demo-build.log
. "$root/deploy/lib/packages.sh"

step() { echo; echo "== $*"; }

fail() {
  echo
  echo "NOT WORKING: $*"
  exit 1
}

install() {
  isthmus_packages
  local wanted=("${BUILD_PACKAGES[@]}" "${DEMO_PACKAGES[@]}")
  if [ -z "$(packages_missing "${wanted[@]}")" ]; then
    step "Packages: all installed"
  else
    step "Packages"
    install_packages "${wanted[@]}" || fail "apt could not install the packages named above"
  fi
}

# Reads ninja's output. For people: one line that changes; for files: a line every half minute.
progress() {
  local line shown=-30
  while IFS= read -r line; do
    case $line in
      '['*)
        if [ -t 1 ]; then
          printf '\r\033[K   %.100s' "$line"
        elif [ $((SECONDS - shown)) -ge 30 ]; then
          shown=$SECONDS
          echo "   $line"
        fi
        ;;
    esac
  done
  if [ -t 1 ]; then printf '\r\033[K'; fi
}

build() {
  local targets=(isthmus-gateway isthmus-connector isthmus-phone) started=$SECONDS
  step "Build: ${targets[*]} into $build"
  mkdir -p "$build" "$(dirname "$log")"
  # A tree that tests/run.sh configured keeps its tests; a new one has none, which spares time.
  if [ ! -f "$build/build.ninja" ]; then
    cmake -S "$root" --preset release -B "$build" -DISTHMUS_TESTS=OFF >"$log" 2>&1 ||
      { tail -20 "$log"; fail "cmake failed; all of its output: $log"; }
  fi
  ninja -C "$build" "${targets[@]}" 2>&1 | tee -a "$log" | progress || {
    tail -30 "$log"
    fail "the build failed; all of its output: $log"
  }
  echo "   built in $((SECONDS - started)) s"
}

next_steps() {
  cat <<TEXT

What to try next
   your own gateway, with nothing configured; it prints a command that calls its echo service:
     $build/gateway/src/app/isthmus-gateway
   every configuration key:          $build/gateway/src/app/isthmus-gateway config-reference
   in front of your PBX or provider: deploy/examples/gateway-kamailio.yaml
   phones of an office behind it:    deploy/examples/connector.yaml
   the SDK's smallest example:       client-sdk/examples/minimal_call.cpp
   all tests:                        tests/run.sh
TEXT
}

cd "$root"
install
build
echo
python3 "$root/deploy/quickstart/demo.py" "$build" "$demo" || exit 1
next_steps
echo
echo "quickstart: everything worked, in $SECONDS s"
