#!/usr/bin/env python3
"""A phone without credentials calls over an account that the gateway holds at Kamailio: the gateway
answers the challenge, and every later request of the call is numbered ahead of the phone's."""

import re
import time

import support
from lab import audio, capture
from lab.baresip import Baresip

ACCOUNT, PASSWORD = "2001", "pw-2001"


def header(payload, name):
    found = re.search(rf"(?im)^{name}: *(.*?)\r$".encode(), payload)
    return found[1].decode() if found else ""


def cseq_numbers(messages, method):
    """CSeq numbers of the requests of that method, each once, in order."""
    found = []
    for payload in messages:
        if not payload.startswith(f"{method} ".encode()):
            continue
        number = int(header(payload, "CSeq").split()[0])
        if number not in found:
            found.append(number)
    return found


def sip(packets, source=None):
    return [
        packet.payload
        for packet in packets
        if packet.protocol == "udp"
        and b"SIP/2.0" in packet.payload.split(b"\r\n", 1)[0]
        and source in (None, packet.source[0])
    ]


def phone(test, name, host, interface, user, password, proxy, offset):
    path = test.directory / f"{name}.wav"
    audio.speak(path, f"This is {name}.", "en")
    return Baresip(
        test.programs,
        host,
        name,
        interface,
        user,
        support.DOMAIN,
        password,
        proxy,
        path,
        sip_port=5080 + 2 * offset,
        control_port=4444 + offset,
        rtp=f"{10000 + 1000 * offset}-{10998 + 1000 * offset}",
    )


def run(test):
    site = test.site
    kamailio = test.kamailio({ACCOUNT: PASSWORD, "reception": "reception-pw"})
    gateway = test.gateway(
        {
            "providers": [
                {
                    "name": "kamailio",
                    "target": f"sip:{kamailio.address}:{kamailio.port}",
                    "domains": [support.DOMAIN],
                    "registration": "account",
                    "accounts": [{"user": ACCOUNT, "password": PASSWORD}],
                }
            ]
        }
    )
    near = capture.Capture(test.programs, site.desk, "lan0", "near", "udp")
    far = capture.Capture(test.programs, site.gateway, "prov0", "far", "udp")
    connector = test.connector(gateway)
    registrar = f"{kamailio.address}:{kamailio.port}"
    proxy = f"{connector.sip_address}:{connector.sip_port}"
    reception = phone(
        test, "reception", site.provider, "eth0", "reception", "reception-pw", registrar, 0
    )
    desk = phone(test, "desk", site.desk, "lan0", ACCOUNT, "none-of-it", proxy, 1)
    reception.wait_registered()
    desk.wait_registered()

    with support.scene("a call out, held and resumed"):
        desk.dial(f"sip:reception@{support.DOMAIN}")
        for command in ("hold", "resume"):
            desk.command(command)
            time.sleep(0.7)
        desk.hang_up()
        reception.wait_closed()
    near.stop()
    far.stop()

    with support.scene("what was said on each side"):
        by_phone = sip(near.packets(), site.desk_address)
        by_gateway = sip(far.packets(), site.gateway_address)
        test.check(
            not any(b"407" in payload.split(b"\r\n", 1)[0] for payload in sip(near.packets())),
            "the phone heard of no challenge",
        )
        invites = cseq_numbers(by_gateway, "INVITE")
        own = cseq_numbers(by_phone, "INVITE")
        test.equal(len(own), 3, "INVITEs of the phone: the call, hold, resume")
        test.equal(
            invites,
            [own[0], own[0] + 1, *(number + 1 for number in own[1:])],
            "their numbers at Kamailio: the first twice, the others ahead by one",
        )
        test.equal(
            cseq_numbers(by_gateway, "BYE"),
            [number + 1 for number in cseq_numbers(by_phone, "BYE")],
            "the number of the BYE",
        )
        answered = [
            payload
            for payload in by_gateway
            if payload.startswith(b"INVITE ") and f'username="{ACCOUNT}"'.encode() in payload
        ]
        test.check(answered, "the account's credentials were used")


if __name__ == "__main__":
    support.main(run, __doc__, isolated=True, needs=("baresip", "kamailio", "tcpdump", "espeak-ng"))
