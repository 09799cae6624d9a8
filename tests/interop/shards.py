#!/usr/bin/env python3
"""A gateway whose links live on three threads. Clients of both kinds come to all of them; calls over
them are heard, and outlive a reset; the gateway ends in order. With
--shards N any other test runs on such a gateway, too."""

import base64
import os
import pathlib
import signal
import subprocess
import time

import support
from lab.relay import TcpRelay
from lab.trunk import TrunkCalls

SHARDS = 3
CLIENTS = 60  # of each kind: that one of three shards has none is as good as impossible


class Scene(TrunkCalls):
    def __init__(self, test):
        mobile = test.site.mobile
        secret = test.directory / "token-secret"
        secret.write_text(base64.urlsafe_b64encode(os.urandom(32)).rstrip(b"=").decode())
        super().__init__(test, mobile, {"tokens": {"hmac_secrets": [f"file:{secret}"]}})
        self.secret = secret
        place = (self.gateway.host.address("mobile0"), self.gateway.websocket_port)
        self.tcp_relay = TcpRelay(mobile, 9443, place)
        self.clients = {}

    def sessions(self):
        return self.gateway.status()["sessions"]


def thread_names(service):
    tasks = pathlib.Path(f"/proc/{service.program.pid}/task").iterdir()
    return {(task / "comm").read_text(encoding="ascii").strip() for task in tasks}


def spread(scene):
    test, gateway = scene.test, scene.gateway
    links = sorted(name for name in thread_names(gateway) if name.startswith("links-"))
    test.equal(links, [f"links-{i}" for i in range(SHARDS)], "threads that carry links")
    token = test.build.mint_token("office", scene.secret, 600)
    for kind in ("udp", "wss"):
        program = test.programs.start(
            test.site.mobile,
            f"clients-{kind}",
            [
                test.build.directory / "tests/bench/idle_clients",
                scene.url(kind, test.site.mobile), gateway.pin, token, CLIENTS,
            ],
            stdin=subprocess.PIPE,
        )  # fmt: skip
        before = shard_links(scene)
        program.wait_output("connected ", 30)
        now = shard_links(scene)
        new = [now[i] - before[i] for i in range(SHARDS)]
        print(f"      {kind}: {' + '.join(str(n) for n in new)} links")
        test.check(min(new) > 0, f"{kind}: every shard has some of the clients")
        test.equal(sum(new), CLIENTS, f"{kind}: clients of all shards")
        scene.clients[kind] = program
    test.equal(scene.sessions(), 2 * CLIENTS, "sessions")


def shard_links(scene):
    metrics = scene.gateway.metrics()
    return [int(metrics[f'isthmus_shard_links{{shard="{i}"}}']) for i in range(SHARDS)]


def calls(scene):
    """Wherever a call's links come to be; its session may come back to another shard."""
    mobile = scene.test.site.mobile
    for number in range(3):
        scene.survives(f"UDP {number}", 100, seconds=2, url=scene.url("udp", mobile))
        scene.survives(f"TLS {number}", 100, seconds=2, url=scene.url("wss", mobile))
    resumed = "isthmus_sessions_resumed_total"
    moved = "isthmus_sessions_moved_total"
    for number in range(3):
        before = scene.metric(resumed) + scene.metric(moved)
        scene.survives(
            f"TLS, reset {number}", 700, url="wss://127.0.0.1:9443", harm=scene.tcp_relay.cut
        )
        scene.test.check(
            scene.metric(resumed) + scene.metric(moved) > before, "its session was resumed"
        )
    scene.test.equal(scene.sessions(), 2 * CLIENTS, "sessions that stood all the time")
    scene.test.equal(scene.metric("isthmus_shard_media_dropped_total"), 0, "media that was dropped")


def ends(scene):
    test, program = scene.test, scene.gateway.program
    at = time.monotonic()
    program.process.send_signal(signal.SIGTERM)
    test.equal(program.wait(20), 0, f"exit code, after {time.monotonic() - at:.1f} s")
    for kind, clients in scene.clients.items():
        test.soon(lambda c=clients: not c.running(), 5, f"{kind}: clients were told")
        test.check("shutting down" in clients.output(), f"{kind}: and why")


def run(test):
    test.arguments.shards = SHARDS
    if not (test.build.directory / "tests/bench/idle_clients").exists():
        raise support.Skip("idle_clients is not built (-DISTHMUS_BENCH=ON)")
    scene = Scene(test)
    support.play(
        scene,
        ("clients come to every shard", spread),
        ("calls on any of them", calls),
        ("the gateway ends", ends),
    )
    scene.tcp_relay.close()
    scene.close()


if __name__ == "__main__":
    support.main(run, __doc__, isolated=True, needs=(support.PHONE,))
