#!/usr/bin/env python3
"""Networks that seem to let UDP through: one passes the QUIC handshake and no media, one drops all of a
UDP socket some seconds after its first packet, each time. A client with isthmus:// keeps its call on
WebSocket and asks for UDP ever more rarely; idle, it finds its keep-alive interval and says so."""

import json
import pathlib
import sys

import support
from lab.relay import TcpRelay

PORT = 9443


class Scene:
    def __init__(self, test):
        self.test, self.site = test, test.site
        self.gateway = test.gateway()
        self.address = self.site.gateway.address("mobile0")
        self.tcp = TcpRelay(self.site.mobile, PORT, (self.address, self.gateway.websocket_port))

    def relay(self, name, *mode):
        relay_file = pathlib.Path(support.ROOT) / "deploy/lib/lab/udp_relay.py"
        relay = self.test.programs.start(
            self.site.mobile,
            name,
            [sys.executable, relay_file, PORT, self.address, self.gateway.websocket_port, *mode],
        )
        relay.wait_output("relaying", 5)
        return relay

    def phone(self, name, *words):
        return self.test.programs.start(
            self.site.mobile,
            name,
            [
                self.test.build.phone, *words, "--gateway", f"isthmus://127.0.0.1:{PORT}",
                "--pin", self.gateway.pin, "--user", "office", "--password", "office-password",
                "--no-audio", "--json", "--codec", "pcmu",
            ],
        )  # fmt: skip


def events(program, kind):
    lines = [line for line in program.output().splitlines() if line.startswith("{")]
    return [event for event in map(json.loads, lines) if event.get("event") == kind]


def links(program):
    found = [event for event in events(program, "connection") if event["state"] == "connected"]
    return [(event["link"], event.get("move_reason", "")) for event in found]


def media_is_dropped(scene):
    test = scene.test
    relay = scene.relay("only-quic", "--no-media")
    call = scene.phone("no-media", "call", "echo", "--duration", "8")
    test.equal(call.wait(30), 0, "exit code of a call")
    moves = links(call)
    for link, reason in moves:
        print(f"      {link}  {reason}")
    test.equal([link for link, _ in moves[:2]], ["udp", "websocket"], "its first links")
    test.equal(moves[1][1], "media did not pass UDP", "why")
    summary = events(call, "summary")[0]
    test.equal(summary["link"], "websocket", "what it ended on")
    test.check(
        summary["packets_received"] > 0.6 * summary["packets_sent"],
        f"heard {summary['packets_received']} of {summary['packets_sent']} packets",
    )
    test.check(len(moves) <= 4, f"links in all: {len(moves)}")
    relay.stop()


def udp_is_dropped_again_and_again(scene):
    test = scene.test
    relay = scene.relay("cuts", "--cut-after", "3")
    call = scene.phone("cuts-call", "call", "echo", "--duration", "20")
    test.equal(call.wait(45), 0, "exit code of a call")
    moves = links(call)
    for link, reason in moves:
        print(f"      {link}  {reason}")
    test.equal([link for link, _ in moves[:2]], ["udp", "websocket"], "its first links")
    ups = [link for link, _ in moves].count("udp")
    # At 0 s, about 5 s after it is left, and about 10 s after that: the wait doubles.
    test.check(ups <= 3, f"UDP links in 20 s: {ups}")
    relay.stop()


def interval_is_told(scene):
    test = scene.test
    relay = scene.relay("sound")
    phone = scene.phone("interval", "call", "echo", "--duration", "2")
    test.equal(phone.wait(20), 0, "exit code of a call where UDP passes")
    summary = events(phone, "summary")[0]
    test.equal(summary["link"], "udp", "its link")
    test.equal(
        (summary["keep_alive_s"], summary["keep_alive_adapts"]), (15, True), "interval, by search"
    )
    fixed = scene.phone("fixed", "call", "echo", "--duration", "1", "--keep-alive", "40")
    test.equal(fixed.wait(20), 0, "exit code with an interval of its own")
    summary = events(fixed, "summary")[0]
    test.equal(
        (summary["keep_alive_s"], summary["keep_alive_adapts"]), (40, False), "interval, fixed"
    )
    relay.stop()


def run(test):
    scene = Scene(test)
    support.play(
        scene,
        ("QUIC passes, and media does not", media_is_dropped),
        ("UDP is dropped three seconds after each handshake", udp_is_dropped_again_and_again),
        ("the keep-alive interval is told", interval_is_told),
    )
    scene.tcp.close()


if __name__ == "__main__":
    support.main(run, __doc__, isolated=True, needs=(support.PHONE,))
