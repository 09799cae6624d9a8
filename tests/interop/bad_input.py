#!/usr/bin/env python3
"""Bad input, end to end with real processes: each case shows its clear error, and two calls that
were up before the first case (one through the connector, one by isthmus-phone) still talk after
the last."""

import base64
import concurrent.futures
import json
import os
import socket
import subprocess
import time

import support
from lab import audio
from lab.baresip import Baresip
from lab.link import Link, LinkClosed
from lab.sipp import SipSocket

SILENCE_LIMIT_S = 5.0
SDP = (
    "v=0\r\no=- 1 1 IN IP4 192.168.50.10\r\ns=-\r\nc=IN IP4 192.168.50.10\r\nt=0 0\r\n"
    "m=audio 40000 RTP/AVP 0\r\n"
)


class Scene:
    """A gateway with a provider and a connector, and two calls that nothing else may harm."""

    def __init__(self, test):
        self.test, self.site = test, test.site
        secret = test.directory / "token-secret"
        secret.write_text(base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("=") + "\n")
        self.secret = secret
        self.kamailio = test.kamailio({name: f"{name}-pw" for name in ("desk", "reception")})
        self.registrar = f"{self.kamailio.address}:{self.kamailio.port}"
        self.gateway = test.gateway(
            {
                "tokens": {"hmac_secrets": [f"file:{secret}"], "leeway_s": 0},
                "providers": [
                    {
                        "name": "kamailio",
                        "target": f"sip:{self.registrar}",
                        "domains": [support.DOMAIN],
                    },
                    {
                        "name": "dead",
                        "target": f"sip:{self.site.provider_address}:5998",
                        "domains": ["dead.example.net"],
                    },
                ],
            },
            {"office": "office-password", "mobile": "mobile-password"},
        )
        self.connector = test.connector(self.gateway)
        audio.speak(test.directory / "long.wav", "This call goes on.", total_s=180)
        self.desk = self.phone(
            "desk",
            self.site.desk,
            "lan0",
            f"{self.connector.sip_address}:{self.connector.sip_port}",
            5060,
        )
        self.reception = self.phone("reception", self.site.provider, "eth0", self.registrar, 5080)
        self.desk.wait_registered()
        self.reception.wait_registered()

    def phone(self, name, host, interface, proxy, port):
        return Baresip(
            self.test.programs,
            host,
            name,
            interface,
            name,
            support.DOMAIN,
            f"{name}-pw",
            proxy,
            self.test.directory / "long.wav",
            sip_port=port,
            control_port=port + 100,
        )

    def phone_argv(
        self, *words, user="mobile", password="mobile-password", token=None, gateway=None
    ):
        gateway = gateway or self.gateway
        credentials = ["--token", token] if token else ["--user", user, "--password", password]
        return [
            self.test.build.phone,
            *words,
            "--gateway",
            self.site.url(gateway, self.site.mobile),
            "--pin",
            gateway.pin,
            *credentials,
            "--no-audio",
            "--json",
        ]

    def phone_run(self, *words, seconds=20, **who):
        """Runs isthmus-phone to its end: (exit code, all it said)."""
        argv = self.site.mobile.command(*[str(w) for w in self.phone_argv(*words, **who)])
        done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds, check=False)
        return done.returncode, done.stdout + done.stderr

    def start_long_calls(self):
        self.desk.dial(f"sip:reception@{support.DOMAIN}")
        self.long_phone = self.test.programs.start(
            self.site.mobile, "long-call", self.phone_argv("call", "echo", "--duration", "170")
        )
        self.long_phone.wait_output('"state":"connected","status"', 10)

    def packets_received(self):
        """By call: packets that the gateway received on it, both sides together."""
        return {
            call["call_id"]: sum(call[leg]["packets_received"] for leg in ("caller", "callee"))
            for call in self.gateway.calls()
            if call["state"] == "answered"
        }

    def check_long_calls(self):
        before = self.packets_received()
        time.sleep(1.0)
        after = self.packets_received()
        rates = sorted(after[name] - before[name] for name in before if name in after)
        # 50 packets a second: one way for the echo, both ways for the other call.
        self.test.check(
            len(rates) == 2 and rates[0] >= 40 and rates[1] >= 80,
            f"the two calls that were up go on: packets in the last second {rates}",
        )

    def link(self, **options):
        address = self.site.gateway.address("mobile0")
        return Link(self.site.mobile, address, self.gateway.websocket_port, **options)


