#!/usr/bin/env python3
"""A gateway that is told to end while a call is up, with another beside it: the call goes on to its own
end, over a link that is cut as well; who has no call leaves for the other gateway at once; nobody new is
let in; then the gateway ends, long before it would have had to. And clients that know several gateways."""

import json
import signal
import socket
import time

import support
from lab.isthmus import Connector
from lab.relay import TcpRelay
from lab.uas import Uas

DRAIN_S = 30


def phone(test, name, gateways, *words, pins):
    return test.programs.start(
        test.site.mobile,
        name,
        [
            test.build.phone, *words, *[each for url in gateways for each in ("--gateway", url)],
            *[word for pin in pins for word in ("--pin", pin)], "--user", "office", "--password", "office-password",
            "--no-audio", "--json", "--codec", "pcmu",
        ],
    )  # fmt: skip


def states(program):
    lines = (line for line in program.output().splitlines() if line.startswith("{"))
    events = [json.loads(line) for line in lines]
    return [event["state"] for event in events if event.get("event") == "connection"]


def registered(gateway):
    return len(gateway.get("/api/v1/registrations"))


def several_gateways(test, url, pins):
    """The first address of three answers nobody."""
    dead = "wss://198.51.100.5:9"
    call = phone(test, "several", [dead, f"{dead},{url}"], "call", "echo", "--duration", "1",
                 pins=pins)  # fmt: skip
    test.equal(call.wait(20), 0, "a phone that knows three gateways, two of them dead: exit code")
    test.equal(states(call)[:4], ["connecting", "waiting", "waiting", "connected"], "its way there")


def invite_from_provider(site, gateway):
    """The status line of what the gateway answers to a new call."""
    with site.provider.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((site.provider_address, 5063))
        sock.settimeout(3)
        here = f"{site.provider_address}:5063"
        lines = [
            f"INVITE sip:echo@{gateway.sip_address} SIP/2.0",
            f"Via: SIP/2.0/UDP {here};branch=z9hG4bK-late-1;rport",
            "Max-Forwards: 70",
            f"From: <sip:caller@{here}>;tag=late",
            f"To: <sip:echo@{gateway.sip_address}>",
            "Call-ID: late-1@provider",
            "CSeq: 1 INVITE",
            f"Contact: <sip:caller@{here}>",
            "Content-Length: 0",
        ]
        request = "\r\n".join([*lines, "", ""]).encode()
        sock.sendto(request, (gateway.sip_address, gateway.sip_port))
        while True:
            status = sock.recv(4096).split(b"\r\n")[0].decode()
            if " 100 " not in status:
                return status


def drain(test, old, new, uas):
    site = test.site
    pins = [old.pin, new.pin]
    old_url, new_url = site.url(old, site.mobile), site.url(new, site.mobile)
    relay = TcpRelay(site.mobile, 9443, (old.host.address("mobile0"), old.websocket_port))
    connector = Connector(
        test.programs, test.build, site.office, site.office_address, site.url(old, site.office),
        "office", "office-password", None, gateway={"trust": {"insecure": True}},
    )  # fmt: skip
    connector.wait_link()
    idle = phone(test, "idle", [old_url], "register", "--answer", pins=pins)
    test.soon(lambda: registered(old) == 1, 10, "a phone is registered at the old gateway")
    call = phone(test, "call", ["wss://127.0.0.1:9443"], "call", "sip:service@trunk.example.net",
                 "--duration", "6", pins=pins)  # fmt: skip
    call.wait_output('"state":"connected","status"', 10)
    began = time.monotonic()
    old.program.process.send_signal(signal.SIGTERM)
    test.soon(lambda: "leaving" in states(call), 2, "the phone in a call is told")
    test.soon(lambda: registered(new) == 1, 4, "the one without is registered at the new gateway")
    test.equal(states(idle)[-3:], ["leaving", "waiting", "connected"], "and says how")
    test.soon(lambda: new.status()["sessions"] == 2, 4, "the connector is there, too")
    test.check(connector.status()["link_up"], "and its link stands")
    status = old.status()
    test.equal(
        (status["draining"], status["calls"]), (True, 1), "the old gateway waits for its call"
    )
    test.equal(
        invite_from_provider(site, old), "SIP/2.0 503 Shutting down", "a call from the provider"
    )
    late = phone(test, "late", [old_url], "call", "echo", "--timeout", "2", pins=pins)
    test.soon(lambda: "shutting down" in late.output(), 5, "who comes now is refused, and why")
    late.stop()
    fallback = phone(test, "fallback", [old_url, new_url], "call", "echo", "--duration", "1",
                     pins=pins)  # fmt: skip
    test.equal(fallback.wait(15), 0, "or goes to the new gateway, if he knows it: exit code")
    relay.cut()
    test.soon(lambda: states(call)[-3:] == ["resuming", "connected", "leaving"], 5,
              "the call's link is cut: resumed, and told again")  # fmt: skip
    test.equal([m for m, _ in uas.seen if m == "BYE"], [], "the provider saw nothing of all that")
    test.equal(call.wait(20), 0, "the call ends when its phone says so: exit code")
    test.equal(old.program.wait(10), 0, "then the old gateway ends: exit code")
    took = time.monotonic() - began
    test.check(took < DRAIN_S / 2, f"after {took:.1f} s, of {DRAIN_S} that it had")
    idle.stop()
    relay.close()


def run(test):
    site = test.site
    providers = [
        {
            "name": "trunk",
            "target": f"sip:{site.provider_address}:5062",
            "domains": ["trunk.example.net"],
            "addresses": [f"{site.provider_address}/32"],
        }
    ]
    uas = Uas(site.provider, "trunk", site.provider_address, 5062)
    new = test.gateway({"providers": providers}, name="new", port_offset=100)
    url = f"wss://{site.gateway.address('mobile0')}:{new.websocket_port}"
    several_gateways(test, url, [new.pin])
    old = test.gateway(
        {
            "providers": providers,
            "links": {"drain_s": DRAIN_S, "drain_gateways": [url, site.url(new, site.office)]},
        },
        name="old",
    )
    drain(test, old, new, uas)
    uas.close()


if __name__ == "__main__":
    support.main(run, __doc__, isolated=True, needs=(support.PHONE,))
