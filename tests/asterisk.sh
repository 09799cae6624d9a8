#!/usr/bin/env bash
# Isthmus against real Asterisks. Debian 12 and 13 have none, so each comes from another release of Debian, which is
# put into a directory of its own; nothing of this machine changes but the packages that the tests need. Slow the
# first time (a download of about 200 MB for each), and not part of tests/run.sh.
#
#   tests/asterisk.sh [SUITE...]     bullseye (Asterisk 16) and sid (the newest that Debian has), or those named
#   ISTHMUS_CACHE=DIR                where the releases are kept   (${XDG_CACHE_HOME:-$HOME/.cache}/isthmus)
#   ISTHMUS_BUILD=DIR                where to build                (build/release)
#   ISTHMUS_DEBIAN=URL               mirror of Debian              (http://deb.debian.org/debian)
#
# Needs root: for the releases, and for network namespaces. Exit code 0: all scenes passed with each of them.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${ISTHMUS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/isthmus}
build=${ISTHMUS_BUILD:-$root/build/release}
mirror=${ISTHMUS_DEBIAN:-http://deb.debian.org/debian}
. "$root/deploy/lib/packages.sh"

fail() {
  echo "NOT TESTED: $*" >&2
  exit 1
}

packages() {
  isthmus_packages && install_packages "${BUILD_PACKAGES[@]}" "${INTEROP_PACKAGES[@]}" debootstrap debian-archive-keyring
}

build() {
  [ -f "$build/build.ninja" ] || cmake -S "$root" --preset release -B "$build" >/dev/null || return 1
  ninja -C "$build" isthmus-gateway isthmus-connector isthmus-phone | tail -1
}

# What goes with Asterisk in that release: voice mail for waiting messages.
more_packages() {
  case $1 in
    bullseye) echo ,asterisk-voicemail,asterisk-opus ;;
  esac
}

# release SUITE: makes its directory, whole or not at all.
release() {
  local place=$cache/$1 log=$cache/$1.log
  [ ! -x "$place/usr/sbin/asterisk" ] || return 0
  echo "   making $place (log: $log)"
  rm -rf "$place" "$place.part"
  debootstrap --variant=minbase --include="asterisk,asterisk-core-sounds-en$(more_packages "$1")" \
    "$1" "$place.part" "$mirror" >"$log" 2>&1 || { tail -5 "$log"; return 1; }
  rm -rf "$place.part/var/cache/apt/archives" "$place.part/var/lib/apt/lists"
  mkdir -p "$place.part/var/cache/apt/archives/partial" "$place.part/var/lib/apt/lists/partial"
  mv "$place.part" "$place"
}

[ "$(id -u)" = 0 ] || fail "this needs root"
suites=("$@")
[ ${#suites[@]} -gt 0 ] || suites=(bullseye sid)
echo "== Packages and build"
packages || fail "packages are missing"
build || fail "the build failed"
mkdir -p "$cache" || fail "$cache cannot be made"
passed=() failed=()
for suite in "${suites[@]}"; do
  echo
  echo "== Asterisk of Debian $suite"
  if release "$suite" &&
    python3 "$root/tests/asterisk/interop.py" "$build" --asterisk-root "$cache/$suite"; then
    passed+=("$suite")
  else
    failed+=("$suite")
  fi
done
echo
echo "passed: ${passed[*]:-none}; failed: ${failed[*]:-none}"
[ ${#failed[@]} -eq 0 ]
