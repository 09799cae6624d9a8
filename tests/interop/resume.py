#!/usr/bin/env python3
"""A call whose socket dies: cut by a reset, silenced by a network that swallows everything, refused for
a while, left behind by a change of network, or by a NAT far from the gateway. The call stays up, its audio goes on, and the provider sees no SIP for it; the gaps are
printed. When no link comes back in time, the gateway ends the call."""

import json
import threading
import time

import support
from lab.impairment import Impairment
from lab.relay import TcpRelay
from lab.trunk import TrunkCalls

WINDOW_S = 4
RELAY = "wss://127.0.0.1:9443"


class Scene(TrunkCalls):
    def __init__(self, test):
        site = test.site
        super().__init__(test, site.mobile, {"links": {"resume_window_s": WINDOW_S}})
        address = self.gateway.websocket_port
        self.relay = TcpRelay(site.mobile, 9443, (self.gateway.host.address("mobile0"), address))


def events(phone, name):
    lines = (line for line in phone.output().splitlines() if line.startswith("{"))
    return [each for each in map(json.loads, lines) if each.get("event") == name]


def survives(scene, name, harm, most_ms, seconds=6, url=RELAY):
    """A call that is harmed after two seconds; it must not notice."""
    test = scene.test
    resumed = scene.metric("isthmus_sessions_resumed_total") + scene.metric(
        "isthmus_sessions_moved_total"
    )
    scene.uas.seen.clear()
    phone = scene.call(name, url, seconds)
    phone.wait_output('"state":"connected","status"', 10)
    time.sleep(2)
    before = scene.sip_seen()
    harmed_at = time.monotonic()
    harm()
    time.sleep(seconds - 3.2)
    gap = scene.echo.gap_ms(harmed_at)
    test.equal(scene.sip_seen(), before, f"{name}: SIP that the provider saw of it")
    code = phone.wait(15)
    test.equal(code, 0, f"{name}: exit code of the phone")
    test.soon(lambda: scene.sip_seen() == [*before, "BYE"], 2, f"{name}: BYE at the end")
    now = scene.metric("isthmus_sessions_resumed_total") + scene.metric(
        "isthmus_sessions_moved_total"
    )
    test.check(now > resumed, f"{name}: the session was resumed {now - resumed} times")
    states = [event["state"] for event in events(phone, "connection")]
    back = [e for e in events(phone, "connection") if "resumed_after_s" in e]
    test.check(bool(back), f"{name}: the phone says so: {', '.join(states)}")
    test.check(gap <= most_ms, f"{name}: audio gap {gap:.0f} ms, at most {most_ms}")
    return gap


def refused_for_a_while(scene):
    scene.relay.refuses = True
    scene.relay.cut()
    threading.Timer(1.0, lambda: setattr(scene.relay, "refuses", False)).start()


def another_network(scene):
    """Wi-Fi goes, and the mobile network, which was there all along, is the way to the gateway."""
    site = scene.test.site
    site.network.cable(
        site.mobile, "lte0", "198.51.100.10/30", site.gateway, "mobile1", "198.51.100.9/30"
    )
    site.mobile.run(
        "ip", "route", "add", "198.51.100.4/30", "via", "198.51.100.9", "metric", "200"
    )  # fmt: skip
    return survives(
        scene,
        "swapped",
        lambda: site.mobile.run("ip", "link", "set", "up0", "down"),
        700,
        url=site.url(scene.gateway, site.mobile),
    )


def far_away(scene):
    """Over UDP, 200 ms there and back: a NAT lets the phone's address pass no more. The phone comes back
    from another, and says so with its first datagram (QUIC 0-RTT)."""
    test = scene.test
    name = 'isthmus_udp_early_data_total{outcome="taken"}'
    before = scene.metric(name)
    relay = Impairment(
        test.site.mobile, "127.0.0.1", 9444,
        (scene.gateway.host.address("mobile0"), scene.gateway.websocket_port),
    )  # fmt: skip
    relay.one_way_s = 0.1
    gap = survives(
        scene, "far", relay.shut_out, 4500, seconds=9, url="udp://127.0.0.1:9444"
    )  # fmt: skip
    taken = scene.metric(name) - before
    test.check(taken >= 1, f"far: {taken} Hello came before the handshake was done")
    first = relay.first_media_s()
    relay.close()
    if test.check(first is not None, "far: the phone spoke from its new address"):
        print(f"      media {first * 1000:.0f} ms after the first datagram; a round trip is 200 ms")
    return gap


def gives_up(scene):
    """No link comes back: the gateway ends the call for good, and the phone says why it is over."""
    test = scene.test
    scene.uas.seen.clear()
    phone = scene.call("lost", RELAY, 60)
    phone.wait_output('"state":"connected","status"', 10)
    time.sleep(1)
    scene.relay.refuses = True
    scene.relay.cut()
    test.soon(lambda: "BYE" in scene.sip_seen(), WINDOW_S + 2, "lost: the gateway ends the call")
    test.equal(scene.metric("isthmus_sessions_expired_total"), 1, "lost: expired sessions")
    test.soon(lambda: not phone.running(), 5, "lost: the phone gives the call up, too")
    scene.relay.refuses = False


def run(test):
    scene = Scene(test)
    before = support.Baseline(test, scene.gateway)
    gaps = {
        "connection reset": survives(scene, "reset", scene.relay.cut, 700),
        "network silent": survives(scene, "silent", scene.relay.freeze, 2500, seconds=8),
        "refused for 1 s": survives(
            scene, "refused", lambda: refused_for_a_while(scene), 3500, seconds=8
        ),
    }
    gives_up(scene)
    gaps["UDP, 200 ms away"] = far_away(scene)
    gaps["another network"] = another_network(scene)
    before.expect_same()
    for name, gap in gaps.items():
        print(f"      {name:18} audio gap toward the provider {gap:6.0f} ms")
    scene.relay.close()
    scene.close()


if __name__ == "__main__":
    support.main(run, __doc__, isolated=True, needs=(support.PHONE,))
