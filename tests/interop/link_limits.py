#!/usr/bin/env python3
"""Limits of links and sessions, each reached by clients that ask for more than they may have, and what
the gateway's counters say of it: connections, sessions, sessions without a link, silence before Hello,
too much before it, a reader that does not read, UDP clients that must show where they are."""

import socket
import time

import support
from lab.link import Link

CONNECTIONS, SESSIONS, DETACHED = 6, 3, 1


class Scene:
    def __init__(self, test):
        self.test, self.site = test, test.site
        self.gateway = test.gateway(
            {
                "listen": {
                    "websocket": {"port": 8443, "max_connections": CONNECTIONS},
                    "udp": {"retry_above": 0},
                },
                "limits": {"sessions": SESSIONS, "detached_sessions": DETACHED},
            }
        )

    def link(self, **options):
        address = self.site.gateway.address("mobile0")
        return Link(self.site.mobile, address, self.gateway.websocket_port, **options)

    def session(self):
        link = self.link()
        self.test.equal(self.log_in(link), "welcome", "a session")
        return link

    def log_in(self, link):
        return link.log_in(user="office", password="office-password")[0]

    def counts(self, name, more, cause):
        """What cause() does makes the counter go up by so many, or more if datagrams are repeated."""
        before = self.gateway.metrics().get(name, 0)
        cause()

        def counted():
            found = self.gateway.metrics().get(name, 0) - before
            return found >= more if "udp" in name else found == more

        self.test.soon(counted, 10, f"counted: {more} more of {name}")


def ended(phase, code):
    return f'isthmus_sessions_ended_total{{code="{code}",phase="{phase}"}}'


def connections(scene):
    """One more than may be is closed at once; those there are stay, and a place becomes free again."""

    def one_more():
        try:
            scene.link(upgrade=False, timeout=5)
            scene.test.check(False, "one connection too many: TLS stands")
        except OSError as error:
            scene.test.check(True, f"one connection too many is closed: {type(error).__name__}")

    guests = [scene.link() for _ in range(CONNECTIONS)]
    scene.counts("isthmus_connections_over_limit_total", 1, one_more)
    answer = guests[0].log_in(user="office", password="wrong")[0]
    scene.test.equal(answer, "reject", "one that was there before is heard")
    for guest in guests:
        guest.close()
    time.sleep(1)
    scene.link().close()
    scene.test.check(True, "and once they are gone there is room")


def sessions(scene):
    test = scene.test
    links = [scene.session() for _ in range(SESSIONS)]

    def one_more():
        link = scene.link()
        test.equal(scene.log_in(link), "reject", "one session too many")
        link.close()

    scene.counts("isthmus_sessions_refused_total", 1, one_more)

    def links_break():
        for link in links:
            link.close()  # without a word: the sessions wait for others

    scene.counts("isthmus_sessions_detached_over_limit_total", SESSIONS - DETACHED, links_break)
    test.soon(
        lambda: scene.gateway.metrics()["isthmus_sessions_detached"] == DETACHED, 5,
        f"{DETACHED} session waits for a link",
    )  # fmt: skip


def before_hello(scene):
    def silent():
        link = scene.link()
        began = time.monotonic()
        reasons, _ = link.wait_closed()
        took = time.monotonic() - began
        scene.test.check(
            3 < took < 12, f"silent after the upgrade: ended after {took:.1f} s: {reasons}"
        )

    def talkative():
        link = scene.link()
        link.send(b"\x00" + b"x" * 20_000)
        scene.test.check(True, f"20 kB in place of Hello: ended: {link.wait_closed()}")

    scene.counts(ended("greeting", "timeout"), 1, silent)
    scene.counts(ended("greeting", "limit_exceeded"), 1, talkative)


def never_reads(scene):
    """Asks without end and hears no answer: what waits for it is bounded, and then it is ended."""
    test = scene.test
    deaf = scene.session()

    def flood():
        deaf.socket.settimeout(20)
        try:
            for number in range(10_000):
                deaf.send(
                    b"\x01OPTIONS sip:echo@gateway.example.net SIP/2.0\r\n"
                    b"Via: SIP/2.0/TLS deaf.invalid;branch=z9hG4bKdeaf%d;rport\r\n"
                    b"Max-Forwards: 70\r\nFrom: <sip:office@gateway.example.net>;tag=d%d\r\n"
                    b"To: <sip:echo@gateway.example.net>\r\nCall-ID: deaf-%d\r\n"
                    b"CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n" % (number, number, number)
                )
        except OSError:
            pass  # the gateway need not read all of it

    scene.counts(ended("established", "too_slow"), 1, flood)
    test.check(True, f"then its link is over: {deaf.wait_closed(20)}")
    deaf.close()


def must_show_where(scene):
    """With listen.udp.retry_above: 0 every UDP client is asked, and its call works."""
    test, site = scene.test, scene.site

    def call():
        url = site.url(scene.gateway, site.mobile)
        phone = test.programs.start(
            site.mobile, "retried",
            [
                test.build.phone, "call", "echo", "--gateway", "udp" + url[url.index("://") :],
                "--pin", scene.gateway.pin, "--user", "office", "--password", "office-password",
                "--no-audio", "--json", "--codec", "pcmu", "--duration", "1",
            ],
        )  # fmt: skip
        test.equal(phone.wait(20), 0, "a call over UDP: exit code")

    scene.counts('isthmus_udp_answered_total{with="retry"}', 1, call)


def version_of_nobody(scene):
    """A datagram too small to begin a connection gets no answer: nobody is flooded through us."""
    with scene.site.mobile.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(1)
        address = scene.site.gateway.address("mobile0"), scene.gateway.websocket_port
        small = bytes([0xC0, 0x1A, 0x2A, 0x3A, 0x4A, 8]) + bytes(8) + bytes([8]) + bytes(600)

        sock.sendto(small, address)
        try:
            scene.test.check(False, f"an answer of {len(sock.recv(2048))} bytes")
        except socket.timeout:
            scene.test.check(True, "a small datagram of an unknown version: no answer")

        def dropped():
            metrics = scene.gateway.metrics()
            reasons = ("malformed", "unknown_connection")  # versions of ngtcp2 differ
            names = (f'isthmus_udp_dropped_total{{reason="{each}"}}' for each in reasons)
            return sum(metrics[name] for name in names) == 1

        scene.test.soon(dropped, 10, "counted: one datagram dropped")


def run(test):
    scene = Scene(test)
    support.play(
        scene,
        ("more connections than may be", connections),
        ("UDP clients must show where they are", must_show_where),
        ("UDP from nobody", version_of_nobody),
        ("before Hello", before_hello),
        ("a client that never reads", never_reads),
        ("more sessions than may be", sessions),
    )


if __name__ == "__main__":
    support.main(run, __doc__, isolated=True, needs=(support.PHONE,))
