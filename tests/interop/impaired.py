#!/usr/bin/env python3
"""Calls over bad networks, by UDP and by TLS: packets are lost, the way is long, nothing passes for two
seconds, one port through an HTTP proxy is all there is, the gateway goes away. The call stays up, the
provider sees no SIP for it; a table says how long audio was away, and how much of it was lost."""

import signal
import time

import support
from lab.impairment import Impairment
from lab.nat import Nat
from lab.tinyproxy import Tinyproxy
from lab.trunk import TrunkCalls

RELAY_PORT, PROXY_PORT = 9443, 8888
SILENCE_S = 2
DRAIN_S = 30


class Scene(TrunkCalls):
    def __init__(self, test):
        site = test.site
        super().__init__(test, site.desk, {"links": {"drain_s": DRAIN_S}})
        site.desk.run("ip", "route", "add", "default", "via", site.office_address)
        self.nat = Nat(site.office, "up0")
        gateway = self.gateway.host.address("office0"), self.gateway.websocket_port
        self.relay = Impairment(site.office, site.office_address, RELAY_PORT, gateway)

    def by_relay(self, scheme):
        return f"{scheme}://{self.test.site.office_address}:{RELAY_PORT}"


def datagrams_lost(scene):
    """What is lost is lost, once: no more of the audio is away than the relay took."""
    for percent in (5, 15):
        scene.relay.loss = percent / 100
        row = scene.survives(
            f"{percent} % of datagrams lost", 500, url=scene.by_relay("udp"), seconds=4.5,
            least_share=1 - percent / 100 - 0.12,
        )  # fmt: skip
        scene.test.equal(row["link"], "UDP", "the call stays on UDP")
    scene.relay.loss = 0
    lost, passed = scene.relay.lost, scene.relay.passed
    scene.test.check(lost > 0, f"the relay lost {lost} datagrams, {passed} passed")


def segments_lost(scene):
    """TCP repeats them: audio waits for that, or for another link where TCP backs off for long."""
    for percent, most_ms, share in ((5, 2500, 0.7), (15, 4500, 0.3)):
        scene.survives(
            f"{percent} % of TCP's packets lost", most_ms, url=scene.url("wss"), after_s=0.5,
            harm=lambda lost=percent: scene.nat.lose(lost), least_share=share,
        )  # fmt: skip
        scene.nat.unblock()


def long_way(scene):
    scene.relay.one_way_s = 0.1
    for scheme in ("udp", "wss"):
        url = scene.by_relay(scheme)
        name = "UDP" if scheme == "udp" else "TLS"
        scene.survives(f"200 ms there and back, {name}", 500, url=url, seconds=3, least_share=0.9)
    scene.relay.one_way_s = 0


def blackhole(scene):
    """UDP's link may come through it; a client that knows nothing but TLS needs another link."""

    def silence():
        scene.nat.block_all()
        time.sleep(SILENCE_S)
        scene.nat.unblock()

    for scheme, name, margin_ms in (("isthmus", "UDP", 1500), ("wss", "TLS", 2500)):
        scene.survives(
            f"nothing passes for {SILENCE_S} s, {name}", SILENCE_S * 1000 + margin_ms,
            url=scene.url(scheme), harm=silence, seconds=7.5,
        )  # fmt: skip


def through_a_proxy(scene):
    """The office lets out nobody but the proxy, which opens tunnels to one port."""
    site = scene.test.site
    proxy = Tinyproxy(
        scene.test.programs, site.office, site.office_address, PROXY_PORT, "desk", "open-sesame",
        [scene.gateway.websocket_port],
    )  # fmt: skip
    scene.nat.block_all()
    row = scene.survives(
        "one port through an HTTP proxy", 300, url=scene.url("isthmus"), seconds=3,
        environment={"https_proxy": proxy.url(), "no_proxy": "", "NO_PROXY": ""}, least_share=0.9,
    )  # fmt: skip
    scene.test.equal(row["link"], "TLS", "the link behind the proxy")
    scene.test.check(proxy.tunnels() > 0, f"the proxy opened {proxy.tunnels()} tunnels")
    scene.nat.unblock()
    proxy.stop()


def gateway_leaves(scene):
    """Its call may end in peace, and then so does the gateway."""
    test, program = scene.test, scene.gateway.program
    scene.survives(
        "the gateway goes away", 300, url=scene.url("isthmus"),
        harm=lambda: program.process.send_signal(signal.SIGTERM), seconds=4.5, least_share=0.9,
    )  # fmt: skip
    test.equal(program.wait(DRAIN_S), 0, "exit code of the gateway")


def run(test):
    scene = Scene(test)
    before = support.Baseline(test, scene.gateway)
    support.play(
        scene,
        ("datagrams are lost", datagrams_lost),
        ("TCP's packets are lost", segments_lost),
        ("the way is long", long_way),
        ("nothing passes for a while", blackhole),
        ("nothing but one port through a proxy", through_a_proxy),
    )
    before.expect_clean()
    with support.scene("the gateway goes away"):
        gateway_leaves(scene)
    scene.relay.close()
    scene.close()


if __name__ == "__main__":
    support.main(
        run, __doc__, isolated=True, needs=(support.PHONE, "nft", "conntrack", "ss", "tinyproxy")
    )
