#!/usr/bin/env python3
"""SIP over UDP, TCP, TLS and IPv6 through connector and gateway: SIPp on one connection and on a
connection for each call, a phone that sends a byte at a time, certificates right and wrong,
requests too large for UDP, a provider that only IPv6 leads to."""

import shutil
import signal
import time

import support
from lab.sip_stream import AnsweringPeer, Authority, StreamSocket, header
from lab.sipp import Sipp

CALLS, RATE = 20, 10
SDP = (
    "v=0\r\no=- 1 1 IN IP4 192.168.50.10\r\ns=-\r\nc=IN IP4 192.168.50.10\r\nt=0 0\r\n"
    "m=audio 40000 RTP/AVP 0\r\n"
)


class Phone:
    """A phone by hand on a stream to the connector."""

    def __init__(self, stream, transport):
        self.stream, self.transport, self.number = stream, transport, 0

    def request(self, method, uri, extra="", body="", to_tag="", call=None, cseq=1):
        self.number += call is None
        number = call or f"{id(self)}x{self.number}"
        address, port = self.stream.local()
        kind = "Content-Type: application/sdp\r\n" if body else ""
        return (
            f"{method} {uri} SIP/2.0\r\n"
            f"Via: SIP/2.0/{self.transport} {address}:{port};branch=z9hG4bK{number}{method}{cseq}\r\n"
            f"From: <sip:phone@gateway.example.net>;tag=t{number}\r\nTo: <{uri}>{to_tag}\r\n"
            f"Call-ID: {number}\r\nCSeq: {cseq} {method}\r\nMax-Forwards: 70\r\n"
            f"Contact: <sip:phone@{address}:{port};transport={self.transport.lower()}>\r\n"
            f"{extra}{kind}Content-Length: {len(body)}\r\n\r\n{body}"
        )

    def call(self, uri, extra="", send=None):
        """A whole call; the status of the INVITE."""
        (send or self.stream.send)(self.request("INVITE", uri, extra, SDP))
        status, answer = self.stream.final()
        number = header(answer, "Call-ID")
        if status != 200:
            return status  # over a stream the ACK of a failure is nobody's to wait for
        target = header(answer, "Contact").strip("<>")
        tag = ";tag=" + header(answer, "To").split(";tag=")[1]
        self.stream.send(self.request("ACK", target, to_tag=tag, call=number))
        self.stream.send(self.request("BYE", target, to_tag=tag, call=number, cseq=2))
        bye, _ = self.stream.final()
        return status if bye == 200 else bye

    def byte_by_byte(self, text):
        for character in text:
            self.stream.send(character)
            time.sleep(0.001)


def sipp_calls(test, title, host, address, target, user, transport, port):
    caller = Sipp(
        test.programs, host, "uac-" + title.replace(" ", "-"), "uac", address, port,
        "-s", user, "-r", RATE, "-m", CALLS, "-d", 300, "-t", transport, "-max_socket", 500,
        "-timeout", "30s", "-timeout_error", target=target,
    )  # fmt: skip
    code = caller.program.wait(40)
    results = caller.results()
    test.equal(
        (code, results["successful"], results["failed"]),
        (0, CALLS, 0),
        f"{title}: exit code of SIPp, successful and failed calls",
    )


def provider(name, target, **more):
    return {"name": name, "target": target, "domains": [f"{name}.example.net"], **more}


def sips(test, phone, provider):
    """SIPS URIs leave by TLS, with Contacts that say so, or not at all (RFC 5630)."""
    test.equal(phone.call("sips:a@secure.example.net"), 200, "a call to a SIPS URI by TLS")
    _, invite = provider.of_method("INVITE")[-1]
    test.check(
        invite.startswith("INVITE sips:") and header(invite, "Contact").startswith("<sips:"),
        "its Request-URI and Contact at the provider are SIPS",
    )
    phone.stream.send(phone.request("INVITE", "sips:a@tcp.example.net", body=SDP))
    status, refusal = phone.stream.final()
    test.equal(
        (status, header(refusal, "Warning")[:3]),
        (480, "380"),
        "to a provider without TLS: status and warning",
    )


