#!/usr/bin/env python3
"""Kamailio as a provider on TLS: certificates of both ends verified, server names (SNI), calls both
ways through a record-routing proxy; two customers of it at one address, each with a certificate of
its own; certificates that will not do; and Kamailio on TCP as registrar of a phone, with sound."""

import pathlib
import re
import socket
import ssl
import time

import support
from lab import audio, scenarios
from lab.baresip import Baresip
from lab.kamailio import module_directory
from lab.sip_stream import Authority
from lab.sipp import SipSocket

STRANGER = "203.0.113.66"
CROSSING = ("in_dialog", "prack", "session_timer")
TEXTS = {
    "desk": ("en+m3", "This is the desk, by one socket and then by TCP."),
    "reception": ("en+f3", "Reception speaking. Whom do you wish to speak to?"),
}
# Kamailio's profile for a name in the client's hello; the first is for whoever sends none.
PROFILE = """[{section}]
method = TLSv1.2+
verify_certificate = yes
require_certificate = yes
certificate = {certificate}
private_key = {key}
ca_list = {authority}
{name}
"""


def profiles(place, authority, servers, client):
    def profile(section, files, name=""):
        return PROFILE.format(
            section=section, certificate=files[0], key=files[1], authority=authority, name=name
        )

    first = next(iter(servers.values()))
    text = profile("server:default", first) + profile("client:default", client)
    for name, files in servers.items():
        text += profile(f"server:{place}", files, f"server_name = {name}")
    return text


class Scene:
    def __init__(self, test):
        self.test, site = test, test.site
        authority = Authority(test.directory)
        stranger_directory = test.directory / "stranger"
        stranger_directory.mkdir()
        stranger = Authority(stranger_directory)
        at, self.gateway_place = site.provider_address, f"{site.gateway_address}:5061"
        servers = {
            f"{name}.example.net": authority.issue(f"server-{name}", f"DNS:{name}.example.net")
            for name in ("one", "two")
        }
        own = authority.issue("gateway", f"IP:{site.gateway_address}")
        customers = {
            name: authority.issue(f"customer-{name}", f"DNS:{name}.customer.example")
            for name in ("one", "two")
        }
        self.pairs = scenarios.Pairs(test, CROSSING, 2)
        inward = f"sip:{self.gateway_place};transport=tls"
        static = {
            scenarios.domain_of(name): f"sip:{at}:{self.pairs.called_port(name)}"
            for name in CROSSING
        }
        static |= {f"{name}@gateway.example.net": inward for name in CROSSING}
        self.kamailio = test.kamailio(
            {name: f"{name}-pw" for name in TEXTS},
            static=static,
            listens=(f"tls:{at}:5061", f"tcp:{at}:5060"),
            tls=profiles(
                f"{at}:5061", authority.ca_file, servers, authority.issue("proxy", "DNS:p")
            ),
        )

        def provider(name, server, certificate=None, ca_file=authority.ca_file, domains=()):
            tls = {"name": f"{server}.example.net", "ca_file": str(ca_file)}
            if certificate:
                tls |= {"certificate": certificate[0], "private_key": certificate[1]}
            return {
                "name": name,
                "target": f"sips:{at}:5061",
                "domains": [f"{name}.example.net", *domains],
                "tls": tls,
            }

        outward = map(scenarios.domain_of, CROSSING)
        self.gateway = test.gateway(
            {
                "sip": {
                    "udp": {"address": site.gateway_address},
                    "tls": {
                        "certificate": own[0],
                        "private_key": own[1],
                        "client_ca": str(authority.ca_file),
                        "require_client_certificate": True,
                    },
                },
                "providers": [
                    provider("one", "one", customers["one"], domains=outward),
                    provider("two", "two", customers["two"]),
                    provider("nameless", "one"),
                    provider("doubtful", "one", customers["one"], ca_file=stranger.ca_file),
                    provider("mistaken", "three", customers["one"]),
                    {
                        "name": "tcp",
                        "target": f"sip:{at}:5060;transport=tcp",
                        "domains": [support.DOMAIN],
                    },
                ],
            }
        )
        self.connector = test.connector(self.gateway)
        self.phone = SipSocket(site.desk, site.desk_address, 5090)

    def options(self, domain):
        """OPTIONS by a phone to that domain. @return the status of the answer"""
        status, _, _ = self.phone.ask(
            self.phone.request("OPTIONS", f"sip:{domain}", f"sip:phone@{domain}"),
            self.connector.sip_address,
            self.connector.sip_port,
        )
        return status

    def seen_by_tls(self):
        """What Kamailio saw by TLS: {(method, server name, client)}"""
        return set(
            re.findall(
                r"by TLS: (\S+) \S+ server=(\S+) client=(\S+)", self.kamailio.program.output()
            )
        )


