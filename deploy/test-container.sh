#!/usr/bin/env bash
# Builds the container image and proves it by a call through it:
#   the image's default command, without any configuration, in a network namespace of its own;
#   its health check; isthmus-phone in a second container, with the command that the gateway
#   prints, hears from the echo service what it said; a connector in a third one (with a call of
#   SIPp's where that is installed); size, user, and the end on SIGTERM.
#
#   deploy/test-container.sh
#
# Docker where its engine answers. Else, for root, buildah builds (chroot isolation) and podman
# runs, or buildah also runs where podman cannot. Without a reachable image registry, the base
# image is made by debootstrap, with the Debian mirror that this machine is configured to use, and
# kept in build/container.
#
# Environment:
#   ISTHMUS_IMAGE        an image that exists already: tested in place of a new one
#   ISTHMUS_BASE_IMAGE   base image in place of debian:trixie-slim
#   ISTHMUS_CONTAINERS   docker, podman or buildah: what runs the containers
# Exit status: 0 passed, 1 failed, 77 skipped for the reason it prints.
set -Eeuo pipefail
trap 'echo "test-container.sh: line $LINENO failed: $BASH_COMMAND" >&2' ERR
cd "$(dirname "$0")/.."
root=$PWD

readonly IMAGE=${ISTHMUS_IMAGE:-localhost/isthmus:test}
readonly BASE=localhost/isthmus-base:trixie
readonly OFFICIAL_BASE=docker.io/library/debian:trixie-slim DEFAULT_MIRROR=http://deb.debian.org/debian
readonly SIZE_LIMIT_MB=150 STOP_LIMIT_MS=5000
readonly CACHE=$root/build/container
NAME=isthmus-test-$$

say() { printf '\n== %s\n' "$*"; }
passed() { printf '   ok: %s\n' "$*"; }
fail() {
  printf '\nFAILED: %s\n' "$*" >&2
  exit 1
}
skip() {
  printf '\n*** SKIPPED: %s ***\n\n' "$*" >&2
  exit 77
}
now_ms() { date +%s%3N; }

# What every way out undoes: only what this run made, by its id.
work=
children=()
working_containers=()
show_logs() {
  local name
  for name in gateway connector; do [ ! -f "$work/$name.log" ] || log "$name" >/dev/null; done
  # What podman cannot do here matters only when nothing else could either.
  if [ "$runner" ]; then rm -f "$work/engine.log"; fi
  for name in "$work"/*.log; do
    if [ -s "$name" ]; then printf -- '--- %s\n' "${name##*/}" && tail -n 25 "$name"; fi
  done
}
cleanup() {
  local status=$? child
  set +e
  trap - ERR
  if [ "$status" -ne 0 ] && [ "$status" -ne 77 ] && [ -n "$work" ]; then show_logs >&2; fi
  for child in "${children[@]}"; do kill "$child" 2>/dev/null; done
  for child in "${children[@]}"; do timeout 5 tail --pid="$child" -f /dev/null; done
  if [ "${#engine[@]}" -gt 0 ]; then
    # The gateway's last: the others use its network.
    for child in beside connector gateway; do "${engine[@]}" rm -f -v "$NAME-$child" >/dev/null 2>&1; done
  fi
  for child in "${working_containers[@]}"; do buildah rm "$child" >/dev/null 2>&1; done
  [ -n "$work" ] && rm -rf --one-file-system "$work"
  exit "$status"
}
engine=()
trap cleanup EXIT
trap 'exit 1' INT TERM

# --- building -------------------------------------------------------------------------------------

builder=
pick_builder() {
  if docker info >/dev/null 2>&1; then
    builder=docker
  elif ! command -v buildah >/dev/null; then
    skip "no Docker engine answers and buildah is not installed (apt-get install buildah podman)"
  elif [ "$(id -u)" != 0 ]; then
    skip "no Docker engine answers, and buildah needs root here"
  else
    builder=buildah
  fi
  command -v python3 >/dev/null || skip "python3 is not installed; it compares the recordings"
}

