#!/usr/bin/env python3
"""Digits between a client's telephone events (RFC 4733) and a provider that speaks INFO, and between
a phone that speaks INFO and a provider of telephone events (`providers[].dtmf`), over real sockets:
what each side is offered, what it is sent, and that the stream around a digit stays whole."""

import json
import re
import socket
import struct
import threading
import time

import support
from lab.sipp import SipSocket

EVENT_DOMAIN = "events.example.net"
EVENT_TYPE = 101
DIGITS = "0123456789*#ABCD"


def header(text, name):
    found = re.search(rf"(?im)^{name}[ \t]*:[ \t]*(.*?)\r?$", text)
    return found[1] if found else ""


def sdp(address, port, events):
    more = " 101\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n" if events else "\r\n"
    return (
        f"v=0\r\no=- 1 1 IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\n"
        f"m=audio {port} RTP/AVP 0{more}"
    )


class Party:
    """One end of a call: a SIP socket, and an RTP socket that speaks and listens all the time."""

    def __init__(self, host, address, port, events):
        self.address, self.events = address, events
        self.sip = host.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sip.bind((address, port))
        self.port = self.sip.getsockname()[1]
        self.rtp = host.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.rtp.bind((address, 0))
        self.rtp_port = self.rtp.getsockname()[1]
        self.media_to, self.packets, self.requests, self.responses = None, [], [], []
        self.peer = self.dialog = None
        for work in (self._signalling, self._listen, self._speak):
            threading.Thread(target=work, daemon=True).start()

    def description(self):
        return sdp(self.address, self.rtp_port, self.events)

    def _take_description(self, text):
        found = re.search(r"c=IN IP4 (\S+)[\s\S]*m=audio (\d+)", text)
        if found:
            self.media_to = (found[1], int(found[2]))

    def _signalling(self):
        while True:
            try:
                data, source = self.sip.recvfrom(65536)
            except OSError:
                return
            text = data.decode(errors="replace")
            self._take_description(text)
            if text.startswith("SIP/2.0"):
                self.responses.append(text)
                continue
            if text not in self.requests:
                self.requests.append(text)
            if text.startswith("ACK "):
                continue
            invite = text.startswith("INVITE ")
            if invite:
                self.peer, self.dialog = source, text
            self._answer(text, source, self.description() if invite else "")

    def _answer(self, request, source, body):
        kept = [
            line
            for line in request.split("\r\n\r\n")[0].split("\r\n")[1:]
            if line.split(":")[0].strip().lower() in ("via", "from", "call-id", "cseq")
        ]
        to = header(request, "To")
        tag = "" if ";tag=" in to else ";tag=party"
        content = "Content-Type: application/sdp\r\n" if body else ""
        text = (
            "SIP/2.0 200 OK\r\n" + "\r\n".join(kept) + f"\r\nTo: {to}{tag}\r\n"
            f"Contact: <sip:party@{self.address}:{self.port}>\r\n{content}"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        )
        self.sip.sendto(text.encode(), source)

    def info(self, digit, cseq):
        """Presses a digit by INFO, in the dialog that was answered here."""
        target = re.search(r"<(sip:[^>]+)>", header(self.dialog, "Contact"))[1]
        body = f"Signal={digit}\r\nDuration=120\r\n"
        text = (
            f"INFO {target} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {self.address}:{self.port};branch=z9hG4bKinfo{cseq};rport\r\n"
            f"From: {header(self.dialog, 'To')};tag=party\r\nTo: {header(self.dialog, 'From')}\r\n"
            f"Call-ID: {header(self.dialog, 'Call-ID')}\r\nCSeq: {cseq} INFO\r\n"
            f"Max-Forwards: 70\r\nContent-Type: application/dtmf-relay\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        )
        self.sip.sendto(text.encode(), self.peer)

    def _speak(self):
        sequence = 100
        while True:
            time.sleep(0.02)
            if self.media_to:
                packet = struct.pack(">BBHII", 0x80, 0, sequence & 0xFFFF, sequence * 160, 0xFEED)
                try:
                    self.rtp.sendto(packet + b"\xff" * 160, self.media_to)
                except OSError:
                    return
                sequence += 1

    def _listen(self):
        while True:
            try:
                self.packets.append(self.rtp.recvfrom(2048)[0])
            except OSError:
                return

    def infos(self):
        return [text for text in self.requests if text.startswith("INFO ")]

    def digits_heard(self):
        """Digits of the telephone events that came, each once."""
        seen = {}
        for packet in self.packets:
            if packet[1] & 0x7F == EVENT_TYPE:
                seen[packet[4:8]] = DIGITS[packet[12]]
        return "".join(seen.values())

    def gaps(self):
        """Steps of the sequence numbers other than one, and packets of another source."""
        numbers = [struct.unpack(">H", packet[2:4])[0] for packet in self.packets]
        steps = [(b - a) & 0xFFFF for a, b in zip(numbers, numbers[1:])]
        return [step for step in steps if step != 1], len({packet[8:12] for packet in self.packets})


def events_of_the_client_for_a_provider_of_infos(test, gateway, provider):
    phone = test.programs.start(
        test.site.mobile,
        "phone",
        [
            test.build.phone,
            "call",
            f"sip:ivr@{support.DOMAIN}",
            "--gateway",
            test.site.url(gateway, test.site.mobile),
            "--pin",
            gateway.pin,
            "--user",
            "mobile",
            "--password",
            "mobile-password",
            "--codec",
            "pcmu",
            "--no-audio",
            "--json",
            "--dtmf",
            "15#",
            "--duration",
            "5",
        ],
    )
    test.soon(lambda: len(provider.infos()) == 3, 8, "three digits came as INFO")
    bodies = [text.split("\r\n\r\n", 1)[1] for text in provider.infos()]
    signals = [re.findall(r"(Signal|Duration)=(\S+)", body) for body in bodies]
    test.equal([dict(pairs).get("Signal") for pairs in signals], ["1", "5", "#"], "their signals")
    lengths = [int(dict(pairs).get("Duration", 0)) for pairs in signals]
    test.check(
        all(60 <= length <= 300 for length in lengths), f"how long they were held: {lengths}"
    )
    test.check("telephone-event" not in provider.dialog, "the provider was offered no events")
    test.equal(provider.digits_heard(), "", "events that reached the provider")
    test.equal(provider.gaps(), ([], 1), "gaps in the provider's stream, and its sources")
    for number, digit in enumerate("4*", 1):
        provider.info(digit, number)
        time.sleep(0.4)
    phone.wait(15)
    said = [json.loads(line) for line in phone.output().splitlines() if line.startswith("{")]
    heard = "".join(line["digit"] for line in said if line.get("event") == "dtmf")
    test.equal(heard, "4*", "digits that the client heard of the provider's INFOs")
    test.equal(
        sum(
            "SIP/2.0 200" in text and "INFO" in header(text, "CSeq") for text in provider.responses
        ),
        2,
        "answers to the provider's INFOs",
    )


def infos_of_a_phone_for_a_provider_of_events(test, gateway, provider):
    connector = test.connector(gateway)
    phone = Party(test.site.desk, test.site.desk_address, 0, events=False)
    asker = SipSocket(test.site.desk, test.site.desk_address)
    uri = f"sip:service@{EVENT_DOMAIN}"
    text = asker.request(
        "INVITE",
        uri,
        f"sip:desk@{support.DOMAIN}",
        body=phone.description(),
        via=f"SIP/2.0/UDP {phone.address}:{phone.port};branch=z9hG4bKdesk;rport",
        contact=f"<sip:desk@{phone.address}:{phone.port}>",
    )
    hop = (connector.sip_address, connector.sip_port)
    phone.sip.sendto(text.encode(), hop)
    answered = lambda: next((t for t in phone.responses if t.startswith("SIP/2.0 200")), None)
    if not test.soon(lambda: answered() is not None, 8, "the call is answered"):
        return
    ok = answered()
    target = re.search(r"<(sip:[^>]+)>", header(ok, "Contact"))[1]

    def within(method, cseq, body="", content=""):
        head = (
            f"{method} {target} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {phone.address}:{phone.port};branch=z9hG4bK{method}{cseq};rport\r\n"
            f"From: {header(ok, 'From')}\r\nTo: {header(ok, 'To')}\r\n"
            f"Call-ID: {header(ok, 'Call-ID')}\r\nCSeq: {cseq} {method}\r\nMax-Forwards: 70\r\n"
            f"{content}Content-Length: {len(body)}\r\n\r\n{body}"
        )
        phone.sip.sendto(head.encode(), hop)

    within("ACK", 1)
    test.check("telephone-event" not in ok, "the phone is answered without events")
    test.check("telephone-event" in provider.dialog, "the provider was offered events")
    time.sleep(0.5)
    for number, digit in enumerate("90", 2):
        within("INFO", number, digit, "Content-Type: application/dtmf\r\n")
    test.soon(lambda: provider.digits_heard() == "90", 5, "the provider heard 9 and 0 as events")
    time.sleep(0.5)
    test.equal(provider.gaps(), ([], 1), "gaps in the provider's stream, and its sources")
    test.equal(len(provider.infos()), 0, "INFOs that reached the provider")
    within("BYE", 9)
    test.soon(lambda: any(t.startswith("BYE ") for t in provider.requests), 5, "the call is over")
    phone.media_to = None


def run(test):
    address = test.site.provider_address
    infos = Party(test.site.provider, address, 5062, events=False)
    events = Party(test.site.provider, address, 5064, events=True)
    gateway = test.gateway(
        {
            "providers": [
                {
                    "name": "infos",
                    "target": f"sip:{address}:5062",
                    "domains": [support.DOMAIN],
                    "dtmf": "info",
                },
                {
                    "name": "events",
                    "target": f"sip:{address}:5064",
                    "domains": [EVENT_DOMAIN],
                    "dtmf": "rfc4733",
                },
            ]
        },
        users={"office": "office-password", "mobile": "mobile-password"},
    )
    before = support.Baseline(test, gateway)
    with support.scene("a client's events, a provider's INFOs"):
        events_of_the_client_for_a_provider_of_infos(test, gateway, infos)
        infos.media_to = None
    with support.scene("a phone's INFOs, a provider's events"):
        infos_of_a_phone_for_a_provider_of_events(test, gateway, events)
        events.media_to = None
    test.equal(int(gateway.metrics()["isthmus_digits_converted_total"]), 7, "digits converted")
    before.expect_clean()


if __name__ == "__main__":
    support.main(run, __doc__, isolated=True, needs=(support.PHONE,))