def credentials(scene):
    test = scene.test
    for title, who in (
        ("wrong password", {"password": "wrong"}),
        ("unknown user", {"user": "nobody"}),
    ):
        code, said = scene.phone_run("call", "echo", **who)
        test.check(code == 3, f"{title}: isthmus-phone exits with 3 (refused): {code}")
        test.check(
            "user name or password is wrong" in said, f"{title}: it says why: {last_line(said)}"
        )
    token = test.build.mint_token("mobile", scene.secret, 60)
    code, said = scene.phone_run("call", "echo", "--duration", "0.2", token=token)
    test.check(code == 0, f"a fresh token is taken: exit code {code}")
    token = test.build.mint_token("mobile", scene.secret, 1)
    time.sleep(2.1)
    code, said = scene.phone_run("call", "echo", token=token)
    test.check(
        code == 3 and "expired" in said, f"expired token: exit code {code}, {last_line(said)}"
    )
    connector = scene.test.connector(
        scene.gateway, password="wrong", wait=False, name="connector2", port_offset=20
    )
    line = connector.program.wait_output("unauthorized", 10)
    test.check(
        not connector.status()["link_up"], f"a connector with a wrong password: {line[25:140]}"
    )
    connector.program.stop()


def callees(scene):
    test = scene.test
    code, said = scene.phone_run("call", "nobody")
    test.check(code == 4 and "404" in said, f"unknown callee: exit code {code}, {last_line(said)}")


def provider_down(scene):
    """Runs beside other cases: without an ICMP answer it takes timer B, 32 s."""
    return scene.phone_run("call", "sip:anyone@dead.example.net", "--timeout", "45", seconds=60)


def ports_exhausted(scene):
    """A gateway with two port pairs: the third call is refused with a reason, the others go on."""
    test = scene.test
    small = test.gateway(
        {
            "media": {"address": scene.site.gateway_address, "ports": "21000-21003"},
            "providers": [
                {
                    "name": "kamailio",
                    "target": f"sip:{scene.registrar}",
                    "domains": [support.DOMAIN],
                }
            ],
        },
        {"mobile": "mobile-password"},
        name="small-gateway",
        port_offset=30,
    )
    identity = [
        "--aor",
        f"sip:desk@{support.DOMAIN}",
        "--sip-user",
        "desk",
        "--sip-password",
        "desk-pw",
    ]
    calls = []
    for index in (1, 2):
        program = test.programs.start(
            scene.site.mobile,
            f"port-call-{index}",
            scene.phone_argv(
                "call",
                f"sip:reception@{support.DOMAIN}",
                "--duration",
                "5",
                *identity,
                gateway=small,
            ),
        )
        program.wait_output('"state":"connected","status"', 10)
        calls.append(program)
    test.equal(small.status()["media_port_pairs_free"], 0, "port pairs free with two calls up")
    code, said = scene.phone_run(
        "call", f"sip:reception@{support.DOMAIN}", *identity, gateway=small
    )
    test.check(
        code == 4 and "port" in said.lower(),
        f"port range exhausted: exit code {code}, {last_line(said)}",
    )
    test.equal(
        [program.wait(15) for program in calls], [0, 0], "exit codes of the two calls before"
    )
    test.soon(lambda: small.status()["media_port_pairs_free"] == 2, 5, "both pairs are free again")
    code, said = scene.phone_run(
        "call", f"sip:reception@{support.DOMAIN}", "--duration", "0.5", *identity, gateway=small
    )
    test.check(code == 0, f"and a new call works: exit code {code}")
    small.program.stop()


def configuration(scene):
    """Three mistakes: all three named, none started."""
    test = scene.test
    for binary, text, words in (
        (
            test.build.gateway,
            "listen: {websocket: {prot: 8443}}\nmedia: {ports: 9-1}\n" "users: [{name: alice}]\n",
            ("listen.websocket.prot", "media.ports", "password_hash"),
        ),
        (
            test.build.connector,
            "gateway: {url: 'http://x', user: a}\nmedia: {source: anywhere}\n",
            ("gateway.url", "gateway.", "media.source"),
        ),
    ):
        path = test.directory / "mistakes.yaml"
        path.write_text(text)
        done = subprocess.run(
            [binary, "--config", path], capture_output=True, text=True, timeout=10, check=False
        )
        lines = [line for line in done.stderr.splitlines() if "mistakes.yaml:" in line]
        found = all(any(word in line for line in lines) for word in words)
        test.check(
            done.returncode == 1 and found and len(lines) >= 3,
            f"{binary.name}: three mistakes: exit code {done.returncode}, {len(lines)} lines",
        )
        for line in lines:
            print(f"        {line}")