# The first of the mirrors that holds the suite: those of this machine's apt, then Debian's own.
find_mirror() { # kind (debian or security), suite
  local uri uris
  uris=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 2>/dev/null | sort -u || true)
  if [ "$1" = security ]; then uris=$(grep security <<<"$uris" || true); else
    uris=$(grep -v security <<<"$uris" || true)
    uris+=" $DEFAULT_MIRROR"
  fi
  for uri in $uris; do
    uri=${uri%/}
    if timeout 60 /usr/lib/apt/apt-helper download-file "$uri/dists/$2/InRelease" "$work/release" \
      >/dev/null 2>&1; then
      rm -f "$work/release"
      echo "$uri"
      return
    fi
  done
  return 1
}

# Packages for the image come from where this machine's come from, by the same proxy. Mounted for
# the build alone: nothing of it is in the image.
apt_mounts=()
prepare_apt() {
  [ -x /usr/lib/apt/apt-helper ] || return 0
  mirror=$(find_mirror debian trixie) || return 0
  local security apt=$work/apt keys=/usr/share/keyrings/debian-archive-keyring.gpg
  mkdir -p "$apt/sources.list.d" "$apt/apt.conf.d"
  printf 'Types: deb\nURIs: %s\nSuites: trixie\nComponents: main\nSigned-By: %s\n' \
    "$mirror" "$keys" >"$apt/sources.list.d/debian.sources"
  if security=$(find_mirror security trixie-security); then
    printf '\nTypes: deb\nURIs: %s\nSuites: trixie-security\nComponents: main\nSigned-By: %s\n' \
      "$security" "$keys" >>"$apt/sources.list.d/debian.sources"
  fi
  apt-config dump | grep -E '^Acquire::(http|https|Retries|Check-|ForceIPv4|ForceIPv6)' \
    >"$apt/apt.conf.d/90machine" || true
  chmod -R a+rX "$apt"
  apt_mounts=(-v "$apt/sources.list.d:/etc/apt/sources.list.d:ro" -v "$apt/apt.conf.d:/etc/apt/apt.conf.d:ro")
}

