#!/usr/bin/env python3
"""A phone behind a real NAT (nftables) in a call over one UDP socket, or over TLS where there is no
UDP: the NAT gives it another port, then another address; its network is exchanged for another; UDP is
blocked from the start, or in mid-call, and passes again. The call stays up, the provider sees no SIP for it; a table says how long audio
was away, toward the provider and toward the phone."""

import time

import support
from lab import sockets
from lab.echo import Ear
from lab.nat import Nat

SECOND_ADDRESS = "198.51.102.2"


class Scene(support.TrunkCalls):
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
        self.ear = Ear(site.desk)
        self.table = []

    def url(self, scheme):
        url = self.test.site.url(self.gateway, self.test.site.office)
        return scheme + url[url.index("://") :]

    def protocols(self, phone):
        return [each.protocol for each in sockets.sockets_of(phone)]


def survives(scene, name, harm, most_ms, scheme="udp", seconds=6):
    """A call that is harmed after two seconds; it must not notice."""
    test = scene.test
    scene.uas.seen.clear()
    phone = scene.call(name.replace(" ", "-"), scene.url(scheme), seconds)
    phone.wait_output('"state":"connected","status"', 10)
    time.sleep(2)
    before = scene.sip_seen()
    at = time.monotonic()
    harm()
    harmed_ms = (time.monotonic() - at) * 1000
    time.sleep(seconds - 3.5)
    up, down = scene.echo.gap_ms(at), scene.ear.gap_ms(at)
    test.equal(scene.sip_seen(), before, f"{name}: SIP that the provider saw")
    after = scene.protocols(phone)
    test.equal(phone.wait(15), 0, f"{name}: exit code of the phone")
    test.soon(lambda: scene.sip_seen() == [*before, "BYE"], 2, f"{name}: BYE at the end")
    test.check(
        max(up, down) <= most_ms,
        f"{name}: audio away for {up:.0f} ms up, {down:.0f} ms down, at most {most_ms}",
    )
    scene.table.append((name, up, down, harmed_ms))
    return after


def moves(scene):
    test, nat = scene.test, scene.nat
    moved = scene.metric("isthmus_udp_address_moves_total")
    survives(scene, "the NAT's port changes", nat.change_port, 100)
    survives(scene, "the NAT's address changes", lambda: nat.change_address(SECOND_ADDRESS), 100)
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

    survives(scene, "another network takes over", swap, 300)
    desk.run(
        "sh", "-c",
        "ip link set lan0 up; ip address add 192.168.50.10/24 dev lan0;"
        " ip route replace default via 192.168.50.1",
    )  # fmt: skip


def blocked_in_mid_call(scene):
    """And back: once UDP passes again, a session on a WebSocket moves to it."""
    test, port = scene.test, scene.gateway.websocket_port
    after = survives(
        scene, "UDP is blocked", lambda: scene.nat.block_udp(port), 1500, "isthmus", seconds=7
    )
    test.equal(after, ["tcp"], "sockets of the phone behind the blockade")
    phone = scene.call("upgraded", scene.url("isthmus"), 20)
    phone.wait_output('"state":"connected","status"', 10)
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
    phone = scene.call("blocked", scene.url("isthmus"), 2)
    phone.wait_output('"state":"connected"', 5)
    took = (time.monotonic() - began) * 1000
    test.check(took < 1000, f"without UDP the link stands {took:.0f} ms after the program began")
    phone.wait_output('"state":"connected","status"', 5)
    test.equal(scene.protocols(phone), ["tcp"], "sockets of the phone")
    test.equal(phone.wait(15), 0, "exit code of the phone")
    scene.nat.unblock()


def run(test):
    if not test.build.phone:
        raise support.Skip("isthmus-phone was not built")
    scene = Scene(test)
    before = support.idle_state(scene.gateway)
    for title, step in (
        ("a NAT gives the phone another port, another address", moves),
        ("the phone's network is exchanged for another", swap_networks),
        ("UDP is blocked from the start", blocked_from_the_start),
        ("UDP is blocked in mid-call, then passes again", blocked_in_mid_call),
    ):
        with support.scene(title):
            step(scene)
    support.expect_as_before(test, [scene.gateway], {scene.gateway.name: before})
    print(f"      {'in mid-call':28} {'up, ms':>8} {'down, ms':>9} {'of that the change':>19}")
    for name, up, down, harmed in scene.table:
        print(f"      {name:28} {up:8.0f} {down:9.0f} {harmed:19.0f}")
    for part in (scene.ear, scene.uas, scene.echo):
        part.close()


if __name__ == "__main__":
    support.main(run, __doc__, isolated=True, needs=("nft", "conntrack", "ss"))