def calls_over_tls(scene):
    scene.pairs.register(scene.connector, scene.gateway)
    before = support.Baseline(scene.test, scene.gateway, scene.connector)
    scene.pairs.play(
        scene.connector, f"{scene.kamailio.address}:{scene.kamailio.port}", scene.gateway.domain
    )
    before.expect_clean()
    seen = scene.seen_by_tls()
    scene.test.check(
        ("INVITE", "one.example.net", "customer-one") in seen,
        "Kamailio knows the gateway by its certificate, asked for by name",
    )
    connections = scene.gateway.metrics()
    scene.test.equal(
        int(connections['isthmus_sip_connections{transport="tls",opened_by="peer"}']),
        1,
        "Kamailio's own connection, with its certificate",
    )


def two_customers(scene):
    for name in ("one", "two", "one", "two"):
        scene.test.equal(scene.options(f"{name}.example.net"), 200, f"OPTIONS to {name}")
    options = {entry[1:] for entry in scene.seen_by_tls() if entry[0] == "OPTIONS"}
    scene.test.equal(
        options,
        {("one.example.net", "customer-one"), ("two.example.net", "customer-two")},
        "each by its name and certificate",
    )
    scene.test.equal(
        int(scene.gateway.metrics()['isthmus_sip_connections{transport="tls",opened_by="us"}']),
        2,
        "a connection for each, to one address",
    )


def certificates_that_will_not_do(scene):
    log = scene.gateway.program.output
    for name, why in (
        ("nameless", "alert"),
        ("doubtful", "is not acceptable"),
        ("mistaken", "not for three.example.net"),
    ):
        started = time.monotonic()
        status = scene.options(f"{name}.example.net")
        scene.test.check(
            status >= 500 and time.monotonic() - started < 5, f"{name}: gets {status}, soon"
        )
        scene.test.soon(lambda w=why: w in log(), 3, f"the log says {why!r}")


def strangers(scene):
    """Who is no provider's address gets not even a handshake."""
    provider = scene.test.site.provider
    provider.run("ip", "address", "add", f"{STRANGER}/24", "dev", "eth0")
    knock = provider.socket(socket.AF_INET, socket.SOCK_STREAM)
    knock.settimeout(3)
    knock.bind((STRANGER, 0))
    knock.connect((scene.gateway.sip_address, 5061))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        context.wrap_socket(knock)
        scene.test.check(False, "a stranger has got a handshake")
    except OSError as error:
        scene.test.check(True, f"a stranger has got none: {error}")
    finally:
        knock.close()
    scene.test.equal(
        int(scene.gateway.metrics()["isthmus_strangers_silenced_total"]), 1, "and is counted"
    )
    scene.test.soon(
        lambda: "sip_stranger" in scene.gateway.program.output(), 3, "and stands in the log"
    )


def registrar_on_tcp(scene):
    test, site = scene.test, scene.test.site
    speech = {
        name: audio.speak(test.directory / f"{name}.wav", text, voice)
        for name, (voice, text) in TEXTS.items()
    }

    def phone(name, host, interface, proxy, offset):
        return Baresip(
            test.programs, host, name, interface, name, support.DOMAIN, f"{name}-pw", proxy,
            test.directory / f"{name}.wav", sip_port=5080 + offset, control_port=4444 + offset,
            rtp=f"{10000 + 1000 * offset}-{10998 + 1000 * offset}",
        )  # fmt: skip

    desk = phone(
        "desk", site.desk, "lan0", f"{scene.connector.sip_address}:{scene.connector.sip_port}", 1
    )
    reception = phone(
        "reception", site.provider, "eth0", f"{scene.kamailio.address}:{scene.kamailio.port}", 2
    )
    for one in (desk, reception):
        one.wait_registered()
    contact = scene.kamailio.registers("desk")[-1]
    test.check(
        "transport=tcp" in contact, f"the Contact of the desk: {contact.split('contact=')[1]}"
    )
    for caller, callee in ((desk, reception), (reception, desk)):
        caller.dial(f"sip:{callee.user}@{support.DOMAIN}")
        time.sleep(4)
        caller.hang_up()
        callee.wait_closed()
        for listener, speaker in ((caller, callee), (callee, caller)):
            heard = audio.read_wav(listener.recorded()[-1])
            score = audio.compare(speech[speaker.name], heard).score
            test.check(
                score >= 0.8, f"{listener.name} hears {speaker.name}: correlation {score:.3f}"
            )


def run(test):
    if not pathlib.Path(module_directory(), "tls.so").exists():
        raise support.Skip("not installed: kamailio-tls-modules")
    scene = Scene(test)
    support.play(
        scene,
        ("scenarios over TLS, both ends with certificates", calls_over_tls),
        ("two customers at one address", two_customers),
        ("certificates that will not do", certificates_that_will_not_do),
        ("strangers at the TLS port", strangers),
        ("a registrar on TCP", registrar_on_tcp),
    )
    support.expect_no_malformed(test, (scene.gateway, scene.connector))


if __name__ == "__main__":
    support.main(
        run,
        __doc__,
        isolated=True,
        needs=("sipp", "kamailio", "baresip", "espeak-ng", "openssl"),
    )
