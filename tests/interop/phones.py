#!/usr/bin/env python3
"""linphone and baresip behind the connector, baresip at Kamailio: registration with digest, calls with
sound, hold, and transfers by the provider's phone, by a phone behind the connector, and attended."""

import time

import support
from lab import audio
from lab.baresip import Baresip
from lab.linphone import Linphone
from lab.net import LabError

TEXTS = {
    "lina": ("en", "Linphone speaks by one socket, and is heard well."),
    "reception": ("en+f3", "Reception speaking. Whom do you wish to speak to?"),
    "kitchen": ("en+m3", "The kitchen needs more coffee beans."),
}


class Scene:
    """The phones, and the words that each of them says."""

    def __init__(self, test):
        self.test, site = test, test.site
        self.speech = {
            name: audio.speak(test.directory / f"{name}.wav", text, voice)
            for name, (voice, text) in TEXTS.items()
        }
        kamailio = test.kamailio({name: f"{name}-pw" for name in TEXTS})
        self.gateway = test.gateway(
            {
                "providers": [
                    {
                        "name": "kamailio",
                        "target": f"sip:{kamailio.address}:{kamailio.port}",
                        "domains": [support.DOMAIN],
                    }
                ]
            }
        )
        self.connector = test.connector(self.gateway)
        proxy = f"{self.connector.sip_address}:{self.connector.sip_port}"
        self.lina = Linphone(
            test.programs, site.desk, "lina", site.desk_address, "lina", support.DOMAIN,
            "lina-pw", proxy, test.directory / "lina.wav", 5070,
        )  # fmt: skip
        self.reception = Baresip(
            test.programs, site.provider, "reception", "eth0", "reception", support.DOMAIN,
            "reception-pw", f"{kamailio.address}:{kamailio.port}",
            test.directory / "reception.wav", sip_port=5080, control_port=4444,
        )  # fmt: skip
        self.kitchen = Baresip(
            test.programs, site.desk, "kitchen", "lan0", "kitchen", support.DOMAIN, "kitchen-pw",
            proxy, test.directory / "kitchen.wav", sip_port=5082, control_port=4445,
            rtp="15000-15998",
        )  # fmt: skip
        for phone in (self.reception, self.kitchen):
            phone.wait_registered()
        test.soon(
            lambda: self.gateway.status()["registrations"] == 2, 10, "lina and kitchen registered"
        )

    def heard(self, phone, speaker):
        """What the phone recorded last, against what was said."""
        if isinstance(phone, Linphone):
            phone.wait_recorded()
        path = phone.recorded()[-1] if isinstance(phone, Baresip) else phone.heard
        score = audio.compare(self.speech[speaker], audio.read_wav(path)).score
        self.test.check(score >= 0.8, f"{phone.name} hears {speaker}: correlation {score:.3f}")

    def quiet(self):
        """Waits until no call is left anywhere."""
        for service in (self.gateway, self.connector):
            self.test.soon(
                lambda s=service: s.status()["calls"] == 0, 8, f"{service.name}: no call left"
            )
        for phone in (self.reception, self.kitchen):
            phone.forget_events()


def linphone_calls(scene):
    scene.lina.dial(f"sip:reception@{support.DOMAIN}")
    time.sleep(4.5)
    scene.lina.hang_up()
    scene.reception.wait_closed()
    scene.heard(scene.reception, "lina")
    scene.heard(scene.lina, "reception")
    scene.quiet()


def linphone_holds(scene):
    scene.lina.dial(f"sip:reception@{support.DOMAIN}")
    before = scene.reception.program.output().count("a=sendonly")
    scene.lina.command("pause")
    scene.test.soon(
        lambda: scene.reception.program.output().count("a=sendonly") > before,
        5,
        "pause: a re-INVITE with a=sendonly reached the callee",
    )
    streams = "Media streams established"
    before = scene.lina.program.output().count(streams)
    scene.lina.command("resume")
    scene.test.soon(
        lambda: scene.lina.program.output().count(streams) > before, 5, "resume: media flows again"
    )
    scene.lina.hang_up()
    scene.reception.wait_closed()
    scene.quiet()


def established(scene, phone, title):
    try:
        phone.wait_event("CALL_ESTABLISHED", seconds=8)
        scene.test.check(True, title)
    except LabError as error:
        scene.test.check(False, f"{title}: {error}")


def provider_transfers(scene):
    """reception calls the kitchen's neighbour and sends it on."""
    scene.reception.dial(f"sip:kitchen@{support.DOMAIN}")
    scene.lina.auto_answer()
    scene.kitchen.forget_events()
    scene.reception.command("transfer", f"sip:lina@{support.DOMAIN}")
    established(scene, scene.kitchen, "transferred by the provider's phone: kitchen calls lina")
    time.sleep(0.5)
    scene.kitchen.command("hangup")
    scene.reception.command("hangup")
    scene.quiet()


def phone_transfers(scene):
    scene.kitchen.dial(f"sip:reception@{support.DOMAIN}")
    scene.reception.forget_events()
    scene.kitchen.command("transfer", f"sip:lina@{support.DOMAIN}")
    established(scene, scene.reception, "transferred from behind the connector: to lina")
    time.sleep(0.5)
    scene.reception.command("hangup")
    scene.kitchen.command("hangup")
    scene.quiet()


def run(test):
    scene = Scene(test)
    support.play(
        scene,
        ("linphone calls, with sound", linphone_calls),
        ("linphone holds and resumes", linphone_holds),
        ("the provider's phone transfers", provider_transfers),
        ("a phone behind the connector transfers", phone_transfers),
    )
    support.expect_no_malformed(test, (scene.gateway, scene.connector))


if __name__ == "__main__":
    support.main(
        run, __doc__, isolated=True, needs=("baresip", "kamailio", "linphonec", "espeak-ng")
    )