def run(test):
    site = test.site
    _, _, ipv6_gateway, ipv6_provider = site.add_ipv6()
    authority = Authority(test.directory)
    good = authority.issue("provider", "DNS:secure.example.net")
    phone_side = authority.issue("connector", f"IP:{site.office_address}")
    at = site.provider_address
    trust = {"ca_file": str(authority.ca_file), "name": "secure.example.net"}
    gateway = test.gateway(
        {
            "sip": {
                "udp": {"address": site.gateway_address},
                "listeners": [
                    {"transport": "udp", "address": ipv6_gateway},
                    {"transport": "tcp", "address": ipv6_gateway},
                ],
            },
            "providers": [
                provider("tcp", f"sip:{at}:5062;transport=tcp"),
                provider("secure", f"sips:{at}:5071", tls=trust),
                provider("impostor", f"sips:{at}:5074", tls={**trust, "name": "other.example.net"}),
                provider("large", f"sip:{at}:5072"),
                provider("old", f"sip:{at}:5073"),
                provider("six", f"sip:[{ipv6_provider}]:5062;transport=udp"),
            ],
            "routes": [
                {"match": {"domain": "gateway.example.net", "user_prefix": "tcp"}, "to": "tcp"},
                {"match": {"domain": "gateway.example.net", "user_prefix": "six"}, "to": "six"},
            ],
        }
    )
    connector = test.connector(
        gateway,
        {
            "sip": {
                "udp": {"address": site.office_address},
                "tls": {"certificate": phone_side[0], "private_key": phone_side[1]},
            }
        },
    )
    to_connector = f"{connector.sip_address}:{connector.sip_port}"
    before = support.Baseline(test, gateway, connector)

    with support.scene("SIPp over TCP, a phone calls the provider"):
        Sipp(test.programs, site.provider, "uas-tcp", "uas", at, 5062, "-t", "t1")
        site.provider.wait_listening("tcp", 5062)
        sipp_calls(test, "one connection", site.desk, site.desk_address, to_connector,
                   "tcp1", "t1", 5061)  # fmt: skip
        sipp_calls(test, "a connection for each call", site.desk, site.desk_address, to_connector,
                   "tcp1", "tn", 5064)  # fmt: skip
        opened = gateway.metrics()["isthmus_sip_connections_opened_total"]
        test.equal(int(opened), 1, "connections from the gateway to the provider")

    with support.scene("SIPp over TCP, the provider calls a phone"):
        stream = StreamSocket.connect(site.desk, connector.sip_address, connector.sip_port)
        phone = Phone(stream, "TCP")
        line = f"sip:line1@{gateway.domain}"
        stream.send(
            phone.request("REGISTER", f"sip:{gateway.domain}", "Expires: 600\r\n")
            .replace("sip:phone@gateway.example.net", line)
            .replace(f"To: <sip:{gateway.domain}>", f"To: <{line}>")
            .replace(f"Contact: <sip:phone@{stream.local()[0]}:{stream.local()[1]}",
                     f"Contact: <sip:line1@{site.desk_address}:5070")
        )  # fmt: skip
        test.equal(stream.final()[0], 200, "registration over TCP")
        stream.close()
        Sipp(test.programs, site.desk, "uas-line", "uas", site.desk_address, 5070, "-t", "t1")
        site.desk.wait_listening("tcp", 5070)
        sipp_calls(test, "provider to phone", site.provider, at,
                   f"{gateway.sip_address}:{gateway.sip_port}", "line1", "tn", 5066)  # fmt: skip

    with support.scene("TLS, and a phone that sends a byte at a time"):
        secure = AnsweringPeer(site.provider, at, 5071, ["tls"], authority.server_context(*good))
        stream = StreamSocket.connect(site.desk, connector.sip_address, connector.sip_port)
        phone = Phone(stream, "TCP")
        test.equal(
            phone.call("sip:a@secure.example.net", send=phone.byte_by_byte),
            200,
            "a call from TCP byte by byte to TLS",
        )
        via = header(secure.of_method("INVITE")[0][1], "Via")
        test.check(via.startswith("SIP/2.0/TLS "), f"Via of the INVITE: {via}")
        contact = header(secure.of_method("INVITE")[0][1], "Contact")
        test.check("transport=tls" in contact, f"Contact of the INVITE: {contact}")
        AnsweringPeer(site.provider, at, 5074, ["tls"], authority.server_context(*good))
        started = time.monotonic()
        status = phone.call("sip:a@impostor.example.net")
        test.check(
            status >= 500 and time.monotonic() - started < 5,
            f"a provider whose certificate is another's gets no call: {status}",
        )
        test.check(
            "not for other.example.net" in gateway.program.log.read_text(),
            "the log says whose certificate it is",
        )
        stream.close()
        stream = StreamSocket.connect(
            site.desk, connector.sip_address, 5061, authority.client_context()
        )
        test.equal(
            Phone(stream, "TLS").call("sip:a@secure.example.net"), 200, "a phone that speaks TLS"
        )
        sips(test, Phone(stream, "TLS"), secure)
        stream.send("\r\n\r\n")
        test.equal(stream.socket.recv(10), b"\r\n", "its ping is answered")
        stream.send("OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/TLS h;branch=z9hG4bK1\r\n\r\n")
        test.equal(stream.final()[0], 400, "a message without Content-Length")
        test.check(stream.message() is None, "ends the connection")
        stream.close()

    with support.scene("the connector's certificate is renewed"):
        earlier = StreamSocket.connect(
            site.desk, connector.sip_address, 5061, authority.client_context()
        )
        renewed = authority.issue("renewed", f"IP:{site.office_address}")
        for new, old in zip(renewed, phone_side):
            shutil.copyfile(new, old)
        connector.program.process.send_signal(signal.SIGHUP)
        connector.program.wait_output("certificate_reloaded", 5)
        later = StreamSocket.connect(
            site.desk, connector.sip_address, 5061, authority.client_context()
        )
        names = [
            dict(part[0] for part in one.socket.getpeercert()["subject"])["commonName"]
            for one in (earlier, later)
        ]
        test.equal(names, ["connector", "renewed"], "who the connector is, before and after SIGHUP")
        for one in (earlier, later):
            test.equal(
                Phone(one, "TLS").call("sip:a@secure.example.net"), 200, "a call by that connection"
            )
            one.close()

    with support.scene("requests too large for UDP"):
        large = AnsweringPeer(site.provider, at, 5072, ["udp", "tcp"])
        old = AnsweringPeer(site.provider, at, 5073, ["udp"])
        stream = StreamSocket.connect(site.desk, connector.sip_address, connector.sip_port)
        phone = Phone(stream, "TCP")
        filler = f"X-Filler: {'x' * 1400}\r\n"
        test.equal(phone.call("sip:a@large.example.net", filler), 200, "a large INVITE")
        test.equal([by for by, _ in large.of_method("INVITE")], ["tcp"], "goes by TCP")
        test.equal(phone.call("sip:a@large.example.net"), 200, "an ordinary one")
        test.equal(large.of_method("INVITE")[-1][0], "udp", "goes by UDP")
        test.equal(phone.call("sip:a@old.example.net", filler), 200, "where TCP is refused")
        test.equal({by for by, _ in old.of_method("INVITE")}, {"udp"}, "it goes by UDP after all")
        stream.close()

    with support.scene("a provider on IPv6, phones on IPv4"):
        six = Sipp(test.programs, site.provider, "uas-six", "uas", ipv6_provider, 5062)
        site.provider.wait_listening("udp6", 5062)
        sipp_calls(test, "to IPv6", site.desk, site.desk_address, to_connector,
                   "six1", "u1", 5068)  # fmt: skip
        test.soon(lambda: six.results()["successful"] == CALLS, 5, f"{CALLS} calls that it counts")

    before.expect_same()


if __name__ == "__main__":
    support.main(run, __doc__, isolated=True, needs=("sipp", "openssl"))
