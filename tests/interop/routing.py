#!/usr/bin/env python3
"""Routing, headers and defence of a real gateway: rules, fail-over and rewriting as providers see
them, and as `route explain` foretold; limits and what strangers get; a webhook that wakes a client."""

import hashlib
import hmac
import http.server
import json
import re
import socket
import ssl
import subprocess
import threading
import time

import support
from lab.link import SIP, Link
from lab.net import LabError
from lab.sipp import SipSocket

SECRET = "webhook-secret"
STRANGER = "203.0.113.66"
SDP = "v=0\r\no=- 1 1 IN IP4 192.0.0.8\r\ns=-\r\nc=IN IP4 192.0.0.8\r\nt=0 0\r\nm=audio 16 RTP/AVP 0\r\n"


def header(text, name):
    """The first value of a header; None if it is not there."""
    found = re.search(rf"^{name}[ \t]*:[ \t]*(.*?)\r?$", text, re.I | re.M)
    return found.group(1) if found else None


def answer(request, status, reason, extra=""):
    """A response to the text of a request."""
    head = request.split("\r\n\r\n", 1)[0].split("\r\n")[1:]
    kept = [
        line
        for line in head
        if line.split(":", 1)[0].strip().lower() in ("via", "from", "call-id", "cseq")
    ]
    to = header(request, "To")
    tag = "" if ";tag=" in to else ";tag=answer"
    return (
        f"SIP/2.0 {status} {reason}\r\n" + "\r\n".join(kept) + f"\r\nTo: {to}{tag}\r\n"
        f"{extra}Content-Length: 0\r\n\r\n"
    )


class Provider:
    """Answers every INVITE with one status; keeps what came."""

    def __init__(self, host, address, port, status, reason):
        self.socket = host.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, port))
        self.status, self.reason = status, reason
        self.invites = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                data, source = self.socket.recvfrom(65536)
            except OSError:
                return
            text = data.decode(errors="replace")
            if text.startswith("INVITE "):
                if not any(header(text, "Via") == header(old, "Via") for old in self.invites):
                    self.invites.append(text)
                self.socket.sendto(answer(text, self.status, self.reason).encode(), source)
            elif text.startswith("OPTIONS "):
                self.socket.sendto(answer(text, 200, "OK").encode(), source)


class Client:
    """A user on a link."""

    def __init__(self, test, gateway, user):
        self.user, self.domain = user, gateway.domain
        self.link = Link(
            test.site.mobile, test.site.gateway.address("mobile0"), gateway.websocket_port
        )
        verdict, _ = self.link.log_in(user=user, password=f"{user}-pw")
        if verdict != "welcome":
            raise LabError(f"{user} was not welcome")
        self.number = 0

    def request(self, method, uri, extra="", body=""):
        self.number += 1
        name = f"{self.user}-{self.number}-{time.monotonic_ns()}"
        content = "Content-Type: application/sdp\r\n" if body else ""
        return (
            f"{method} {uri} SIP/2.0\r\nVia: SIP/2.0/WSS {self.user}.invalid;branch=z9hG4bK{name}\r\n"
            f"From: <sip:{self.user}@{self.domain}>;tag=t{name}\r\nTo: <{uri}>\r\nCall-ID: {name}\r\n"
            f"CSeq: 1 {method}\r\nMax-Forwards: 70\r\nContact: <sip:{self.user}@{self.user}.invalid>\r\n"
            f"{extra}{content}Content-Length: {len(body)}\r\n\r\n{body}"
        )

    def send(self, text):
        self.link.send(bytes([SIP]) + text.encode())

    def receive(self, wanted, seconds=10):
        """The next SIP message of which wanted(text) is true."""
        end = time.monotonic() + seconds
        while True:
            message = self.link.receive(max(0.1, end - time.monotonic()))
            text = message[1:].decode(errors="replace")
            if message[0] == SIP and wanted(text):
                return text

    def final(self, text, seconds=10):
        """Sends a request; its final response: (status, reason, whole text)."""
        call_id = header(text, "Call-ID")
        self.send(text)
        response = self.receive(
            lambda t: re.match(r"SIP/2.0 [2-6]", t) and header(t, "Call-ID") == call_id, seconds
        )
        if text.startswith("INVITE "):
            ack = text.replace("INVITE ", "ACK ", 1).replace("1 INVITE", "1 ACK")
            ack = ack.split("\r\n\r\n")[0]
            ack = re.sub(r"To: .*", f"To: {header(response, 'To')}", ack)
            ack = re.sub(r"Content-(Type|Length): .*\r?\n?", "", ack).rstrip()
            self.send(ack + "\r\nContent-Length: 0\r\n\r\n")
        line = response.split("\r\n", 1)[0].split(" ", 2)
        return int(line[1]), line[2], response

    def register(self):
        uri = f"sip:{self.domain}"
        text = self.request("REGISTER", uri, "Expires: 600\r\n")
        return self.final(text.replace(f"To: <{uri}>", f"To: <sip:{self.user}@{self.domain}>"))[0]


