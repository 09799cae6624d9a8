#!/usr/bin/env python3
"""Providers known by their names alone: NAPTR and SRV records of a real DNS server lead to their
hosts, and requests go on to the next host when one refuses, is silent, or asks to be left alone. A
dead host gets nothing but OPTIONS until it answers one. Numbers are found by ENUM.
"""

import re
import time

import support
from lab.dns import Dns
from lab.sipp import SipSocket
from lab.uas import Uas

PROVIDER = "trunk.example.net"
STREAM = "stream.example.net"
DNS_PORT = 5300
FAILOVER_S = 1  # an INVITE moves on after this, other requests after twice the time


class Caller:
    """A bare SIP phone behind the connector."""

    def __init__(self, test, connector):
        self.socket = SipSocket(test.site.desk, test.site.desk_address)
        self.at = (connector.sip_address, connector.sip_port)
        self.me = "sip:line1@gateway.example.net"

    def message(self, uri=f"sip:service@{PROVIDER}", seconds=8):
        """Who answered a MESSAGE, its status, the whole answer, and the seconds it took."""
        started = time.monotonic()
        text = self.socket.request("MESSAGE", uri, self.me)
        status, _, answer = self.socket.ask(text, *self.at, seconds)
        server = re.search(r"^Server: (.*?)\r$", answer, re.M)
        return server.group(1) if server else "", status, answer, time.monotonic() - started

    def call(self, uri=f"sip:service@{PROVIDER}", seconds=8):
        """Calls and hangs up; who answered, and with what."""
        body = (
            f"v=0\r\no=- 1 1 IN IP4 {self.socket.address}\r\ns=-\r\n"
            f"c=IN IP4 {self.socket.address}\r\nt=0 0\r\nm=audio 42000 RTP/AVP 0\r\n"
        )
        invite = self.socket.request("INVITE", uri, self.me, body=body)
        status, _, answer = self.socket.ask(invite, *self.at, seconds)

        def header(text, name):
            return re.search(rf"^{name}: (.*?)\r$", text, re.M).group(1)

        contact = re.search(r"^Contact: .*?<(.*?)>", answer, re.M)
        same = {
            "from_": header(invite, "From"),
            "to": header(answer, "To"),
            "call_id": header(invite, "Call-ID"),
        }
        if status < 300:
            target = contact.group(1)
            ack = self.socket.request("ACK", target, self.me, cseq="1 ACK", **same)
            self.socket.send(ack, *self.at)
            bye = self.socket.request("BYE", target, self.me, cseq="2 BYE", **same)
            self.socket.ask(bye, *self.at, seconds)
        server = re.search(r"^Server: (.*?)\r$", answer, re.M)
        return server.group(1) if server else "", status


def hosts(gateway, name="trunk"):
    """Address → alive, as the admin server says."""
    (hosts_of_it,) = [p["hosts"] for p in gateway.get("/api/v1/providers") if p["name"] == name]
    return {host["address"]: host["alive"] for host in hosts_of_it}


def run(test):
    site = test.site
    address = site.provider_address
    first, second = (
        Uas(site.provider, name, address, port)
        for name, port in (("first", 5071), ("second", 5072))
    )
    stream = Uas(site.provider, "stream", address, 5073, tcp=True)
    dns = Dns(
        test.programs,
        site.provider,
        address,
        DNS_PORT,
        {f"a.{PROVIDER}": address, f"b.{PROVIDER}": address},
        srv=[
            (f"_sip._udp.{PROVIDER}", f"b.{PROVIDER}", 5072, 20, 0),
            (f"_sip._udp.{PROVIDER}", f"a.{PROVIDER}", 5071, 10, 0),
            (f"_sip._tcp.{STREAM}", f"a.{PROVIDER}", 5073, 10, 0),
            (f"_sip._udp.{STREAM}", f"a.{PROVIDER}", 5071, 10, 0),
        ],
        naptr=[
            (STREAM, 20, 10, "s", "SIP+D2U", "", f"_sip._udp.{STREAM}"),
            (STREAM, 10, 10, "s", "SIP+D2T", "", f"_sip._tcp.{STREAM}"),
            (
                "6.5.4.3.2.1.0.3.9.4.e164.example",
                10,
                100,
                "u",
                "E2U+sip",
                f"!^.*$!sip:enumerated@{PROVIDER}!",
            ),
        ],
    )
    gateway = test.gateway(
        {
            "providers": [
                {
                    "name": "trunk",
                    "target": f"sip:{PROVIDER}",
                    "failover_timeout_s": FAILOVER_S,
                },
                {"name": "stream", "target": f"sip:{STREAM}"},
            ],
            "routes": [{"name": "numbers", "match": {"user_prefix": "+49"}, "enum": True}],
            "enum": {"suffix": "e164.example"},
            "dns": {"servers": [f"{address}:{DNS_PORT}"], "timeout_ms": 300},
            "timers": {"t1_ms": 100, "t2_ms": 400},
        }
    )
    connector = test.connector(gateway)
    caller = Caller(test, connector)
    a, b = f"{address}:5071", f"{address}:5072"
    test.soon(lambda: hosts(gateway) == {a: True, b: True}, 5, "both hosts of the SRV records")
    scenes(test, gateway, caller, first, second, a, b)
    by_naptr(test, gateway, caller, stream)
    by_enum(test, gateway, caller, first)
    without_dns(test, gateway, caller, dns)
    for uas in (first, second, stream):
        uas.close()