# The same as the official image: minimal variant, without documents but licences.
debootstrap_base() { # tar file to write
  command -v debootstrap >/dev/null || skip "no image registry is reachable and debootstrap is not installed"
  [ -n "${mirror:-}" ] || skip "neither an image registry nor a Debian mirror is reachable"
  local tree=$work/base proxy
  eval "$(apt-config shell proxy Acquire::http::Proxy)"
  [ -z "${proxy:-}" ] || export http_proxy=$proxy
  debootstrap --variant=minbase trixie "$tree" "$mirror" >"$work/debootstrap.log" 2>&1 ||
    fail "debootstrap from $mirror"
  find "$tree/usr/share/doc" -type f ! -name copyright -delete
  rm -rf "$tree"/usr/share/{man,info,locale,lintian}/* "$tree"/var/lib/apt/lists/* \
    "$tree"/var/cache/* "$tree"/var/log/* "$tree/etc/apt/sources.list"
  printf 'Types: deb\nURIs: %s\nSuites: trixie trixie-updates\nComponents: main\nSigned-By: %s\n' \
    "$DEFAULT_MIRROR" /usr/share/keyrings/debian-archive-keyring.gpg \
    >"$tree/etc/apt/sources.list.d/debian.sources"
  tar -C "$tree" --one-file-system --numeric-owner --sort=name -cf "$1.part" .
  mv "$1.part" "$1"
  rm -rf --one-file-system "$tree"
}

base=
find_base() {
  local tar container
  tar=$CACHE/base-trixie-$(dpkg --print-architecture 2>/dev/null || uname -m).tar
  if [ -n "${ISTHMUS_BASE_IMAGE:-}" ]; then
    base=$ISTHMUS_BASE_IMAGE
  elif [ "$builder" = docker ]; then
    base=$OFFICIAL_BASE
  elif buildah inspect --type image "$BASE" >/dev/null 2>&1; then
    base=$BASE
  elif [ ! -f "$tar" ] && timeout 120 buildah pull -q "$OFFICIAL_BASE" >/dev/null 2>"$work/pull.log"; then
    base=$OFFICIAL_BASE
  else
    [ -f "$tar" ] || { echo "   no image registry is reachable: making the base with debootstrap" && debootstrap_base "$tar"; }
    container=$(buildah from scratch)
    working_containers+=("$container")
    buildah add -q "$container" "$tar" / >/dev/null
    buildah config --cmd bash "$container"
    buildah commit -q "$container" "$BASE" >/dev/null
    base=$BASE
  fi
}

build_image() {
  local log=$work/build.log arguments=(
    --network host -f deploy/Dockerfile -t "$IMAGE"
    --build-arg "BASE_IMAGE=$base"
    --build-arg "VERSION=$(sed -n 's/^project(isthmus VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)"
    --build-arg "REVISION=$(git rev-parse HEAD 2>/dev/null || echo unknown)"
    --build-arg "CREATED=$(git log -1 --format=%cI 2>/dev/null || date -Is)"
  )
  if [ "$builder" = docker ]; then
    DOCKER_BUILDKIT=1 docker build "${arguments[@]}" . >"$log" 2>&1 || fail "docker build"
  else
    buildah bud --layers --format docker --isolation chroot "${apt_mounts[@]}" "${arguments[@]}" . \
      >"$log" 2>&1 || fail "buildah bud"
  fi
}

# --- running --------------------------------------------------------------------------------------
# Two ways, the same verbs: start NAME COMMAND... (a container that goes on; without a command, the
# image's own), log NAME, beside COMMAND... (a container for one command), inside COMMAND... (in the
# gateway's container), in_network COMMAND... (a program of this machine). All containers share the
# gateway's network and state; by buildah's chroot they share the file system as well.

runner=
run_options=()
container=     # buildah's working container
namespace_pid= # a process in the containers' network namespace
gateway_pid=
declare -A buildah_pids

# podman may lack what its runtime asks for by default: raising limits, a cgroup of its own.
podman_runs() {
  local runtime limits
  for runtime in "" crun runc; do
    [ -z "$runtime" ] || command -v "$runtime" >/dev/null || [ -x "/usr/sbin/$runtime" ] || continue
    for limits in "" "--ulimit=nofile=4096:4096 --ulimit=nproc=4096:4096"; do
      engine=(podman ${runtime:+--runtime "$runtime"})
      read -ra run_options <<<"$limits" || true
      "${engine[@]}" run --rm --no-healthcheck --network none "${run_options[@]}" "$IMAGE" true >>"$work/engine.log" 2>&1 && return
    done
  done
  engine=()
  return 1
}

pick_runner() {
  local wanted=${ISTHMUS_CONTAINERS:-}
  if [ "$builder" = docker ]; then
    runner=engine engine=(docker)
  elif [ "$wanted" != buildah ] && command -v podman >/dev/null && podman_runs; then
    runner=engine
  elif [ "$wanted" = podman ]; then
    fail "podman does not run containers here: $(tail -n 1 "$work/engine.log" 2>/dev/null)"
  elif ! unshare --net true 2>/dev/null; then
    skip "neither podman nor a network namespace of our own works here"
  else
    runner=chroot
    container=$(buildah from "$IMAGE")
    working_containers+=("$container")
    unshare --net sh -c 'ip link set lo up && exec sleep 600' &
    namespace_pid=$!
    children+=("$namespace_pid")
    wait_for 5 "a network namespace" grep -q sleep "/proc/$namespace_pid/cmdline"
  fi
}

in_network() { nsenter -t "$namespace_pid" -n "$@"; }

chroot_run() {
  in_network buildah run --isolation chroot --network host -v "$work/shared:/shared" "$container" -- "$@"
}

# --no-healthcheck: podman's timer for it is a systemd unit; this script asks by itself.
engine_run() { # options... -- command...
  local options=()
  while [ "$1" != -- ]; do options+=("$1") && shift; done
  shift
  if [ "$namespace_pid" ]; then
    options+=(--network "container:$NAME-gateway" --volumes-from "$NAME-gateway")
  else
    options+=(--network none)
  fi
  "${engine[@]}" run --no-healthcheck -v "$work/shared:/shared" "${options[@]}" "${run_options[@]}" "$IMAGE" "$@"
}

start() {
  local name=$1 pid
  shift
  if [ "$runner" = engine ]; then
    engine_run -d --name "$NAME-$name" -- "$@" >/dev/null
    [ "$namespace_pid" ] || namespace_pid=$("${engine[@]}" inspect -f '{{.State.Pid}}' "$NAME-$name")
    gateway_pid=$namespace_pid
    return
  fi
  [ $# -gt 0 ] || set -- "${default_command[@]}"
  # The shell only leaves word of its process id.
  chroot_run sh -c 'echo $$ >"/shared/$0.pid"; exec "$@"' "$name" "$@" >"$work/$name.log" 2>&1 &
  buildah_pids[$name]=$!
  wait_for 10 "the container $name" test -s "$work/shared/$name.pid"
  pid=$(cat "$work/shared/$name.pid")
  children+=("$pid")
  [ "$name" != gateway ] || gateway_pid=$pid
}

log() {
  if [ "$runner" = engine ]; then "${engine[@]}" logs "$NAME-$1" >"$work/$1.log" 2>&1; fi
  cat "$work/$1.log"
}

inside() {
  if [ "$runner" = engine ]; then "${engine[@]}" exec "$NAME-gateway" "$@"; else chroot_run "$@"; fi
}

beside() {
  if [ "$runner" = engine ]; then engine_run --rm --name "$NAME-beside" -- "$@"; else chroot_run "$@"; fi
}

# --- what is proved -------------------------------------------------------------------------------

wait_for() { # seconds, what, command...
  local end=$(($(now_ms) + $1 * 1000)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ "$(now_ms)" -lt "$end" ] || fail "waited in vain for $what"
    sleep 0.1
  done
}

log_has() { log "$1" | grep -q "$2"; }

image_words() { # a list in the image's configuration, one word a line
  local tool=(buildah inspect --type image)
  [ "$builder" = docker ] && tool=(docker image inspect)
  "${tool[@]}" "$IMAGE" | python3 -c '
import json, sys
document = json.load(sys.stdin)
if isinstance(document, list):
    document = document[0]
config = document["Docker"]["config"] if "Docker" in document else document["Config"]
value = config["Healthcheck"]["Test"][1:] if sys.argv[1] == "health" else (config.get("Entrypoint") or []) + config["Cmd"]
print("\n".join(value))' "$1"
}

check_size() {
  local bytes tree probe
  if [ "$builder" = docker ]; then
    bytes=$(docker image inspect -f '{{.Size}}' "$IMAGE")
  else
    probe=$(buildah from "$IMAGE")
    working_containers+=("$probe")
    tree=$(buildah mount "$probe")
    bytes=$(du -s --block-size=1 "$tree" | cut -f 1)
    buildah umount "$probe" >/dev/null
  fi
  [ "$bytes" -lt $((SIZE_LIMIT_MB * 1000000)) ] ||
    fail "the image takes $((bytes / 1000000)) MB, more than $SIZE_LIMIT_MB"
  passed "image of $((bytes / 1000000)) MB (limit $SIZE_LIMIT_MB)"
}

check_user() {
  local uid
  uid=$(inside id -u)
  [ "$uid" != 0 ] || fail "the container's user is root"
  # The process itself as well, where its /proc entry is ours to read.
  if [ -r "/proc/$gateway_pid/status" ]; then
    uid=$(awk '/^Uid:/ { print $3 }' "/proc/$gateway_pid/status")
    [ "$uid" != 0 ] || fail "the gateway runs as root"
  fi
  passed "runs as user $uid"
}

check_call() {
  local line words=()
  wait_for 10 "the gateway's first words" log_has gateway 'isthmus-phone call'
  line=$(log gateway | grep -m 1 'isthmus-phone call')
  read -ra words <<<"$line"
  pin=$(grep -o 'sha256//[^ ]*' <<<"$line")
  PYTHONPATH=deploy/lib python3 -B -c '
import sys
from lab import audio
audio.speak(sys.argv[1], "one socket carries the call through the container", total_s=10)' "$work/shared/said.wav"
  beside "${words[@]}" --codec pcmu --play /shared/said.wav --record /shared/heard.wav \
    --duration 6 --json >"$work/phone.log" 2>&1 || fail "isthmus-phone: exit status $?"
  PYTHONPATH=deploy/lib python3 -B -c '
import sys
from lab import audio
said, heard = (audio.read_wav(path) for path in sys.argv[1:3])
end = max(n for n, value in enumerate(said) if abs(value) > 0.01)
begin = min(n for n, value in enumerate(said) if abs(value) > 0.01)
found = audio.compare(said[begin:end], heard)
print(f"   ok: isthmus-phone heard what it said: correlation {found.score:.3f}, "
      f"{found.matched} of {found.windows} quarter seconds")
sys.exit(found.score < 0.9 or found.windows < 5)' "$work/shared/said.wav" "$work/shared/heard.wav" ||
    fail "what the phone heard is not what it said"
}

check_connector() {
  cat >"$work/shared/connector.yaml" <<END
state_dir: /tmp
gateway:
  url: wss://localhost:8443
  user: demo
  password_file: /var/lib/isthmus/demo-password
  trust: {pin: "$pin"}
sip: {udp: {address: 127.0.0.1, port: 5070}}
media: {address: 127.0.0.1, ports: 16000-16099}
admin: {port: 8081}
END
  chmod a+r "$work/shared/connector.yaml"
  start connector isthmus-connector --config /shared/connector.yaml
  wait_for 10 "the connector's link" log_has connector link_up
  beside isthmus-connector healthcheck --config /shared/connector.yaml >/dev/null ||
    fail "the connector's health check"
  passed "isthmus-connector runs when named, its link is up and it is healthy"
  command -v sipp >/dev/null && [ "$(id -u)" = 0 ] || return 0
  # The only user that the default configuration knows is the one to call as.
  { sipp -sd uac 2>/dev/null || true; } | sed 's/sipp <sip:sipp@\[local_ip\]:\[local_port\]>/<sip:demo@isthmus.local>/' \
    >"$work/uac.xml"
  (cd "$work" && in_network sipp -sf uac.xml -s echo -i 127.0.0.1 -p 5071 -m 3 -r 3 -d 500 -timeout 20 \
    -nostdin 127.0.0.1:5070 >"$work/sipp.log" 2>&1) || fail "SIPp's calls through the connector"
  passed "three calls of SIPp through the connector"
}

check_stop() {
  local begin elapsed status=0
  begin=$(now_ms)
  if [ "$runner" = engine ]; then
    "${engine[@]}" stop -t 10 "$NAME-gateway" >/dev/null
    status=$("${engine[@]}" inspect -f '{{.State.ExitCode}}' "$NAME-gateway")
  else
    kill -TERM "$gateway_pid"
    wait "${buildah_pids[gateway]}" || status=$?
  fi
  elapsed=$(($(now_ms) - begin))
  [ "$status" = 0 ] || fail "after SIGTERM the gateway ended with status $status"
  [ "$elapsed" -lt "$STOP_LIMIT_MS" ] || fail "SIGTERM took $elapsed ms"
  passed "SIGTERM ended it in $elapsed ms, with status 0"
}

pick_builder
mkdir -p "$CACHE"
work=$(mktemp -d "$CACHE/run.XXXXXX")
chmod 755 "$work"
# The containers' user, who is nobody here, writes its recordings there.
mkdir -m 777 "$work/shared"

say "image $IMAGE, by $builder"
if [ -z "${ISTHMUS_IMAGE:-}" ]; then
  [ "$builder" = docker ] || prepare_apt
  find_base
  echo "   base: $base"
  begin=$(now_ms)
  build_image
  passed "built in $((($(now_ms) - begin) / 1000)) s"
fi
check_size

pick_runner
if [ "$runner" = engine ]; then say "containers, by ${engine[*]} ${run_options[*]}"; else
  say "containers, by buildah with chroot isolation (podman does not run here)"
fi
mapfile -t default_command < <(image_words command)
mapfile -t health_command < <(image_words health)
start gateway
wait_for 10 "the health check to pass" inside "${health_command[@]}"
passed "\"${health_command[*]}\" passes"
check_user
check_call
check_connector
check_stop
say "the container image works"
