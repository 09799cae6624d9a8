#!/usr/bin/env python3
"""Gateways that clients know by a domain alone: SRV records of a real DNS server name them. The first is
dead and the second serves; priorities are kept; who is told to leave goes where the records lead by
then, phone and connector alike; a domain whose records deny a gateway is told as such."""

import json
import signal
import time

import support
from lab.dns import Dns
from lab.isthmus import Connector

DOMAIN = "calls.example.net"
DNS_PORT = 5300
RECORD_LIFE_S = 5  # the least that a client keeps what it was told


def both(target, port, priority):
    return [(f"_isthmus._{kind}.{DOMAIN}", target, port, priority, 0) for kind in ("udp", "tcp")]


class Scene:
    def __init__(self, test):
        self.test, self.site = test, test.site
        self.address = self.site.gateway.address("mobile0")
        self.first = test.gateway(name="first")
        self.second = test.gateway(name="second", port_offset=100)
        self.dns = None

    def serve(self, *records):
        if self.dns:
            self.dns.stop()
        self.dns = Dns(
            self.test.programs, self.site.gateway, self.address, DNS_PORT,
            {f"gw.{DOMAIN}": self.address, f"dead.{DOMAIN}": self.address},
            srv=[*sum(records, []), (f"_isthmus._tcp.none.{DOMAIN}", "", 0, 0, 0)],
        )  # fmt: skip

    def phone(self, name, *words, url=f"isthmus://{DOMAIN}"):
        pins = [word for one in (self.first, self.second) for word in ("--pin", one.pin)]
        return self.test.programs.start(
            self.site.mobile,
            name,
            [
                self.test.build.phone, *words, "--gateway", url, *pins,
                "--dns-server", f"{self.address}:{DNS_PORT}", "--user", "office",
                "--password", "office-password", "--no-audio", "--json", "--codec", "pcmu",
            ],
        )  # fmt: skip

    def call(self, name, gateway, text):
        program = self.phone(name, "call", "echo", "--duration", "1")
        self.test.equal(program.wait(20), 0, f"{text}: exit code of a call")
        ports = [event["gateway_address"].rsplit(":", 1)[1] for event in connected(program)]
        self.test.equal(ports[:1], [str(gateway.websocket_port)], f"{text}: whose port it used")
        return program


def connected(program):
    lines = [line for line in program.output().splitlines() if line.startswith("{")]
    events = [json.loads(line) for line in lines]
    return [event for event in events if event.get("state") == "connected" and "user" in event]


def first_is_dead(scene):
    scene.serve(
        both(f"dead.{DOMAIN}", 9, 10), both(f"gw.{DOMAIN}", scene.second.websocket_port, 20)
    )
    began = time.monotonic()
    scene.call("dead-first", scene.second, "the first of two is dead")
    print(f"      connected, talked for a second and hung up in {time.monotonic() - began:.1f} s")


def priorities(scene):
    scene.serve(
        both(f"gw.{DOMAIN}", scene.second.websocket_port, 20),
        both(f"gw.{DOMAIN}", scene.first.websocket_port, 10),
    )
    scene.call("priority", scene.first, "both live, the lower priority")
    scene.serve(
        both(f"gw.{DOMAIN}", scene.second.websocket_port, 5),
        both(f"gw.{DOMAIN}", scene.first.websocket_port, 10),
    )
    scene.call("other-priority", scene.second, "the priorities are exchanged")


def no_gateway(scene):
    program = scene.phone("none", "call", "echo", "--timeout", "5", url=f"wss://none.{DOMAIN}")
    scene.test.soon(
        lambda: "there is no gateway at" in program.output(), 8, "a domain that denies gateways"
    )
    program.stop()


def leaving(scene):
    """The records change while clients are at the first gateway, which is then told to end."""
    test, site = scene.test, scene.site
    scene.serve(both(f"gw.{DOMAIN}", scene.first.websocket_port, 10))
    phone = scene.phone("leaving", "register", "--answer")
    connector = Connector(
        test.programs, test.build, site.mobile, site.mobile.address("up0"), f"isthmus://{DOMAIN}",
        "office", "office-password", None,
        gateway={"trust": {"insecure": True}, "dns_servers": [f"{scene.address}:{DNS_PORT}"]},
    )  # fmt: skip
    connector.wait_link()
    test.soon(lambda: scene.first.status()["sessions"] == 2, 10, "both are at the first gateway")
    scene.serve(both(f"gw.{DOMAIN}", scene.second.websocket_port, 10))
    time.sleep(RECORD_LIFE_S + 1)
    scene.first.program.process.send_signal(signal.SIGTERM)
    test.soon(lambda: scene.second.status()["sessions"] == 2, 15,
              "when it ends, they are where the records lead now")  # fmt: skip
    test.equal(scene.first.program.wait(10), 0, "the first gateway ends: exit code")
    test.soon(lambda: len(scene.second.get("/api/v1/registrations")) == 1, 10,
              "the phone is registered there")  # fmt: skip
    phone.stop()
    connector.program.stop()


def run(test):
    scene = Scene(test)
    support.play(
        scene,
        ("the first gateway of a domain is dead", first_is_dead),
        ("priorities", priorities),
        ("no gateway", no_gateway),
        ("a gateway ends, and the records name another", leaving),
    )


if __name__ == "__main__":
    support.main(run, __doc__, isolated=True, needs=(support.PHONE, "dnsmasq"))
