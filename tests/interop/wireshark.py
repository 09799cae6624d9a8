#!/usr/bin/env python3
"""The Wireshark dissector (proto/wireshark/isthmus.lua) on a captured call: a phone calls the
gateway's echo user over TLS and both ends log their keys. tshark must show the control messages, SIP,
whole RTP, and compact RTP rebuilt to the stream that was sent; and no password."""

import os
import subprocess

import support
from lab import capture

SECONDS = 5
SCRIPT = support.ROOT / "proto" / "wireshark" / "isthmus.lua"


class Tshark:
    """Fields of a capture, one list of values a frame."""

    def __init__(self, pcap, keys, port):
        self.pcap = pcap
        self.options = [
            "-X", f"lua_script:{SCRIPT}",
            "-o", f"tls.keylog_file:{keys}",
            "-d", f"tcp.port=={port},tls",
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


def over_udp(test, gateway, key_file, port):
    """The same keys open QUIC of a UDP link."""
    office = test.site.office
    uplink = capture.Capture(test.programs, office, "up0", "udp-uplink", f"udp port {port}")
    phone = test.programs.start(
        office, "udp-phone",
        [test.build.phone, "call", "echo", "--gateway",
         test.site.url(gateway, office).replace("wss:", "udp:"),
         "--user", "office", "--password", "office-password", "--pin", gateway.pin,
         "--codec", "pcmu", "--duration", 1, "--no-audio", "--json"],
        environment={"SSLKEYLOGFILE": ""},
    )  # fmt: skip
    test.equal(phone.wait(30), 0, "exit code of the phone over UDP")
    uplink.stop()
    shark = Tshark(uplink.path, key_file, port)
    shark.options += ["-d", f"udp.port=={port},quic"]
    for word in ("INVITE", "BYE", "office-password"):
        found = flat(shark.fields(f'quic.stream_data contains "{word}"', "frame.number"))
        test.check(bool(found), f"tshark reads {word} in QUIC's stream")


def run(test):
    site = test.site
    if not test.build.phone:
        raise support.Skip("isthmus-phone was not built")
    port = site.gateway.port(8443)
    key_file = test.directory / "keys.log"
    os.environ["SSLKEYLOGFILE"] = str(key_file)
    gateway = test.gateway({"listen": {"websocket": {"port": port, "key_log": True}}})
    test.check(
        "tls_secrets_logged" in gateway.program.output(), "the gateway warns that it logs secrets"
    )
    uplink = capture.Capture(test.programs, site.office, "up0", "uplink", f"tcp port {port}")
    phone = test.programs.start(
        site.office, "phone",
        [test.build.phone, "call", "echo", "--gateway", site.url(gateway, site.office),
         "--user", "office", "--password", "office-password", "--pin", gateway.pin,
         "--codec", "pcmu", "--duration", SECONDS, "--no-audio", "--json"],
        environment={"SSLKEYLOGFILE": ""},
    )  # fmt: skip
    test.equal(phone.wait(30), 0, "exit code of the phone")
    metrics = gateway.metrics()
    uplink.stop()
    shark = Tshark(uplink.path, key_file, port)

    control = set(flat(shark.fields("isthmus.control", "isthmus.control")))
    wanted = {"Hello", "Welcome", "MediaContext", "MediaContextAck", "Ack", "Close"}
    test.equal(sorted(wanted - control), [], "control messages that are not shown")
    text = shark.text("isthmus.control")
    test.check("user: office" in text and "office-password" not in text, "user shown, password not")
    methods = flat(shark.fields("isthmus && sip.Method", "sip.Method"))
    test.equal(sorted({"INVITE", "ACK", "BYE"} - set(methods)), [], "SIP requests not shown")

    for twice in (False, True):
        passes = "two passes" if twice else "one pass"
        compact = shark.fields(
            "isthmus.compact.context", "isthmus.compact.rebuilt", "rtp.seq", twice=twice
        )
        rebuilt = [row for row in compact if row[0] != [""]]
        test.check(len(rebuilt) > SECONDS * 60, f"{passes}: {len(rebuilt)} compact frames rebuilt")
        test.check(len(compact) - len(rebuilt) <= 2, f"{passes}: the rest {len(compact) - len(rebuilt)}")
        streams = {}
        for ssrc, sequence, stamp in zip(*(
            flat(shark.fields("isthmus && rtp", name, twice=twice))
            for name in ("rtp.ssrc", "rtp.seq", "rtp.timestamp")
        )):  # fmt: skip
            streams.setdefault(ssrc, []).append((int(sequence), int(stamp)))
        test.equal(len(streams), 2, f"{passes}: RTP streams")
        for ssrc, packets in streams.items():
            steps = {(b[0] - a[0], b[1] - a[1]) for a, b in zip(packets, packets[1:])}
            test.equal(steps, {(1, 160)}, f"{passes}: steps of {ssrc}, {len(packets)} packets")
    test.equal(flat(shark.fields("isthmus.malformed", "frame.number")), [], "malformed frames")
    over_udp(test, gateway, key_file, port)
    for direction in ("in", "out"):
        cost = metrics[f'isthmus_link_media_wire_bytes_per_packet{{direction="{direction}"}}']
        # 164 bytes of frame and channel, WebSocket, TLS and TCP/IP around it; whole RTP is 10 more.
        test.check(230 < cost < 262, f"bytes on the wire per packet, {direction}: {cost:.1f}")


if __name__ == "__main__":
    support.main(run, __doc__, isolated=True, needs=("tshark", "tcpdump"))