def silent_client(scene):
    """Connects and says nothing, at each stage: ended within about 5 s."""
    test = scene.test
    address = scene.site.gateway.address("mobile0")

    def after_tcp():
        connection = scene.site.mobile.connect(address, scene.gateway.websocket_port, 15)
        started = time.monotonic()
        try:
            while connection.recv(4096):
                pass
        except ConnectionError:
            pass
        return time.monotonic() - started, "closed"

    def after(upgrade):
        link = scene.link(upgrade=upgrade)
        started = time.monotonic()
        reasons, status = link.wait_closed()
        return time.monotonic() - started, f"{reasons}, WebSocket status {status}"

    with concurrent.futures.ThreadPoolExecutor() as pool:
        stages = {
            "after TCP": pool.submit(after_tcp),
            "after TLS": pool.submit(after, False),
            "after the WebSocket upgrade": pool.submit(after, True),
        }
        for stage, future in stages.items():
            try:
                seconds, how = future.result()
                test.check(
                    seconds < SILENCE_LIMIT_S + 1.5,
                    f"silent {stage}: ended after {seconds:.1f} s: {how}",
                )
            except socket.timeout:
                test.check(False, f"silent {stage}: still open after 15 s")


def ten_megabytes(scene):
    """10 MB before Hello and after Welcome: ended, and not taken into memory."""
    test = scene.test
    payload = b"\x01" + b"x" * 10_000_000
    for title, log_in in (("before Hello", False), ("after Welcome", True)):
        link = scene.link()
        if log_in:
            test.equal(
                link.log_in(user="mobile", password="mobile-password")[0],
                "welcome",
                f"10 MB {title}: log-in",
            )
        try:
            link.send(payload)
        except (ConnectionError, OSError):
            pass  # it need not read all of it
        try:
            reasons, status = link.wait_closed()
            test.check(True, f"10 MB {title}: ended, {reasons}, WebSocket status {status}")
        except socket.timeout:
            test.check(False, f"10 MB {title}: still open after 15 s")
        link.close()
    # Outside of TLS: noise on the port.
    noise = scene.site.mobile.connect(
        scene.site.gateway.address("mobile0"), scene.gateway.websocket_port, 10
    )
    try:
        noise.sendall(os.urandom(10_000_000))
        while noise.recv(65536):
            pass
        ended = True
    except socket.timeout:
        ended = False
    except OSError:
        ended = True
    test.check(ended, "10 MB of noise in place of TLS: ended")
    resident = memory_mb(scene.gateway.program.pid)
    test.check(resident < 100, f"the gateway's memory stays small: {resident} MB")


def memory_mb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as lines:
        return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmRSS"))


MALFORMED = (  # title, arguments of SipSocket.request that break it, what the reason must name
    ("CSeq without a number", {"cseq": "INVITE"}, ("cseq",)),
    ("CSeq of another method", {"cseq": "1 BYE"}, ("cseq",)),
    ("From that is no address", {"from_": "<<>;;"}, ("from",)),
    ("Max-Forwards that is no number", {"max_forwards": "many"}, ("max-forwards",)),
)
BAD_SDP = (
    ("SDP without v=", "o=- 1 1 IN IP4 1.2.3.4\r\ns=-\r\nt=0 0\r\n", ("sdp", "v=")),
    ("SDP with a port of words", SDP.replace("40000", "forty"), ("sdp", "m=", "port")),
    ("SDP cut off", "v=0\r\no=-", ("sdp", "o=")),
)