def make_certificate(directory):
    """A certificate of 127.0.0.1 that is its own authority; its file and that of its key."""
    certificate, key = directory / "hook.pem", directory / "hook.key"
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
        ]
        + ["-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=hook"]
        + ["-addext", "subjectAltName=IP:127.0.0.1"],
        check=True,
        capture_output=True,
    )
    return certificate, key


class Webhook:
    """An HTTPS server that fails once, then keeps what it is told and does what it was made for."""

    def __init__(self, host, port, certificate, wake):
        self.posts = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):  # pylint: disable=invalid-name
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.posts.append((self.path, dict(self.headers), body))
                first = len(outer.posts) == 1
                self.send_response(500 if first else 204)
                self.end_headers()
                if first:
                    return
                threading.Thread(target=wake, args=(json.loads(body),), daemon=True).start()

            def log_message(self, *_):
                pass

        self.server = http.server.HTTPServer(("127.0.0.1", port), Handler, False)
        self.server.socket.close()
        self.server.socket = host.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.server.server_bind()
        self.server.server_activate()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def configuration(test, certificate):
    address = test.site.provider_address
    aors = lambda name: {  # noqa: E731
        "name": name,
        "password_hash": test.build.hash_password(f"{name}-pw"),
        "aors": [name],
    }
    return {
        "users": [
            aors("alice"),
            aors("bob"),
            {**aors("busy"), "limits": {"call_attempts_per_s": 1}},
        ],
        "providers": [
            {
                "name": "trunk",
                "target": f"sip:{address}:5062",
                "domains": ["trunk.example"],
                "headers": {
                    "assert_identity": True,
                    "diversion": "strip",
                    "to_provider": {"set": ["X-Account: 4711"], "remove": ["X-Internal"]},
                },
            },
            {
                "name": "backup",
                "target": f"sip:{address}:5063",
                "domains": ["backup.example"],
                "headers": {"redirections": "history_info"},
            },
        ],
        "routes": [
            {
                "name": "premium",
                "match": {"number": "_0900."},
                "reject": {"status": 403, "reason": "Premium numbers are barred"},
            },
            {
                "name": "germany",
                "match": {"number": ["_0Z.", "/\\+49.*/"], "user": "alice"},
                "rewrite": {"strip": 1, "prefix": "+49", "domain": "provider"},
                "caller": {"user": "+4930999", "domain": "provider"},
                "to": ["trunk", "backup"],
                "failover_on": 503,
            },
        ],
        "numbers": [{"number": "_+4930999", "users": ["bob"]}],
        "push": {
            "wait_s": 15,
            "url": "https://127.0.0.1:9099/wake?x=1",
            "secret": SECRET,
            "ca_file": str(certificate),
        },
        "limits": {"stranger_answers": 3},
    }


def explained(test, gateway, uri, *more):
    """What the program says without running, and what the running one says."""
    done = subprocess.run(
        [test.build.gateway, "route", "explain", "-c", gateway.configuration, "--json", uri, *more],
        capture_output=True,
        text=True,
        check=False,
    )
    offline = json.loads(done.stdout)
    online = gateway.get(f"/api/v1/route?uri={uri}&source=link:alice")
    return done.returncode, offline, online


