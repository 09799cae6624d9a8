#!/usr/bin/env python3
"""isthmus-phone calls the gateway's echo over a UDP link: the phone has one UDP socket and no TCP, and
hears what it said; a NAT that forgets the mapping in mid-call does not end the call; with isthmus://
a client that cannot reach the gateway by UDP comes by WebSocket."""

import pathlib
import signal
import sys
import time

import support
from lab import audio, sockets
from lab.sipp import Sipp

SECONDS = 8


class Scene:
    def __init__(self, test):
        self.test, self.site = test, test.site
        self.gateway = test.gateway(users={"alice": "alice-password", "office": "office-password"})
        self.speech = audio.speak(
            test.directory / "alice.wav", "These words cross one UDP socket, and come back.", "en"
        )

    def url(self, scheme, address=None, port=None):
        websocket = self.site.url(self.gateway, self.site.mobile)
        if address:
            return f"{scheme}://{address}:{port}"
        return scheme + websocket[websocket.index("://") :]

    def call(self, name, url, *more):
        recording = self.test.directory / f"{name}.wav"
        program = self.test.programs.start(
            self.site.mobile,
            name,
            [
                self.test.build.phone,
                "call",
                "echo",
                "--gateway",
                url,
                "--pin",
                self.gateway.pin,
                "--user",
                "alice",
                "--password",
                "alice-password",
                "--duration",
                SECONDS,
                "--play",
                self.test.directory / "alice.wav",
                "--record",
                recording,
                "--json",
                *more,
            ],
        )
        program.wait_output('"state":"connected","status"', 10)
        return program, recording

    def expect_heard(self, program, recording):
        program.process.wait(SECONDS + 10)
        self.test.equal(program.process.returncode, 0, "the phone's exit code")
        score = audio.compare(self.speech, audio.read_wav(recording)).score
        self.test.check(score >= 0.8, f"the echo is what was said: correlation {score:.3f}")

    def metric(self, name):
        return self.gateway.metrics().get(name, 0)


def plain_call(scene):
    test = scene.test
    program, recording = scene.call("udp-call", scene.url("udp"))
    time.sleep(1)
    found = sockets.sockets_of(program)
    for one in found:
        print(f"      {one.protocol} {one.state} {one.local} -> {one.remote}")
    test.equal([s.protocol for s in found], ["udp"], "sockets of the phone, during the call")
    test.equal(scene.metric("isthmus_udp_links"), 1, "UDP links of the gateway")
    scene.expect_heard(program, recording)
    test.soon(lambda: scene.metric("isthmus_udp_links") == 0, 5, "the link is gone")


def rebinding(scene):
    test = scene.test
    port = scene.site.mobile.port(9443)
    address = scene.url("udp").split("://")[1].rsplit(":", 1)[0]
    relay_file = pathlib.Path(support.ROOT) / "deploy/lib/lab/udp_relay.py"
    relay = test.programs.start(
        scene.site.mobile,
        "relay",
        [sys.executable, relay_file, port, address, scene.gateway.websocket_port],
    )
    relay.wait_output("relaying", 5)
    moves = scene.metric("isthmus_udp_address_moves_total")
    program, recording = scene.call("rebound-call", scene.url("udp", "127.0.0.1", port))
    for _ in range(2):
        time.sleep(2)
        relay.process.send_signal(signal.SIGUSR1)
    scene.expect_heard(program, recording)
    said = relay.log.read_text()
    gaps = [float(line.split()[1]) for line in said.splitlines() if line.startswith("gap")]
    test.equal(len(gaps), 2, "times that the NAT forgot the mapping in mid-call")
    test.check(
        all(gap < 150 for gap in gaps),
        "media was away for " + ", ".join(f"{gap:.0f} ms" for gap in gaps),
    )
    test.equal(
        scene.metric("isthmus_udp_address_moves_total") - moves, 2, "moves that the gateway saw"
    )
    relay.stop()


def fall_back(scene):
    test = scene.test
    test.gateway_without_udp = support.Gateway(
        test.programs,
        test.build,
        scene.site.gateway,
        scene.site.gateway_address,
        {"alice": "alice-password"},
        {
            "listen": {
                "websocket": {"port": scene.site.gateway.port(8463)},
                "udp": {"enabled": False},
            }
        },
        "gateway-without-udp",
        20,
    )
    gateway = test.gateway_without_udp
    first, scene.gateway = scene.gateway, gateway
    gateway.websocket_port = scene.site.gateway.port(8463)
    began = time.monotonic()
    program, recording = scene.call("fallen-back", scene.url("isthmus"))
    print(f"      connected after {(time.monotonic() - began) * 1000:.0f} ms")
    test.equal([s.protocol for s in sockets.sockets_of(program)], ["tcp"], "sockets of the phone")
    scene.expect_heard(program, recording)
    scene.gateway = first
    program, recording = scene.call("udp-first", scene.url("isthmus"))
    test.equal(
        [s.protocol for s in sockets.sockets_of(program)], ["udp"], "sockets where UDP works"
    )
    scene.expect_heard(program, recording)


def connector(scene):
    test, site = scene.test, scene.site
    links = scene.metric("isthmus_udp_links")
    joined = test.connector(scene.gateway, scheme="isthmus")
    test.equal(scene.metric("isthmus_udp_links") - links, 1, "UDP links that the connector added")
    own_side = ("127.0.0.1", "[::1]", site.office_address)
    outside = sockets.beyond(sockets.sockets_of(joined.program), own_side)
    test.equal([s.protocol for s in outside], ["udp"], "its sockets beyond the phones' network")
    caller = Sipp(
        test.programs,
        site.desk,
        "uac-over-udp",
        "uac",
        site.desk_address,
        5061,
        "-s",
        "echo",
        "-m",
        5,
        "-r",
        5,
        "-d",
        500,
        "-timeout",
        "20s",
        "-timeout_error",
        target=f"{joined.sip_address}:{joined.sip_port}",
    )
    test.equal(caller.program.wait(25), 0, "exit code of SIPp, which called echo five times")
    test.equal(caller.results()["failed"], 0, "failed calls")
    joined.program.stop()


def run(test):
    scene = Scene(test)
    support.play(
        scene,
        ("a call over UDP", plain_call),
        ("a NAT forgets the mapping in mid-call", rebinding),
        ("isthmus:// falls back to WebSocket, and prefers UDP", fall_back),
        ("a connector by isthmus://", connector),
    )


if __name__ == "__main__":
    support.main(run, __doc__, needs=(support.PHONE, "ss", "sipp"))
