#!/usr/bin/env python3
"""The built-in registrar with SIP passwords: unmodified baresip, SIPp, and a client of the test's own
behind one connector, every digest algorithm, refusals, and a restart that keeps the registrations."""

import hashlib
import json
import os
import re
import subprocess
import time

import support
from lab import audio, net
from lab.baresip import Baresip
from lab.sipp import SipSocket

DOMAIN = "gateway.example.net"
_REQUEST = """<send retrans="500"><![CDATA[
REGISTER sip:gateway.example.net SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport
Max-Forwards: 70
From: <sip:sippy@gateway.example.net>;tag=[call_number]
To: <sip:sippy@gateway.example.net>
Call-ID: [call_id]
CSeq: {cseq} REGISTER
Contact: <sip:sippy@[local_ip]:[local_port]>;expires={expires}
{more}Content-Length: 0

]]></send>
"""
_PASSWORD = "[authentication username=sippy password=sippy-pw]\n"
SCENARIO = (
    '<?xml version="1.0" encoding="ISO-8859-1" ?>\n<scenario name="register">\n'
    + _REQUEST.format(cseq=1, expires=600, more="")
    + '<recv response="401" auth="true"/>\n'
    + _REQUEST.format(cseq=2, expires=600, more=_PASSWORD)
    + '<recv response="200"/>\n'
    + _REQUEST.format(cseq=3, expires=600, more="")
    + '<recv response="401" auth="true"/>\n'
    + _REQUEST.format(cseq=4, expires=0, more=_PASSWORD)
    + '<recv response="200"/>\n</scenario>\n'
)
HASHES = {
    "MD5": lambda text: hashlib.md5(text.encode()).hexdigest(),
    "SHA-256": lambda text: hashlib.sha256(text.encode()).hexdigest(),
    "SHA-512-256": lambda text: hashlib.new("sha512_256", text.encode()).hexdigest(),
}


def challenges(response):
    """Algorithm → parameters of each challenge of a 401."""
    found = {}
    for line in re.findall(r"^WWW-Authenticate: Digest (.*?)\r$", response, re.M):
        values = {
            name: quoted or bare
            for name, quoted, bare in re.findall(r'(\w+)=(?:"([^"]*)"|([^",\s]+))', line)
        }
        found[values["algorithm"]] = values
    return found


class TinyPhone:
    """Registers one contact, and answers challenges by RFC 7616 as Python's hashlib has it."""

    def __init__(self, host, address, connector):
        self.socket = SipSocket(host, address)
        self.connector = connector
        self.number = 0

    def register(self, user, password=None, algorithm="MD5", name=None, headers="", expires=600):
        """Status and text of the final answer, to the challenged request if there is a password."""
        uri = f"sip:{DOMAIN}"
        aor = f"sip:{user}@{DOMAIN}"
        contact = f"<sip:{user}@{self.socket.address}:{self.socket.port}>;expires={expires}"

        def ask(extra):
            self.number += 1
            text = self.socket.request(
                "REGISTER",
                uri,
                aor,
                aor,
                headers + extra,
                contact=contact,
                call_id=f"tiny-{self.socket.port}",
                cseq=f"{self.number} REGISTER",
            )
            status, _, answer = self.socket.ask(
                text, self.connector.sip_address, self.connector.sip_port
            )
            return status, answer

        status, answer = ask("")
        if status != 401 or password is None:
            return status, answer
        offer = challenges(answer)[algorithm]
        hash_of = HASHES[algorithm]
        name = name or user
        secret = hash_of(f"{name}:{offer['realm']}:{password}")
        response = hash_of(
            f"{secret}:{offer['nonce']}:00000001:cafe:auth:{hash_of(f'REGISTER:{uri}')}"
        )
        return ask(
            f'Authorization: Digest username="{name}", realm="{offer["realm"]}",'
            f' nonce="{offer["nonce"]}", uri="{uri}", response="{response}",'
            f' algorithm={algorithm}, qop=auth, nc=00000001, cnonce="cafe",'
            f' opaque="{offer["opaque"]}"\r\n'
        )


def user_command(test, gateway, *words, password=None):
    return subprocess.run(
        [test.build.gateway, "-c", gateway.configuration, "user", *words],
        input=None if password is None else password + "\n",
        capture_output=True,
        text=True,
        check=False,
    )


def restart(gateway, **registrar):
    """Stops the gateway in order and starts it again, perhaps with another configuration.

    Returns the registrations that it has before any link is back.
    """
    configuration = json.loads(gateway.configuration.read_text(encoding="utf-8"))
    configuration["registrar"].update(registrar)
    gateway.configuration.write_text(json.dumps(configuration), encoding="utf-8")
    gateway.program.stop()
    gateway.start()
    gateway.wait_ready()
    kept = registrations(gateway)
    net.wait_until(
        lambda: [s for s in gateway.get("/api/v1/sessions") if s["user"] == "office"],
        20,
        "the connector's link is not back",
    )
    return kept


