#!/usr/bin/env python3
"""Every torture message of tests/conformance/torture, as it is, to running programs: by UDP to the
connector and to the gateway, by a link to the gateway. The table beside the messages says what is
answered; afterwards both still carry calls."""

import pathlib
import re
import socket
import threading

import support
from lab.link import SIP, Link, LinkClosed
from lab.sipp import SipSocket

DIRECTORY = pathlib.Path(__file__).resolve().parent.parent / "conformance" / "torture"
WAIT_S = 1.2


def table():
    """(name, verdict, outcome, message) of each case."""
    for line in (DIRECTORY / "table.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name, _, verdict, outcome, _ = (column.strip() for column in line.split("|"))
            yield name, verdict, outcome, (DIRECTORY / f"{name}.sip").read_bytes()


def call_id(data):
    found = re.search(rb"(?im)^(?:call-id|i)[ \t]*:[ \t]*([^\r\n]+)", data)
    return found.group(1).strip() if found else b""


class Answerer(threading.Thread):
    """The provider: answers every request with 200, and remembers which came."""

    def __init__(self, host, address, port):
        super().__init__(daemon=True)
        self.socket = host.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, port))
        self.seen = set()
        self.start()

    def run(self):
        while True:
            try:
                data, source = self.socket.recvfrom(65536)
            except OSError:
                return
            self.seen.add(call_id(data))
            if data.startswith(b"ACK ") or data.startswith(b"SIP/2.0"):
                continue
            head = re.sub(rb"\r\n[ \t]+", b" ", data.split(b"\r\n\r\n", 1)[0])
            kept = [
                line
                for line in head.split(b"\r\n")[1:]
                if re.match(rb"(?i)(via|v|from|f|to|t|call-id|i|cseq)[ \t]*:", line)
            ]
            self.socket.sendto(
                b"SIP/2.0 200 OK\r\n" + b"\r\n".join(kept) + b"\r\nContent-Length: 0\r\n\r\n",
                source,
            )


def answers_by_udp(host, address, target, message):
    """Final status lines that one message gets; sent from a port of its own."""
    here = SipSocket(host, address)
    # Answers go to where a Via without rport says (RFC 3261 §18.2.2): that must be here.
    via = f"SIP/2.0/UDP {here.address}:{here.port}".encode()
    marked = re.sub(
        rb"(?im)^((?:via|v)[ \t]*:[ \t]*)SIP/2\.0/UDP [^;,\r\n]+",
        lambda m: m.group(1) + via,
        message,
        count=1,
    )
    here.send(marked, *target)
    here.socket.settimeout(WAIT_S)
    lines = []
    try:
        while not lines:
            line = here.socket.recv(65536).split(b"\r\n", 1)[0].decode(errors="replace")
            if line.startswith("SIP/2.0 ") and line[8] != "1":
                lines.append(line)
    except socket.timeout:
        pass
    here.close()
    return lines


def by_udp(test, title, host, address, target, crossing_answer):
    """All of them to one listener. `crossing_answer`: statuses for what the table lets cross."""
    wrong = []
    lock = threading.Lock()

    def one(name, verdict, outcome, message):
        lines = answers_by_udp(host, address, target, message)
        if outcome == "silent":
            good = not lines
        elif not lines:
            # A Via that says TCP, or one that cannot be read, is answered where it points to.
            good = b"SIP/2.0/UDP" not in message.split(b"\r\n\r\n")[0] or verdict != "accept"
        elif verdict != "accept":
            good = lines[0] == "SIP/2.0 " + verdict.removeprefix("reject ")
        elif outcome == "crosses":
            good = lines[0][8:11] in crossing_answer
        else:
            good = lines[0][8:11] in (outcome, *crossing_answer)
        if not good:
            with lock:
                wrong.append(f"{name}: {lines or 'no answer'}, expected {verdict}, {outcome}")

    threads = [threading.Thread(target=one, args=case) for case in table()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    test.check(not wrong, f"{title}: {len(threads)} messages, {len(wrong)} judged otherwise")
    for line in wrong:
        print(f"        {line}")


def by_link(test, scene_link, provider):
    """All of them over one link, one after the other; what crosses is seen by the provider."""
    link = scene_link()
    wrong = []
    for name, verdict, outcome, message in table():
        link.send(bytes([SIP]) + message)
    link.socket.settimeout(WAIT_S)
    answers = {}
    try:
        while True:
            payload = link.receive(WAIT_S)
            if payload[0] == SIP and payload[9:10] != b"1":
                answers.setdefault(call_id(payload), payload[1:].split(b"\r\n", 1)[0].decode())
    except socket.timeout:
        pass
    except LinkClosed as closed:
        test.check(False, f"the link was closed: {closed}")
    for name, verdict, outcome, message in table():
        got = answers.get(call_id(message), "")
        if outcome == "silent":
            good = not got
        elif verdict != "accept":
            good = got == "SIP/2.0 " + verdict.removeprefix("reject ") or name == "insuf"
        elif outcome == "crosses":
            good = got.startswith("SIP/2.0 200") and call_id(message) in provider.seen
        else:
            good = got.startswith(f"SIP/2.0 {outcome}")
        if not good:
            wrong.append(f"{name}: {got or 'no answer'}, expected {verdict}, {outcome}")
    test.check(not wrong, f"by a link to the gateway: {len(wrong)} judged otherwise")
    for line in wrong:
        print(f"        {line}")
    link.close()


def run(test):
    site = test.site
    port = site.provider.port(5062)
    gateway = test.gateway(
        {"providers": [{"name": "trunk", "target": f"sip:{site.provider_address}:{port}"}]},
        users={"office": "office-password", "mobile": "mobile-password"},
    )
    connector = test.connector(gateway)
    provider = Answerer(site.provider, site.provider_address, port)

    def log_in():
        link = Link(site.mobile, gateway.host.address("mobile0"), gateway.websocket_port)
        test.equal(link.log_in(user="mobile", password="mobile-password")[0], "welcome", "link")
        return link

    by_link(test, log_in, provider)
    phones = (connector.sip_address, connector.sip_port)
    by_udp(test, "from a phone to the connector", site.desk, site.desk_address, phones, ("200",))
    trunk = (gateway.sip_address, gateway.sip_port)
    by_udp(
        test,
        "from the provider to the gateway",
        site.provider,
        site.provider_address,
        trunk,
        ("404", "405", "200", "480"),
    )
    for service in (gateway, connector):
        test.check(service.program.running(), f"{service.name} runs on")
    # Both still carry requests to the provider and back.
    phone = SipSocket(site.desk, site.desk_address)
    status, reason, _ = phone.ask(
        phone.request("OPTIONS", "sip:anybody@example.net", "sip:desk@example.net"), *phones
    )
    test.equal((status, reason), (200, "OK"), "a phone's OPTIONS through both")


if __name__ == "__main__":
    support.main(run, __doc__, isolated=True)