def scenes(test, gateway, caller, first, second, a, b):
    with support.scene("SRV priority decides"):
        test.equal(caller.message()[:2], ("first", 200), "who answers")
        test.equal(caller.call(), ("first", 200), "who takes the call")

    with support.scene("a host that refuses (ICMP)"):
        first.close()
        server, status, _, took = caller.message()
        test.equal((server, status), ("second", 200), "who answers")
        test.check(took < 1, f"at once: {took:.2f} s")
        test.equal(hosts(gateway), {a: False, b: True}, "who is alive")
        test.equal(caller.call(), ("second", 200), "who takes the call")
        first.open()
        test.soon(lambda: hosts(gateway)[a], 8, "the first is back once it answered OPTIONS")
        test.equal(caller.message()[:2], ("first", 200), "who answers then")

    with support.scene("a host that is silent"):
        # A host that has just answered others is given the benefit of the doubt.
        time.sleep(FAILOVER_S + 0.5)
        first.mood = "silent"
        server, status, _, took = caller.message()
        test.equal((server, status), ("second", 200), "who answers")
        test.check(
            FAILOVER_S <= took < 2 * FAILOVER_S + 1, f"after the fail-over time: {took:.2f} s"
        )
        test.equal(hosts(gateway), {a: False, b: True}, "who is alive")
        test.soon(lambda: first.count("OPTIONS") > 0, 8, "it is asked by OPTIONS")
        first.forget()
        server, status, _, took = caller.message()
        test.check(took < 0.5, f"the next request does not wait: {took:.2f} s")
        test.equal(caller.call(), ("second", 200), "who takes the call")
        test.equal(
            (first.count("MESSAGE"), first.count("INVITE")), (0, 0), "requests to the dead host"
        )
        first.mood = "ok"
        test.soon(lambda: hosts(gateway)[a], 8, "the first is back once it answered OPTIONS")
        test.equal(caller.call(), ("first", 200), "who takes the call then")

    with support.scene("a host that answers 503 with Retry-After"):
        first.mood, first.retry_after = "busy", 3
        test.equal(caller.call(), ("second", 200), "who takes the call")
        left_at = time.monotonic()
        first.forget()
        first.mood = "ok"
        test.equal(caller.message()[:2], ("second", 200), "who answers meanwhile")
        test.soon(lambda: hosts(gateway)[a], 8, "the first is back")
        test.check(time.monotonic() - left_at >= 2.5, "not before its Retry-After")
        test.equal(first.count("MESSAGE"), 0, "requests to it meanwhile")

    with support.scene("no host is left"):
        for uas in (first, second):
            uas.mood, uas.retry_after = "busy", 2
        caller.message()
        _, status, answer, took = caller.message()
        test.equal(status, 503, "status")
        test.check("Retry-After:" in answer, "with Retry-After")
        test.check(took < 0.5, f"at once: {took:.2f} s")
        for uas in (first, second):
            uas.mood = "ok"
        test.soon(lambda: hosts(gateway) == {a: True, b: True}, 8, "both are back")
        metrics = gateway.metrics()
        name = f'isthmus_provider_target_up{{provider="trunk",target="udp {a}"}}'
        test.equal(metrics.get(name), 1.0, name)
        moved = {
            why: int(
                metrics[
                    f'isthmus_provider_failovers_total{{provider="trunk",to="host",why="{why}"}}'
                ]
            )
            for why in ("timeout", "unreachable", "unavailable", "refused")
        }
        test.equal(
            moved,
            {"timeout": 1, "unreachable": 1, "unavailable": 2, "refused": 0},
            "requests that went on to the other host",
        )


def by_naptr(test, gateway, caller, stream):
    with support.scene("NAPTR chooses TCP"):
        at = f"{stream.address}:{stream.port}"
        test.equal(hosts(gateway, "stream"), {at: True}, "the host of the preferred service")
        uri = f"sip:service@{STREAM}"
        test.equal(caller.message(uri)[:2], ("stream", 200), "who answers")
        test.equal(caller.call(uri), ("stream", 200), "who takes the call")
        stream.close()
        test.equal(caller.message(uri)[1], 503, "status when its connections are refused")
        test.equal(hosts(gateway, "stream"), {at: False}, "who is alive")
        stream.open()
        test.soon(lambda: hosts(gateway, "stream")[at], 8, "it is back once it answered OPTIONS")
        test.equal(caller.message(uri)[:2], ("stream", 200), "who answers then")


def by_enum(test, gateway, caller, first):
    with support.scene("a number in the DNS"):
        test.equal(
            caller.message("sip:+4930123456@gateway.example.net")[:2], ("first", 200), "who answers"
        )
        test.check(first.last_uri.startswith(f"sip:enumerated@{PROVIDER}"), f"as {first.last_uri}")
        status = caller.message("sip:+4999@gateway.example.net")[1]
        test.equal(status, 404, "status of a number that is nowhere")


def without_dns(test, gateway, caller, dns):
    with support.scene("the DNS server is gone"):
        asked = len(dns.queries())
        dns.stop()
        test.soon(
            lambda: gateway.metrics()["isthmus_dns_failures_total"] > 0,
            12,
            f"the records have expired and are asked for in vain (after {asked} questions)",
        )
        test.equal(caller.message()[:2], ("first", 200), "who answers still")


if __name__ == "__main__":
    support.main(run, __doc__, isolated=True, needs=("dnsmasq",))