def rules(test, gateway, alice, trunk, backup):
    with support.scene("rules, rewriting and fail-over, as foretold"):
        status, reason, _ = alice.final(
            alice.request("INVITE", f"sip:0900123@{gateway.domain}", body=SDP)
        )
        test.equal((status, reason), (403, "Premium numbers are barred"), "a barred number")
        code, offline, _ = explained(test, gateway, f"sip:0900123@{gateway.domain}")
        test.equal(
            (code, offline["status"], offline["decided_by"]),
            (1, 403, "routes[0] premium"),
            "explained",
        )

        uri = f"sips:030123@{gateway.domain}"
        code, offline, online = explained(test, gateway, uri, "--source", "link:alice")
        status, _, response = alice.final(alice.request("INVITE", uri, body=SDP))
        test.equal(
            (status, header(response, "Warning")[:4], code, offline["status"], online["status"]),
            (480, "380 ", 1, 480, 480),
            "a SIPS URI whose providers have no TLS",
        )

        uri = f"sip:030123@{gateway.domain}"
        code, offline, online = explained(test, gateway, uri, "--source", "link:alice")
        extra = "P-Asserted-Identity: <sip:king@x>\r\nX-Internal: 1\r\nDiversion: <sip:1@x>\r\n"
        status, reason, response = alice.final(alice.request("INVITE", uri, extra, SDP))
        test.equal(status, 486, "the second provider answers after the first one's 503")
        test.equal((len(trunk.invites), len(backup.invites)), (1, 1), "INVITEs at both providers")
        for name, seen in (("offline", offline), ("running", online)):
            first = seen["targets"][0]
            places = [first] + first.get("then", [])
            test.equal(
                [(p["provider"], p["request_uri"]) for p in places],
                [
                    ("trunk", trunk.invites[0].split()[1]),
                    ("backup", backup.invites[0].split()[1]),
                ],
                f"providers and Request-URIs are those foretold ({name})",
            )
            test.check(
                all(
                    line.split(": ", 1)[1] == header(trunk.invites[0], line.split(": ", 1)[0])
                    or line.startswith("From:")
                    for line in first["headers_added"]
                ),
                f"and so are the headers ({name}): {first['headers_added']}",
            )
        test.equal(code, 0, "exit code of what is routed")
        invite = trunk.invites[0]
        test.equal(invite.split()[1], "sip:+4930123@trunk.example", "rewritten number and domain")
        test.check(
            header(invite, "From").startswith("<sip:+4930999@trunk.example>;tag="),
            f"rewritten caller: {header(invite, 'From')}",
        )
        test.check(
            header(response, "From").startswith(f"<sip:alice@{gateway.domain}>"),
            "the caller's own From in the answer",
        )
        for name, value in (
            ("P-Asserted-Identity", f"<sip:alice@{gateway.domain}>"),
            ("X-Account", "4711"),
            ("X-Internal", None),
            ("Diversion", None),
        ):
            test.equal(header(invite, name), value, f"{name} at the trunk")
        test.equal(
            (header(backup.invites[0], "History-Info"), header(backup.invites[0], "Diversion")),
            ("<sip:1@x>;index=1", None),
            "Diversion as History-Info at the other provider",
        )
        test.equal(
            (
                header(backup.invites[0], "P-Asserted-Identity"),
                header(backup.invites[0], "X-Internal"),
            ),
            (None, "1"),
            "at the other provider its own policy holds",
        )


def limits(test, gateway, busy):
    with support.scene("limits"):
        answers = []
        for _ in range(7):
            status, reason, text = busy.final(
                busy.request("INVITE", f"sip:nobody@{gateway.domain}", body=SDP)
            )
            answers.append((status, reason, header(text, "Retry-After")))
        test.equal([a[0] for a in answers[:5]], [404] * 5, "five attempts at once are let through")
        test.equal(
            answers[6],
            (503, "Too many call attempts a second of this user", "1"),
            "then the limit is named",
        )
        name = 'isthmus_admission_refused_total{limit="account_call_attempts"}'
        test.check(gateway.metrics()[name] >= 1, "and counted")


