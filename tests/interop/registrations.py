#!/usr/bin/env python3
"""Registrations toward Kamailio in the three modes: clients' own, with refreshes that Kamailio does
not see; accounts of users; a trunk. Counts the REGISTERs that Kamailio saw."""

import hashlib
import re
import signal
import threading
import time

import support
from lab.sipp import SipSocket

EXPIRES_S = 12  # that Kamailio grants at most: so its refreshes happen while we look


def digest(answer, user, password, method, uri):
    """The header that answers the challenge of a 401 or 407 (MD5, qop=auth)."""
    header, challenge = re.search(
        r"(?im)^(WWW|Proxy)-Authenticate: Digest (.*)\r$", answer
    ).groups()
    realm, nonce = (re.search(rf'{name}="([^"]*)"', challenge)[1] for name in ("realm", "nonce"))

    def md5(text):
        return hashlib.md5(text.encode()).hexdigest()

    response = md5(
        f"{md5(f'{user}:{realm}:{password}')}:{nonce}:00000001:c:auth:{md5(f'{method}:{uri}')}"
    )
    name = "Authorization" if header.upper() == "WWW" else "Proxy-Authorization"
    return (
        f'{name}: Digest username="{user}", realm="{realm}", nonce="{nonce}", uri="{uri}", '
        f'response="{response}", algorithm=MD5, qop=auth, nc=00000001, cnonce="c"\r\n'
    )


class Phone:
    """A socket that registers, and sends and takes MESSAGEs."""

    def __init__(self, host, address, user, next_hop, password=None, domain=support.DOMAIN):
        self.socket = SipSocket(host, address)
        self.user, self.password, self.domain, self.next_hop = user, password, domain, next_hop
        self.uri = f"sip:{user}@{domain}"
        self.credentials, self.cseq, self.text = "", 0, ""

    def register(self, expires_s=3600, contact_params=""):
        """Registers, with an answer to a challenge if one comes. Returns the last status."""
        registrar = f"sip:{self.domain}"
        for _ in range(3):
            self.cseq += 1
            status, _, self.text = self.socket.ask(
                self.socket.request(
                    "REGISTER",
                    registrar,
                    self.uri,
                    to_uri=self.uri,
                    headers=f"Expires: {expires_s}\r\n{self.credentials}",
                    call_id=f"registration-of-{self.user}",
                    cseq=f"{self.cseq} REGISTER",
                    contact=f"<sip:{self.user}@{self.socket.address}:{self.socket.port}>"
                    f"{contact_params}",
                ),
                *self.next_hop,
            )
            if status != 401 or not self.password:
                break
            self.credentials = digest(self.text, self.user, self.password, "REGISTER", registrar)
        return status

    def granted_s(self):
        found = re.search(r"(?im)^Contact:.*;expires=(\d+)", self.text)
        return int(found[1]) if found else None

    def message(self, uri, to_uri=None):
        """Sends a MESSAGE; returns the final status."""
        headers, tries = "", 2 if self.password else 1
        for cseq in range(1, tries + 1):
            status, _, text = self.socket.ask(
                self.socket.request(
                    "MESSAGE",
                    uri,
                    self.uri,
                    to_uri=to_uri,
                    headers=headers,
                    cseq=f"{cseq} MESSAGE",
                ),
                *self.next_hop,
                seconds=8,
            )
            if status not in (401, 407) or not self.password:
                break
            headers = digest(text, self.user, self.password, "MESSAGE", uri)
        return status

    def take_message(self, seconds=5):
        """Waits for a MESSAGE and answers it; returns its text."""
        self.socket.socket.settimeout(seconds)
        while True:
            data, source = self.socket.socket.recvfrom(65536)
            text = data.decode()
            if not text.startswith("MESSAGE "):
                continue
            kept = [
                line
                for line in text.split("\r\n")
                if re.match(r"(?i)(via|from|to|call-id|cseq):", line)
            ]
            answer = "\r\n".join(["SIP/2.0 200 OK", *kept, "Content-Length: 0", "", ""])
            self.socket.socket.sendto(
                re.sub(r"(?im)^(To: [^\r;]*)\r", r"\1;tag=p\r", answer).encode(), source
            )
            return text


