#!/usr/bin/env python3
"""Unmodified phones transfer each other through a gateway that hides both sides from each other:
the transfers work, and nothing captured on one side holds an address, a Call-ID or the software of
the other."""

import time

import support
from lab import audio, capture

USERS = ("reception", "desk", "kitchen")


def speak_names(test):
    for name in USERS:
        speech = audio.speak(test.directory / f"{name}.wav", f"This is {name}.", "en")
        test.check(len(speech) > 0, f"{name} has something to say")


def transfer(test, gateway, caller, peer, target):
    """The caller calls the peer and transfers it to the target; the two then talk."""
    for phone in (caller, peer, target):
        phone.forget_events()
    caller.dial(f"sip:{peer.user}@{support.DOMAIN}")
    title = f"{caller.user} transfers {peer.user} to {target.user}"
    caller.command("transfer", f"sip:{target.user}@{support.DOMAIN}")
    target.wait_event("CALL_ESTABLISHED", seconds=15)
    caller.wait_closed(15)
    test.check(True, f"{title}: established, and the transferor is free")
    target.forget_events()
    peer.hang_up()
    target.wait_closed()
    test.soon(lambda: not gateway.calls(), 10, f"{title}: no call is left at the gateway")
    time.sleep(0.3)  # the phones hear of the end of both their calls


def without_answers(payload):
    """A message without a phone's own digest answers: they pass as they are, or would be
    worthless, and name the URI that the phone sent its request to (gateway/docs/dialogs.md)."""
    lines = payload.split(b"\r\n")
    return b"\r\n".join(line for line in lines if b"Authorization: Digest" not in line)


def messages(packets):
    """The SIP messages in a capture, with who sent them."""
    return [
        (packet.source[0], without_answers(packet.payload))
        for packet in packets
        if packet.protocol == "udp" and b"SIP/2.0" in packet.payload.split(b"\r\n", 1)[0]
    ]


def call_id(payload):
    for line in payload.split(b"\r\n\r\n", 1)[0].split(b"\r\n"):
        if line.lower().startswith((b"call-id:", b"i:")):
            return line.partition(b":")[2].strip()
    return b""


def own_call_ids(sent, address):
    """Call-IDs that did not come from that address, but were first heard from its peers."""
    first = {}
    for source, payload in sent:
        first.setdefault(call_id(payload), source)
    return {name for name, source in first.items() if source != address}


def shows_nothing(test, title, payloads, secrets):
    test.check(len(payloads) > 20, f"{title}: {len(payloads)} SIP messages captured")
    for secret in sorted(secrets):
        holds = [payload for payload in payloads if secret in payload]
        where = f", in {holds[0][:60]!r}" if holds else ""
        test.check(not holds, f"{title}: no {secret.decode(errors='replace')}{where}")


def run(test):
    site = test.site
    kamailio = test.kamailio({name: f"{name}-pw" for name in USERS})
    gateway = test.gateway(
        {
            "providers": [
                {
                    "name": "kamailio",
                    "target": f"sip:{kamailio.address}:{kamailio.port}",
                    "domains": [support.DOMAIN],
                    "topology_hiding": True,
                }
            ],
            "links": {"topology_hiding": True},
        }
    )
    near = capture.Capture(test.programs, site.desk, "lan0", "near", "udp")
    far = capture.Capture(test.programs, site.gateway, "prov0", "far", "udp")
    connector = test.connector(gateway)
    speak_names(test)
    phones = test.baresips(USERS, kamailio, connector)
    reception, desk, kitchen = (phones[name] for name in USERS)

    with support.scene("transfers by phones of both sides"):
        transfer(test, gateway, desk, reception, kitchen)
        transfer(test, gateway, reception, desk, kitchen)
        transfer(test, gateway, kitchen, desk, reception)
    near.stop()
    far.stop()

    with support.scene("what each side was shown"):
        inside = messages(near.packets())
        outside = messages(far.packets())
        near_ids = own_call_ids(inside, site.office_address)
        far_ids = own_call_ids(outside, site.gateway_address)
        test.check(near_ids and far_ids, f"Call-IDs made by phones: {len(near_ids)}, {len(far_ids)}")
        shows_nothing(
            test,
            "the provider",
            [payload for source, payload in outside if source == site.gateway_address],
            near_ids | {b"baresip", site.desk_address.encode(), site.office_address.encode()},
        )
        shows_nothing(
            test,
            "a phone",
            [payload for source, payload in inside if source == site.office_address],
            far_ids | {b"baresip", b"kamailio", site.provider_address.encode()},
        )


if __name__ == "__main__":
    support.main(run, __doc__, isolated=True, needs=("baresip", "kamailio", "tcpdump", "espeak-ng"))