def strangers(test, gateway):
    with support.scene("strangers"):
        test.site.provider.run("ip", "address", "add", f"{STRANGER}/24", "dev", "eth0")
        scanner = SipSocket(test.site.provider, STRANGER, 5099)
        answers = []
        for _ in range(8):
            text = scanner.request("OPTIONS", f"sip:100@{gateway.sip_address}", f"sip:x@{STRANGER}")
            try:
                status, reason, whole = scanner.ask(
                    text, gateway.sip_address, gateway.sip_port, seconds=0.5
                )
                answers.append(status)
                told = header(whole, "Server"), header(whole, "Allow"), header(whole, "User-Agent")
                test.equal(told, (None,) * 3, f"answer {status} {reason} tells nothing")
            except LabError:
                answers.append(None)
        test.equal(answers, [403] * 3 + [None] * 5, "a few answers, then silence")
        metrics = gateway.metrics()
        test.equal(
            (
                metrics["isthmus_strangers_answered_total"],
                metrics["isthmus_strangers_silenced_total"],
            ),
            (3, 5),
            "counted",
        )
        scanner.close()
        for _ in range(2):
            knock = test.site.provider.socket(socket.AF_INET, socket.SOCK_STREAM)
            knock.settimeout(3)
            knock.bind((STRANGER, 0))
            knock.connect((gateway.sip_address, gateway.sip_port))
            try:
                got = knock.recv(100)
            except ConnectionResetError:
                got = b""
            test.equal(got, b"", "a connection is closed without a byte")
            knock.close()
        metrics = gateway.metrics()
        test.equal(metrics["isthmus_strangers_answered_total"], 3, "no answers beyond those")
        test.equal(metrics["isthmus_strangers_silenced_total"], 7, "connections are counted")
        test.equal(metrics["isthmus_sip_connections_accepted_total"], 0, "and not taken")
        lines = [line for line in gateway.program.output().splitlines() if "sip_stranger" in line]
        test.equal(len(lines), 1, "one log line for all of them")


def push(test, gateway, certificate):
    with support.scene("a client that is woken"):
        woken = {}

        def wake(what):
            bob = Client(test, gateway, what["user"])
            woken["registered"] = bob.register()
            woken["invite"] = bob.receive(lambda text: text.startswith("INVITE "))
            bob.send(answer(woken["invite"], 486, "Busy Here"))
            woken["client"] = bob

        hook = Webhook(test.site.gateway, 9099, certificate, wake)
        caller = SipSocket(test.site.provider, test.site.provider_address, 5062 + 8)
        text = caller.request(
            "INVITE",
            f"sip:+4930999@{gateway.sip_address}:{gateway.sip_port}",
            "sip:+49301@trunk.example",
            body=SDP.replace("192.0.0.8", test.site.provider_address).replace("16", "40000"),
        )
        started = time.monotonic()
        status, _, _ = caller.ask(text, gateway.sip_address, gateway.sip_port, seconds=12)
        test.equal(status, 486, "the answer of the client that was not there when the call came")
        print(f"      after {time.monotonic() - started:.2f} s")
        test.equal(len(hook.posts), 2, "POSTs at the webhook, of which the first got 500")
        path, headers, body = hook.posts[1]
        test.equal(body, hook.posts[0][2], "both say the same")
        told = json.loads(body)
        test.equal(
            (path, told["event"], told["user"], told["method"], told["from"], told["domain"]),
            ("/wake?x=1", "wake", "bob", "INVITE", "sip:+49301@trunk.example", gateway.domain),
            "what it was told",
        )
        test.equal(
            headers.get("X-Isthmus-Signature"),
            "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest(),
            "signed",
        )
        test.equal(
            gateway.metrics()['isthmus_push_total{result="delivered"}'], 1, "counted as delivered"
        )
        hook.close()
        woken["client"].link.close()
        caller.close()


def run(test):
    site = test.site
    trunk = Provider(site.provider, site.provider_address, 5062, 503, "Service Unavailable")
    backup = Provider(site.provider, site.provider_address, 5063, 486, "Busy Here")
    certificate = make_certificate(test.directory)
    gateway = test.gateway(configuration(test, certificate[0]))
    alice, busy = Client(test, gateway, "alice"), Client(test, gateway, "busy")
    rules(test, gateway, alice, trunk, backup)
    limits(test, gateway, busy)
    strangers(test, gateway)
    push(test, gateway, certificate)
    for client in (alice, busy):
        client.link.close()


if __name__ == "__main__":
    support.main(run, __doc__, isolated=True, needs=("openssl",))