def rings(test, caller, phone, title, uri=None, to_uri=None):
    """A MESSAGE from the provider's side reaches the phone."""
    status = []
    thread = threading.Thread(
        target=lambda: status.append(caller.message(uri or phone.uri, to_uri))
    )
    thread.start()
    try:
        text = phone.take_message()
        test.check(True, f"{title}: {text.splitlines()[0]}")
    except OSError as error:
        test.check(False, f"{title}: {error}")
    thread.join()
    test.equal(status, [200], f"{title}: what the sender heard")


def provider(kamailio, **keys):
    return {
        "providers": [
            {
                "name": "kamailio",
                "target": f"sip:{kamailio.address}:{kamailio.port}",
                "domains": [support.DOMAIN],
                **keys,
            }
        ]
    }


def upstream(gateway, user):
    return next(
        (
            entry
            for entry in gateway.get("/api/v1/upstreams")
            if entry["aor"] == f"sip:{user}@{support.DOMAIN}"
        ),
        {},
    )


def passed_through(test, kamailio, phone, seconds):
    with support.scene("passthrough: refreshes every second, Kamailio sees one in its own expiry"):
        test.equal(phone.register(), 200, "the phone registers with its own credentials")
        test.equal(phone.granted_s(), 6, "it is told to come back soon")
        first = kamailio.registers(phone.user)
        test.equal(len(first), 2, "REGISTERs at Kamailio: the challenge and its answer")
        test.check("expires=3600" in first[-1], f"and asked for long: {first[-1][-120:]}")
        statuses = set()
        until = time.monotonic() + seconds
        refreshes = 0
        while time.monotonic() < until:
            statuses.add(phone.register())
            refreshes += 1
            time.sleep(1)
        test.equal(statuses, {200}, f"{refreshes} refreshes")
        seen = len(kamailio.registers(phone.user)) - 2
        # Each may meet a stale nonce, hence two messages.
        most = 2 * (seconds // (EXPIRES_S // 2) + 1)
        test.check(1 <= seen <= most, f"REGISTERs of these that Kamailio saw: {seen}")
        before = len(kamailio.registers(phone.user))
        phone.register(contact_params=";q=0.5")
        test.check(len(kamailio.registers(phone.user)) > before, "a changed q passes at once")
        test.equal(phone.register(expires_s=0), 200, "removal")
        test.check("expires=0" in kamailio.registers(phone.user)[-1], "removal passes at once")


def phone_leaves(test, kamailio, gateway):
    with support.scene("isthmus-phone leaves: the challenge to its removal is answered, too"):
        phone = test.programs.start(
            test.site.mobile,
            "leaving",
            [
                test.build.phone, "register", "--gateway", test.site.url(gateway, test.site.mobile),
                "--pin", gateway.pin, "--user", "office", "--password", "office-password",
                "--aor", f"sip:1002@{support.DOMAIN}", "--sip-user", "1002",
                "--sip-password", "pw-1002", "--no-audio", "--json",
            ],
        )  # fmt: skip
        phone.wait_output('"registered"', 10)
        phone.process.send_signal(signal.SIGTERM)
        test.equal(phone.wait(10), 0, "exit code")
        seen = kamailio.registers("1002")
        test.equal(len(seen), 4, "REGISTERs: two with a challenge and its answer each")
        test.check("expires=0" in seen[-1] and "credentials=1002" in seen[-1], seen[-1][-110:])


def with_accounts(test, kamailio, gateway, phone, caller):
    with support.scene("account: the gateway registers while the user is there"):
        time.sleep(1.5)
        test.equal(kamailio.registers("2001"), [], "nobody is there, nothing is registered")
        test.equal(phone.register(), 200, "the phone registers with the gateway, unchallenged")
        test.soon(lambda: upstream(gateway, "2001").get("registered"), 4, "the account follows")
        rings(test, caller, phone, "Kamailio's call to the account reaches the phone", phone.uri)
        rings(test, phone, caller, "and back, with the account's credentials", caller.uri)
        wrong = upstream(gateway, "2002")
        test.equal(wrong.get("state"), "waiting", "an account with a wrong password waits")
        test.equal(wrong.get("problem"), "401 Unauthorized", "and says why")
        test.check(
            len(kamailio.registers("2002")) <= 2, f"{len(kamailio.registers('2002'))} tries of it"
        )


def with_trunk(test, gateway, phone, caller):
    with support.scene("trunk: one registration, the number in To"):
        test.soon(lambda: upstream(gateway, "trunk").get("registered"), 4, "the trunk registers")
        test.equal(phone.register(), 200, "a phone registers with the gateway")
        rings(
            test,
            caller,
            phone,
            "a call to a number of the trunk",
            f"sip:trunk@{support.DOMAIN}",
            f"sip:{phone.user}@{support.DOMAIN}",
        )


def after_a_restart(test, kamailio):
    with support.scene("Kamailio restarts, which takes its memory: it is registered with anew"):
        gateway = test.gateway(
            provider(
                kamailio,
                registration="account",
                register="always",
                probe_interval_s=5,
                accounts=[{"user": "2001", "password": "pw-2001"}],
            ),
            name="restart",
            port_offset=300,
        )
        test.soon(lambda: upstream(gateway, "2001").get("registered"), 5, "registered")
        command = [test.build.gateway, "--config", gateway.configuration, "upstreams"]
        shown = test.site.gateway.run(*(str(word) for word in command), check=False)
        test.equal(shown.returncode, 0, f"isthmus-gateway upstreams: {shown.stdout.strip()}")
        kamailio.program.stop()
        test.soon(lambda: "provider_host_dead" in gateway.program.output(), 15, "it is missed")
        again = test.kamailio(kamailio.users)
        test.soon(lambda: again.registers("2001"), 40, "registered again, before any expiry")


def run(test):
    users = {
        "1001": "pw-1001",
        "1002": "pw-1002",
        "2001": "pw-2001",
        "2002": "pw-2002",
        "trunk": "pw-trunk",
    }
    kamailio = test.kamailio({**users, "caller": "pw-caller"}, max_expires=EXPIRES_S)
    site = test.site
    gateways = {
        "passthrough": test.gateway(provider(kamailio, client_refresh_s=6), name="passthrough"),
        "account": test.gateway(
            provider(
                kamailio,
                registration="account",
                accounts=[
                    {"user": "2001", "password": "pw-2001", "aor": "ann"},
                    {"user": "2002", "password": "wrong", "aor": "office"},
                ],
            ),
            name="account",
            port_offset=100,
        ),
        "trunk": test.gateway(
            provider(
                kamailio,
                registration="trunk",
                inbound_user="to",
                trunk={"user": "trunk", "password": "pw-trunk"},
            ),
            name="trunk",
            port_offset=200,
        ),
    }
    phones = {}
    for offset, (name, user, password) in enumerate(
        (("passthrough", "1001", "pw-1001"), ("account", "2001", None), ("trunk", "kitchen", None))
    ):
        connector = test.connector(
            gateways[name], name=f"connector-{name}", port_offset=100 * offset
        )
        phones[name] = Phone(
            site.desk,
            site.desk_address,
            user,
            (connector.sip_address, connector.sip_port),
            password,
        )
    caller = Phone(
        site.provider,
        site.provider_address,
        "caller",
        (kamailio.address, kamailio.port),
        "pw-caller",
    )
    caller.register()
    with_accounts(test, kamailio, gateways["account"], phones["account"], caller)
    with_trunk(test, gateways["trunk"], phones["trunk"], caller)
    passed_through(test, kamailio, phones["passthrough"], EXPIRES_S + 4)
    phone_leaves(test, kamailio, gateways["passthrough"])
    with support.scene("one refresh in each expiry, and nothing left at the end"):
        for name, user in (("account", "2001"), ("trunk", "trunk")):
            seen = len(kamailio.registers(user))
            test.check(3 <= seen <= 20, f"REGISTERs of {user} that Kamailio saw: {seen}")
            test.check(upstream(gateways[name], user).get("registered"), f"{user} is registered")
            metrics = gateways[name].metrics()
            key = 'isthmus_registrations_upstream{provider="kamailio",state="registered"}'
            test.equal(metrics.get(key), 1.0, f"{user}: {key}")
            gateways[name].program.stop()
            last = kamailio.registers(user)[-1]
            test.check("expires=0" in last, f"{user} was removed at the end: {last[-100:]}")
    after_a_restart(test, kamailio)


if __name__ == "__main__":
    support.main(run, __doc__, needs=("kamailio", support.PHONE))
