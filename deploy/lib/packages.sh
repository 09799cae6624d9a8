# Debian packages that Isthmus needs, for the scripts of deploy/ and tests/. To be sourced by bash.
#
#   isthmus_packages [12|13]         sets the arrays below for that Debian (default: this one)
#     BUILD_PACKAGES      compiler, CMake and development packages: enough for every program
#     TEST_PACKAGES       what the test programs need on top
#     FUZZ_PACKAGES       clang with libFuzzer
#     RUNTIME_PACKAGES    libraries that the gateway and the connector load
#     PHONE_PACKAGES      libraries that isthmus-phone loads on top
#     DEMO_PACKAGES       what the quick start shows Isthmus with: registrar, phone, speech, capture
#     INTEROP_PACKAGES    what tests/interop drives Isthmus with
#     CONTAINER_PACKAGES  what deploy/test-container.sh builds and runs the image with
#   packages_missing NAME...         prints those that are not installed, one a line
#   install_packages NAME...         installs those that are missing; needs root or sudo

isthmus_debian_release() {
  local id version
  # A subshell: os-release sets many names.
  id=$(. /etc/os-release && echo "${ID:-}")
  version=$(. /etc/os-release && echo "${VERSION_ID:-}")
  if [ "$id" = debian ] && [ -n "$version" ]; then echo "$version"; else echo 12; fi
}

isthmus_packages() {
  local release=${1:-$(isthmus_debian_release)}
  local boost
  # Debian 12's default Boost (1.74) has no Boost.URL, so its newer one is asked for by number.
  case $release in
    12) boost=1.81 ;;
    13) boost=1.83 ;;
    *)
      echo "packages.sh: Debian $release is not known; 12 and 13 are" >&2
      return 1
      ;;
  esac

  BUILD_PACKAGES=(
    g++ cmake ninja-build pkg-config
    "libboost${boost}-dev" "libboost-json${boost}-dev" "libboost-url${boost}-dev"
    libprotobuf-dev protobuf-compiler libssl-dev libc-ares-dev
    libspdlog-dev libfmt-dev libyaml-cpp-dev libcli11-dev libsqlite3-dev libre2-dev
    libngtcp2-dev libngtcp2-crypto-gnutls-dev libgnutls28-dev
    libopus-dev libsndfile1-dev libspeexdsp-dev portaudio19-dev
  )
  TEST_PACKAGES=(libgtest-dev libgmock-dev libbenchmark-dev libosip2-dev libsrtp2-dev)
  FUZZ_PACKAGES=(clang llvm clang-format)
  if [ "$release" = 12 ]; then
    RUNTIME_PACKAGES=(
      "libboost-json${boost}.0" libprotobuf-lite32 libssl3 libc-ares2
      libspdlog1.10 libfmt9 libyaml-cpp0.7 libsqlite3-0 libre2-9 ca-certificates
      libngtcp2-9 libngtcp2-crypto-gnutls2 libgnutls30
    )
  else
    RUNTIME_PACKAGES=(
      "libboost-json${boost}.0" libprotobuf-lite32t64 libssl3t64 libcares2
      libspdlog1.15 libfmt10 libyaml-cpp0.8 libsqlite3-0 libre2-11 ca-certificates
      libngtcp2-16 libngtcp2-crypto-gnutls8 libgnutls30t64
    )
  fi
  PHONE_PACKAGES=(libopus0 libsndfile1 libspeexdsp1 libportaudio2)
  DEMO_PACKAGES=(kamailio baresip-core espeak-ng iproute2 tcpdump python3)
  INTEROP_PACKAGES=(
    kamailio kamailio-tls-modules baresip-core linphone-cli espeak-ng iproute2 tcpdump python3 sip-tester sipsak procps openssl dnsmasq-base
    tshark nftables conntrack tinyproxy-bin
  )
  CONTAINER_PACKAGES=(buildah podman runc debootstrap python3 sip-tester iproute2)
}

packages_missing() {
  local name
  for name in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || echo "$name"
  done
}

install_packages() {
  local missing as_root=()
  mapfile -t missing < <(packages_missing "$@")
  [ ${#missing[@]} -gt 0 ] || return 0
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || {
      echo "these packages are missing, and neither root nor sudo is there: ${missing[*]}" >&2
      return 1
    }
    as_root=(sudo)
  fi
  echo "installing ${#missing[@]} Debian packages: ${missing[*]}"
  # Package lists may be absent (a fresh image) or old.
  "${as_root[@]}" apt-get update -qq || return 1
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null || return 1
  # Debian starts a Kamailio of its own on port 5060; whoever did not have one does not want it.
  if [ -d /run/systemd/system ] && [[ " ${missing[*]} " == *" kamailio "* ]]; then
    "${as_root[@]}" systemctl disable --now kamailio >/dev/null 2>&1 || true
  fi
}
