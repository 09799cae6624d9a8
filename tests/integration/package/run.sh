#!/usr/bin/env bash
# Installs a build tree into a temporary place, moves it, and builds and runs a program against it by
# find_package and by pkg-config. Usage: run.sh <build directory>
set -euo pipefail
build=$(realpath "${1:?usage: run.sh <build directory>}")
here=$(dirname "$(realpath "$0")")
cmake=${CMAKE:-cmake}
cxx=${CXX:-c++}
flags=${SANITIZE:+-fsanitize=$SANITIZE}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The SDK's part of the tree alone: other programs of the project need not be built for this.
"$cmake" --install "$build/client-sdk" --prefix "$work/first" > "$work/install.log"
mv "$work/first" "$work/prefix" # what is installed must not know where it was put
export LD_LIBRARY_PATH=

echo "== find_package"
"$cmake" -S "$here/cmake" -B "$work/by-cmake" -DCMAKE_PREFIX_PATH="$work/prefix" -DCMAKE_CXX_COMPILER="$cxx" \
  -DCMAKE_CXX_FLAGS="$flags" > "$work/configure.log" || { cat "$work/configure.log"; exit 1; }
"$cmake" --build "$work/by-cmake" > "$work/build.log" || { cat "$work/build.log"; exit 1; }
"$work/by-cmake/outside"

echo "== pkg-config"
PKG_CONFIG_PATH=$(dirname "$(find "$work/prefix" -name isthmus.pc)")
export PKG_CONFIG_PATH
libdir=$(pkg-config --variable=libdir isthmus)
# shellcheck disable=SC2046,SC2086  # lists of flags
"$cxx" -std=c++20 $flags "$here/outside.cpp" $(pkg-config --cflags --libs isthmus) -Wl,-rpath,"$libdir" -o "$work/by-pkg-config"
"$work/by-pkg-config"

echo "== only the public symbols, only public headers"
foreign=$(nm -D --defined-only -C "$libdir/libisthmus.so" | grep -E ' (boost|google|isthmus::(sip|sdp|rtp|wire|net|quic|audio|ua))::' || true)
if [ -n "$foreign" ]; then
  echo "libisthmus.so exports what is not its interface:"
  echo "$foreign" | head
  exit 1
fi
if grep -rnE '#include *[<"](boost|google|sip|sdp|rtp|wire|net|quic|base|ua|audio|client)/' "$work/prefix/include/isthmus"; then
  echo "an installed header includes what is not installed"
  exit 1
fi

echo "== isthmus-phone"
"$work/prefix/bin/isthmus-phone" --version
