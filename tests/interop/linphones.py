#!/usr/bin/env python3
"""linphone on both sides, at Kamailio as registrar: attended transfer (REFER with Replaces) by the
phone behind the connector and by the provider's phone, with topology hiding; a phone over TLS on
IPv6 at the connector; a provider and its phone that only IPv6 leads to."""

import re
import time

import support
from lab import audio
from lab.linphone import Linphone
from lab.sip_stream import Authority

SIX = "six.example.net"  # the same Kamailio, reached over IPv6
TEXTS = {
    "lina": ("en", "Linphone speaks by one socket, and is heard well."),
    "linus": ("en+m3", "The kitchen needs more coffee beans."),
    "lotte": ("en+f3", "Reception speaking. Whom do you wish to speak to?"),
    "lisa": ("en+f2", "A secret is kept between the desk and the connector."),
    "sixta": ("en+m1", "Six is the number of the house, and all may come."),
}
AT_THE_DESK, ON_IPV6 = ("lina", "lisa"), ("lisa", "sixta")


class Scene:
    def __init__(self, test):
        self.test, site = test, test.site
        connector_v6, desk_v6, gateway_v6, provider_v6 = site.add_ipv6()
        authority = Authority(test.directory)
        # Its TLS library (mbedTLS) looks for an address among the names.
        certificate, key = authority.issue("connector", f"IP:{connector_v6},DNS:{connector_v6}")
        self.speech = {
            name: audio.speak(test.directory / f"{name}.wav", text, voice)
            for name, (voice, text) in TEXTS.items()
        }
        kamailio = test.kamailio(
            {name: f"{name}-pw" for name in TEXTS}, listens=(f"udp:[{provider_v6}]:5060",)
        )
        self.gateway = test.gateway(
            {
                "sip": {
                    "udp": {"address": site.gateway_address},
                    "listeners": [{"transport": "udp", "address": gateway_v6}],
                },
                "providers": [
                    {
                        "name": "kamailio",
                        "target": f"sip:{kamailio.address}:{kamailio.port}",
                        "domains": [support.DOMAIN],
                        "topology_hiding": True,
                    },
                    {
                        "name": "six",
                        "target": f"sip:[{provider_v6}]:{kamailio.port};transport=udp",
                        "domains": [SIX],
                    },
                ],
            }
        )
        self.connector = test.connector(
            self.gateway,
            {
                "allow": ["192.168.0.0/16", f"{desk_v6}/128"],
                "sip": {
                    "udp": {"address": site.office_address},
                    "tls": {
                        "address": connector_v6,
                        "certificate": certificate,
                        "private_key": key,
                    },
                },
            },
        )
        phones = f"{site.office_address}:{self.connector.sip_port}"
        registrar = f"{kamailio.address}:{kamailio.port}"
        desk, provider = (site.desk, site.desk_address), (site.provider, site.provider_address)
        self.lina = self.phone("lina", *desk, phones, 5070)
        self.lisa = self.phone(
            "lisa", site.desk, desk_v6, f"[{connector_v6}]:5061", 5074,
            transport="tls", root_ca=authority.ca_file,
        )  # fmt: skip
        self.linus = self.phone("linus", *provider, registrar, 5080)
        self.lotte = self.phone("lotte", *provider, registrar, 5084)
        self.sixta = self.phone(
            "sixta", site.provider, provider_v6, f"[{provider_v6}]:{kamailio.port}", 5088
        )
        for phone in (self.lina, self.lisa, self.linus, self.lotte, self.sixta):
            phone.auto_answer()
            test.soon(
                lambda name=phone.name: len(kamailio.registers(name)) >= 2,
                10,
                f"{phone.name} registers, challenged once",
            )
        test.equal(self.gateway.status()["registrations"], len(AT_THE_DESK), "by the gateway")

    def phone(self, name, host, address, proxy, port, **more):
        domain = SIX if name in ON_IPV6 else support.DOMAIN
        return Linphone(
            self.test.programs, host, name, address, name, domain, f"{name}-pw", proxy,
            self.test.directory / f"{name}.wav", port, realm=support.DOMAIN, **more,
        )  # fmt: skip

    def heard(self, phone, speaker):
        phone.wait_recorded()
        score = audio.compare(self.speech[speaker.name], audio.read_wav(phone.heard)).score
        self.test.check(score >= 0.8, f"{phone.name} hears {speaker.name}: correlation {score:.3f}")

    def quiet(self):
        for service in (self.gateway, self.connector):
            self.test.soon(
                lambda s=service: s.status()["calls"] == 0, 8, f"{service.name}: no call left"
            )


def talk(scene, caller, callee, domain):
    """A call with sound both ways."""
    for phone in (caller, callee):
        phone.record_anew()
    caller.dial(f"sip:{callee.name}@{domain}")
    time.sleep(4.5)
    caller.hang_up()
    scene.quiet()
    scene.heard(callee, caller)
    scene.heard(caller, callee)


def transfers(scene, by, first, second):
    """`by` calls both, and joins them: the first one's phone calls the second's, with Replaces."""
    ended = {phone: phone.said(" ended (") for phone in (by, first, second)}
    by.dial(f"sip:{first.name}@{support.DOMAIN}")
    paused = by.said("is now paused")
    by.command("pause")
    by.wait_said("is now paused", times=paused + 1)
    by.dial(f"sip:{second.name}@{support.DOMAIN}")
    calls = by.call_ids()
    scene.test.equal(len(calls), 2, f"calls of {by.name}")
    by.command(f"transfer {calls[0]} --to-call {calls[1]}")
    scene.test.soon(
        lambda: re.search(
            rf"Call \d+ with <sip:{second.name}@{support.DOMAIN}\?Replaces=\S+> connected",
            first.program.output(),
        ),
        8,
        f"{first.name} calls {second.name} with Replaces, and is answered",
    )
    scene.test.soon(
        lambda: f" with sip:{first.name}@{support.DOMAIN} connected" in second.program.output(),
        5,
        f"{second.name} speaks with {first.name}",
    )
    scene.test.soon(
        lambda: by.said(" ended (") == ended[by] + 2, 8, f"{by.name} is rid of both calls"
    )
    scene.test.equal(second.said(" ended ("), ended[second] + 1, f"calls that {second.name} lost")
    first.hang_up()
    scene.test.soon(
        lambda: second.said(" ended (") == ended[second] + 2, 5, "one hangs up, the other knows"
    )
    scene.quiet()


def run(test):
    scene = Scene(test)
    with support.scene("a phone on TLS and IPv6, a provider on IPv6"):
        talk(scene, scene.lisa, scene.sixta, SIX)
        talk(scene, scene.sixta, scene.lisa, SIX)
    with support.scene("the phone behind the connector transfers"):
        transfers(scene, scene.lina, scene.linus, scene.lotte)
    with support.scene("the provider's phone transfers"):
        transfers(scene, scene.linus, scene.lina, scene.lotte)
    support.expect_no_malformed(test, (scene.gateway, scene.connector))


if __name__ == "__main__":
    support.main(
        run, __doc__, isolated=True, needs=("kamailio", "linphonec", "espeak-ng", "openssl")
    )
