#!/usr/bin/env python3
"""A phone behind a real NAT (nftables) in a call over one UDP socket, or over TLS where there is no
UDP: the NAT gives it another port, then another address; its network is exchanged for another; UDP is
blocked from the start, or in mid-call, and passes again. The call stays up, the provider sees no SIP for it; a table says how long audio
was away, toward the provider and toward the phone."""

import time

import support
from lab import sockets
from lab.nat import Nat
from lab.trunk import TrunkCalls

SECOND_ADDRESS = "198.51.102.2"


class Scene(TrunkCalls):
    def __init__(self, test):
        site = test.site
        super().__init__(test, site.desk)
        # The phone is on `desk`; `office` is its router, and a second network leads past that.
        site.network.cable(
            site.desk, "lte0", "198.51.103.2/30", site.gateway, "lte0", "198.51.103.1/30"
        )
        site.desk.run("ip", "route", "add", "default", "via", "192.168.50.1")
        site.gateway.run(
            "ip", "route", "add", f"{SECOND_ADDRESS}/32", "via", "198.51.100.2", "dev", "office0"
        )
        self.nat = Nat(site.office, "up0")

    def protocols(self, phone):
        return [each.protocol for each in sockets.sockets_of(phone)]


def moves(scene):
    test, nat = scene.test, scene.nat
    moved = scene.metric("isthmus_udp_address_moves_total")
    scene.survives("the NAT's port changes", 100, harm=nat.change_port)
    scene.survives(
        "the NAT's address changes", 100, harm=lambda: nat.change_address(SECOND_ADDRESS)
    )
    now = scene.metric("isthmus_udp_address_moves_total")
    test.check(now >= moved + 2, f"the gateway saw {now - moved} moves")


def swap_networks(scene):
    desk = scene.test.site.desk

    def swap():
        desk.run(
            "sh", "-c",
            "ip address flush dev lan0; ip link set lan0 down;"
            " ip route replace default via 198.51.103.1",
        )  # fmt: skip

    scene.survives("another network takes over", 300, harm=swap)
    desk.run(
        "sh", "-c",
        "ip link set lan0 up; ip address add 192.168.50.10/24 dev lan0;"
        " ip route replace default via 192.168.50.1",
    )  # fmt: skip


def blocked_in_mid_call(scene):
    """And back: once UDP passes again, a session on a WebSocket moves to it."""
    test, port = scene.test, scene.gateway.websocket_port
    row = scene.survives(
        "UDP is blocked", 1500, url=scene.url("isthmus"), seconds=7,
        harm=lambda: scene.nat.block_udp(port),
    )  # fmt: skip
    test.equal(row["link"], "TLS", "the link behind the blockade")
    phone = scene.call("upgraded", scene.url("isthmus"), 20)
    phone.wait_output('"state":"connected","status"', 10)
    test.soon(lambda: scene.sip_seen()[-1] == "ACK", 5, "the call to be moved stands")
    before = scene.sip_seen()
    scene.nat.unblock()
    at = time.monotonic()
    moved = test.soon(
        lambda: scene.protocols(phone) == ["udp"], 12, "the call moves to UDP once that passes"
    )
    if moved:
        print(f"      after {time.monotonic() - at:.1f} s")
    time.sleep(1)
    gap = max(scene.echo.gap_ms(at), scene.ear.gap_ms(at))
    test.check(gap < 150, f"audio away for at most {gap:.0f} ms meanwhile")
    test.equal(scene.sip_seen(), before, "SIP that the provider saw of it")
    phone.stop()


def blocked_from_the_start(scene):
    test = scene.test
    scene.nat.block_udp(scene.gateway.websocket_port)
    began = time.monotonic()
    phone = scene.call("blocked", scene.url("isthmus"), 1)
    phone.wait_output('"state":"connected"', 5)
    took = (time.monotonic() - began) * 1000
    test.check(took < 1000, f"without UDP the link stands {took:.0f} ms after the program began")
    test.equal(phone.wait(15), 0, "exit code of the phone")
    row = scene.survives(
        "UDP is blocked from the start", 300, url=scene.url("isthmus"), seconds=3, least_share=0.9
    )
    test.equal(row["link"], "TLS", "the link of a call without UDP")
    scene.nat.unblock()


def run(test):
    scene = Scene(test)
    before = support.Baseline(test, scene.gateway)
    support.play(
        scene,
        ("a NAT gives the phone another port, another address", moves),
        ("the phone's network is exchanged for another", swap_networks),
        ("UDP is blocked from the start", blocked_from_the_start),
        ("UDP is blocked in mid-call, then passes again", blocked_in_mid_call),
    )
    before.expect_clean()
    scene.close()


if __name__ == "__main__":
    support.main(run, __doc__, isolated=True, needs=(support.PHONE, "nft", "conntrack", "ss"))