def registrations(gateway):
    return {
        entry["aor"].split(":")[1].split("@")[0]: entry
        for entry in gateway.get("/api/v1/registrations")
    }


def run(test):
    site = test.site
    gateway = test.gateway(
        {
            "registrar": {
                "authentication": "digest",
                "algorithms": ["SHA-512-256", "SHA-256", "MD5"],
            },
            "users": [
                {
                    "name": "office",
                    "password_hash": test.build.hash_password("office-password"),
                    "aors": ["*"],
                },
                {"name": "lobby", "sip_password": "lobby-pw"},
                {"name": "sippy", "sip_password": "sippy-pw"},
            ],
        }
    )
    connector = test.connector(gateway)

    with support.scene("users are managed while the gateway runs"):
        added = user_command(test, gateway, "add", "desk", "--sip-only", password="desk-pw")
        test.equal(added.returncode, 0, f"user add {added.stderr}".strip())
        again = user_command(test, gateway, "add", "desk", "--sip-only", password="x")
        test.equal(again.returncode, 1, "the same again is refused")
        listed = user_command(test, gateway, "list").stdout
        test.equal(listed, "desk  link=no  sip=yes  aors=desk\n", "user list")

    with support.scene("a client of the test's own"):
        phone = TinyPhone(site.desk, site.desk_address, connector)
        status, text = phone.register("desk")
        test.equal(status, 401, "no password")
        test.equal(
            list(challenges(text)), ["SHA-512-256", "SHA-256", "MD5"], "challenges, best first"
        )
        for algorithm in HASHES:
            status, text = phone.register("desk", "desk-pw", algorithm)
            test.check(
                status == 200 and "rspauth=" in text, f"{algorithm}: {status}, server proves itself"
            )
        test.equal(phone.register("desk", "wrong")[0], 401, "wrong password")
        test.equal(phone.register("nobody", "x")[0], 401, "no such user")
        test.equal(phone.register("desk", "lobby-pw", name="lobby")[0], 403, "another's address")
        status, text = phone.register("desk", "desk-pw", expires=10)
        test.check(status == 423 and "Min-Expires: 60" in text, f"too brief: {status}")
        status, text = phone.register("desk", "desk-pw", headers="Require: frob\r\n")
        test.check(status == 420 and "Unsupported: frob" in text, f"unknown extension: {status}")
        test.equal(phone.register("desk", "desk-pw", expires=0)[0], 200, "removed again")
        test.equal(registrations(gateway), {}, "registrations")

    # Phones of today give up at a challenge that they do not know.
    restart(gateway, algorithms=["MD5"])

    with support.scene("SIPp"):
        scenario = test.directory / "register.xml"
        scenario.write_text(SCENARIO, encoding="utf-8")
        ran = site.desk.run(
            *("sipp", "-sf", scenario, "-m", "1", "-i", site.desk_address, "-p", "5098"),
            *("-nostdin", "-timeout", "10", "-timeout_error", "-trace_err"),
            *("-error_file", test.directory / "sipp-errors.log"),
            f"{connector.sip_address}:{connector.sip_port}",
            check=False,
            env={**os.environ, "TERM": "dumb"},
        )
        test.equal(ran.returncode, 0, "registers, refreshes and leaves with a password")

    audio.speak(test.directory / "speech.wav", "The registrar remembers.", "en")

    def baresip(name, port, control):
        return Baresip(
            test.programs,
            site.desk,
            name,
            "lan0",
            name,
            DOMAIN,
            f"{name}-pw",
            f"{connector.sip_address}:{connector.sip_port}",
            test.directory / "speech.wav",
            sip_port=port,
            control_port=control,
            rtp="10000-11999" if name == "desk" else "12000-13999",
        )

    with support.scene("baresip"):
        desk, lobby = baresip("desk", 5070, 4444), baresip("lobby", 5072, 4445)
        desk.wait_registered()
        lobby.wait_registered()
        lobby.dial(f"sip:desk@{DOMAIN}")
        lobby.hang_up()
        test.check(True, "both registered with their passwords, and one called the other")

    with support.scene("the gateway restarts"):
        before = registrations(gateway)
        test.equal(sorted(before), ["desk", "lobby"], "registrations before")
        after = restart(gateway)
        test.equal(
            {user: entry["contact"] for user, entry in after.items()},
            {user: entry["contact"] for user, entry in before.items()},
            "contacts after",
        )
        test.soon(
            lambda: all(entry["reachable"] for entry in registrations(gateway).values()),
            5,
            "reachable once the connector's link is back",
        )
        requests = connector.metrics()["isthmus_registrations_total"]
        desk.forget_events()
        lobby.dial(f"sip:desk@{DOMAIN}")
        time.sleep(1)
        lobby.hang_up()
        test.equal(
            connector.metrics()["isthmus_registrations_total"],
            requests,
            "the call came through without a new REGISTER",
        )
    test.equal(gateway.status()["calls"], 0, "calls that are left")


if __name__ == "__main__":
    support.main(run, __doc__, needs=("baresip", "sipp", "espeak-ng"))
