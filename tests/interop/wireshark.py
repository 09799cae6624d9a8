#!/usr/bin/env python3
"""The Wireshark dissector (proto/wireshark/isthmus.lua) on captured calls: a phone calls the gateway's
echo user over TLS, then over UDP, and the gateway logs its keys. tshark must show the control messages,
SIP, whole RTP, and compact RTP rebuilt to the stream that was sent; and no password. Without the keys of
media it must show no more than the headers of its packets."""

import os
import subprocess

import support
from lab import capture

SECONDS = 5
SCRIPT = support.ROOT / "proto" / "wireshark" / "isthmus.lua"


class Tshark:
    """Fields of a capture, one list of values a frame."""

    def __init__(self, pcap, keys, port, media_keys=True):
        self.pcap = pcap
        self.options = [
            "-X", f"lua_script:{SCRIPT}",
            "-o", f"tls.keylog_file:{keys}",
            "-o", f"isthmus.media_keys:{f'{keys}.srtp' if media_keys else ''}",
            "-d", f"tcp.port=={port},tls",
            "-d", f"udp.port=={port},isthmus_udp",
        ]  # fmt: skip

    def _run(self, *more):
        done = subprocess.run(
            ["tshark", "-n", "-r", str(self.pcap), *self.options, *more],
            capture_output=True, text=True, check=False, timeout=60,
            env={**os.environ, "WIRESHARK_RUN_FROM_BUILD_DIRECTORY": ""},
        )  # fmt: skip
        if done.returncode != 0 or "Lua: Error" in done.stderr or "lua" in done.stdout.lower():
            print(done.stderr)
            raise support.net.LabError(f"tshark ended with {done.returncode}")
        return done.stdout

    def fields(self, where, *names, twice=False):
        arguments = ["-Y", where, "-T", "fields", "-E", "occurrence=a", "-E", "separator=|"]
        for name in names:
            arguments += ["-e", name]
        lines = self._run(*(["-2"] if twice else []), *arguments).splitlines()
        return [[value.split(",") for value in line.split("|")] for line in lines]

    def text(self, where):
        return self._run("-V", "-Y", where)


def flat(rows, column=0):
    return [value for row in rows for value in row[column] if value]


def place_call(test, gateway, scheme):
    """A captured call. Returns its capture and the gateway's metrics at the call's end."""
    site, port = test.site, gateway.websocket_port
    kind = "tcp" if scheme == "wss:" else "udp"
    uplink = capture.Capture(
        test.programs, site.office, "up0", f"{kind}-uplink", f"{kind} port {port}"
    )
    phone = test.programs.start(
        site.office, f"{kind}-phone",
        [test.build.phone, "call", "echo", "--gateway",
         site.url(gateway, site.office).replace("wss:", scheme),
         "--user", "office", "--password", "office-password", "--pin", gateway.pin,
         "--codec", "pcmu", "--duration", SECONDS, "--no-audio", "--json"],
        environment={"SSLKEYLOGFILE": ""},
    )  # fmt: skip
    test.equal(phone.wait(30), 0, f"{kind}: exit code of the phone")
    metrics = gateway.metrics()
    uplink.stop()
    return uplink.path, metrics


def is_shown(test, shark, kind):
    """All that the link carried, in one pass over the capture and in two."""
    control = set(flat(shark.fields("isthmus.control", "isthmus.control")))
    wanted = {"Hello", "Welcome", "MediaContext", "MediaContextAck", "Ack", "Close"}
    test.equal(sorted(wanted - control), [], f"{kind}: control messages that are not shown")
    text = shark.text("isthmus.control")
    test.check(
        "user: office" in text and "office-password" not in text,
        f"{kind}: user shown, password not",
    )
    methods = flat(shark.fields("isthmus && sip.Method", "sip.Method"))
    test.equal(sorted({"INVITE", "ACK", "BYE"} - set(methods)), [], f"{kind}: requests not shown")

    for twice in (False, True):
        passes = f"{kind}, two passes" if twice else f"{kind}, one pass"
        compact = shark.fields(
            "isthmus.compact.context", "isthmus.compact.rebuilt", "rtp.seq", twice=twice
        )
        rebuilt = [row for row in compact if row[0] != [""]]
        test.check(len(rebuilt) > SECONDS * 60, f"{passes}: {len(rebuilt)} compact frames rebuilt")
        test.check(
            len(compact) - len(rebuilt) <= 2, f"{passes}: the rest {len(compact) - len(rebuilt)}"
        )
        streams = {}
        names = ("rtp.ssrc", "rtp.seq", "rtp.timestamp")
        for row in shark.fields("isthmus && rtp", *names, twice=twice):
            for ssrc, sequence, stamp in zip(*row):
                streams.setdefault(ssrc, []).append((int(sequence), int(stamp)))
        test.equal(len(streams), 2, f"{passes}: RTP streams")
        for ssrc, packets in streams.items():
            steps = {(b[0] - a[0], b[1] - a[1]) for a, b in zip(packets, packets[1:])}
            test.equal(steps, {(1, 160)}, f"{passes}: steps of {ssrc}, {len(packets)} packets")
    test.equal(flat(shark.fields("isthmus.malformed", "frame.number")), [], f"{kind}: malformed")


def is_sealed(test, path, keys, port):
    """Without keys of media its packets show what they carry in clear, and no more."""
    shark = Tshark(path, keys, port, media_keys=False)
    headers = shark.fields("isthmus.media.id", "isthmus.media.counter", "isthmus.channel")
    test.check(
        len(headers) > SECONDS * 60, f"without keys: {len(headers)} headers of media packets"
    )
    test.equal({row[1][0] for row in headers}, {""}, "without keys: channels shown of them")


def run(test):
    port = test.site.gateway.port(8443)
    key_file = test.directory / "keys.log"
    os.environ["SSLKEYLOGFILE"] = str(key_file)
    gateway = test.gateway({"listen": {"websocket": {"port": port, "key_log": True}}})
    test.check(
        "tls_secrets_logged" in gateway.program.output(), "the gateway warns that it logs secrets"
    )
    path, metrics = place_call(test, gateway, "wss:")
    is_shown(test, Tshark(path, key_file, port), "TCP")
    for direction in ("in", "out"):
        cost = metrics[f'isthmus_link_media_wire_bytes_per_packet{{direction="{direction}"}}']
        # 164 bytes of frame and channel, WebSocket, TLS and TCP/IP around it; whole RTP is 10 more.
        test.check(230 < cost < 262, f"bytes on the wire per packet, {direction}: {cost:.1f}")
    path, _ = place_call(test, gateway, "udp:")
    is_shown(test, Tshark(path, key_file, port), "UDP")
    is_sealed(test, path, key_file, port)


if __name__ == "__main__":
    support.main(run, __doc__, isolated=True, needs=(support.PHONE, "tshark", "tcpdump"))