def malformed_sip(scene):
    """By UDP to the connector, by a link to the gateway: 4xx with a reason that names the fault."""
    test = scene.test
    phone = SipSocket(scene.site.desk, scene.site.desk_address)
    callee = f"sip:reception@{support.DOMAIN}"
    caller = f"sip:desk@{support.DOMAIN}"

    def judge(title, where, status, reason, words):
        named = any(word in reason.lower() for word in words)
        test.check(400 <= status < 500 and named, f"{title}, {where}: {status} {reason}")

    link = scene.link()
    test.equal(link.log_in(user="mobile", password="mobile-password")[0], "welcome", "link for SIP")
    cases = [(title, dict(change), "", words) for title, change, words in MALFORMED]
    cases += [(title, {}, body, words) for title, body, words in BAD_SDP]
    for title, change, body, words in cases:
        text = phone.request("INVITE", callee, caller, body=body or SDP, **change)
        try:
            status, reason, _ = phone.ask(
                text, scene.connector.sip_address, scene.connector.sip_port
            )
            phone.send(ack_for(text), scene.connector.sip_address, scene.connector.sip_port)
            judge(title, "UDP", status, reason, words)
        except support.net.LabError as error:
            test.check(False, f"{title}, UDP: {error}")
        text = phone.request("INVITE", callee, caller, body=body or SDP, **change)
        try:
            line = link.sip(text).split("\r\n", 1)[0]
            while line.startswith("SIP/2.0 1"):
                line = link.sip(ack_for(text)).split("\r\n", 1)[0]
            _, status, reason = line.split(" ", 2)
            judge(title, "link", int(status), reason, words)
        except (LinkClosed, socket.timeout) as error:
            test.check(False, f"{title}, link: {error!r}")
            link = scene.link()
            link.log_in(user="mobile", password="mobile-password")
    # What cannot be answered at all is counted and harms nobody.
    before = malformed_count(scene.connector)
    for junk in (
        b"\0" * 100,
        os.urandom(1200),
        b"INVITE\r\n\r\n",
        b"SIP/2.0 200\r\n\r\n",
        b"\xff" * 65000,
    ):
        phone.send(junk, scene.connector.sip_address, scene.connector.sip_port)
    test.soon(
        lambda: malformed_count(scene.connector) >= before + 3,
        3,
        "junk by UDP is counted as malformed",
    )
    link.close()
    phone.close()


def ack_for(invite):
    """The ACK of a refusal (RFC 3261 §17.1.1.3), good enough to end the transaction."""
    head = invite.split("\r\n\r\n")[0].replace("INVITE", "ACK").split("\r\n")
    return (
        "\r\n".join(line for line in head if not line.startswith("Content-"))
        + "\r\nContent-Length: 0\r\n\r\n"
    )


def malformed_count(service):
    return sum(value for name, value in service.metrics().items() if "sip_malformed" in name)


def last_line(text):
    """The most telling part of isthmus-phone's output: reasons of its last lines."""
    for line in reversed(text.strip().splitlines()):
        if line.startswith("{"):
            fields = json.loads(line)
            reason = fields.get("end_reason") or fields.get("reason") or fields.get("message")
            if reason:
                return reason
        elif line.strip():
            return line.strip()
    return text.strip()[-200:]


def run(test):
    scene = Scene(test)
    scene.start_long_calls()
    scene.check_long_calls()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        dead = pool.submit(provider_down, scene)
        for title, case in (
            ("credentials", credentials),
            ("callees", callees),
            ("configuration", configuration),
            ("a client that says nothing", silent_client),
            ("a client that sends 10 MB", ten_megabytes),
            ("malformed SIP and SDP", malformed_sip),
            ("media ports exhausted", ports_exhausted),
        ):
            with support.scene(title):
                case(scene)
                scene.check_long_calls()
        with support.scene("provider down"):
            code, said = dead.result()
            test.check(
                code == 4 and ("503" in said or "408" in said),
                f"provider down: exit code {code}, {last_line(said)}",
            )
            scene.check_long_calls()
    test.check(scene.long_phone.running(), "isthmus-phone's long call is still up")
    scene.desk.hang_up()
    scene.long_phone.stop()
    for service in (scene.gateway, scene.connector):
        test.soon(
            lambda s=service: support.idle_state(s)["calls"] == 0
            and support.idle_state(s)["media_endpoints"] == 0,
            5,
            f"{service.name}: no call and no media port left",
        )


if __name__ == "__main__":
    support.main(run, __doc__, needs=(support.PHONE, "baresip", "kamailio"))
