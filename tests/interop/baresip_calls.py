#!/usr/bin/env python3
"""baresip behind the connector and baresip at Kamailio: registration with digest, calls both ways,
hold and resume, several phones behind one connector, refusals."""

import concurrent.futures
import time

import support
from lab import audio
from lab.net import LabError, wait_until

USERS = ("reception", "desk", "kitchen", "porch")


def spoke(test, title, reference, path):
    result = audio.compare(reference, audio.read_wav(path))
    test.check(result.score >= 0.8, f"{title}: correlation {result.score:.3f}")


def call(test, caller, callee, speech, talk_s=4.3):
    """One call; both hear each other."""
    before = {phone: len(phone.recorded()) for phone in (caller, callee)}
    callee.forget_events()
    setup_s = caller.dial(f"sip:{callee.user}@{support.DOMAIN}")
    time.sleep(talk_s)
    caller.hang_up()
    callee.wait_closed()
    title = f"{caller.user} -> {callee.user}"
    test.check(setup_s < 3, f"{title}: answered after {1000 * setup_s:.0f} ms")
    for phone, other in ((caller, callee), (callee, caller)):
        spoke(
            test,
            f"{title}: {phone.user} hears {other.user}",
            speech[other.user],
            phone.recorded()[before[phone]],
        )


def hold_and_resume(test, phones, gateway):
    """The holder's re-INVITE crosses the bridge; media stops and comes back."""
    desk, reception = phones["desk"], phones["reception"]
    reception.forget_events()
    desk.dial(f"sip:reception@{support.DOMAIN}")

    def heard_by_callee():
        calls = gateway.calls()
        return calls[0]["callee"]["packets_sent"] if calls else 0

    time.sleep(1.2)
    test.check(
        heard_by_callee() > 30, f"before hold the callee was sent {heard_by_callee()} packets"
    )
    sdp_before = reception.program.output().count("a=sendonly")
    desk.command("hold")
    test.soon(
        lambda: reception.program.output().count("a=sendonly") > sdp_before,
        5,
        "hold: a re-INVITE with a=sendonly reached the callee",
    )
    time.sleep(0.5)
    held = heard_by_callee()
    time.sleep(1.0)
    during = heard_by_callee() - held
    test.check(during < 10, f"on hold: {during} packets in 1 s toward the callee")
    desk.command("resume")
    time.sleep(0.7)
    resumed = heard_by_callee()
    time.sleep(1.0)
    after = heard_by_callee() - resumed
    test.check(after > 30, f"resumed: {after} packets in 1 s toward the callee")
    desk.hang_up()
    reception.wait_closed()


def refusals(test, phones):
    """Failure codes of the provider reach the phone as they are."""
    desk = phones["desk"]
    for target, code in ((f"nobody@{support.DOMAIN}", "404"),):
        try:
            desk.dial(f"sip:{target}")
            test.check(False, f"a call to {target} was answered")
        except LabError as error:
            test.check(code in str(error), f"a call to {target} is refused with {code}: {error}")


def run(test):
    texts = {
        "reception": ("en+f3", "Reception speaking. I hear you well."),
        "desk": ("en", "Hello from the desk, by one socket."),
        "kitchen": ("en+m3", "The kitchen needs more coffee beans."),
        "porch": ("en+f2", "Somebody is waiting at the front door."),
    }
    speech = {
        name: audio.speak(test.directory / f"{name}.wav", text, voice)
        for name, (voice, text) in texts.items()
    }
    kamailio = test.kamailio({name: f"{name}-pw" for name in USERS})
    gateway = test.gateway(
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
    connector = test.connector(gateway)
    phones = test.baresips(USERS, kamailio, connector)
    test.equal(connector.status()["registrations"], 3, "registrations at the connector")
    test.equal(gateway.status()["registrations"], 3, "registrations passed through the gateway")
    test.equal(gateway.status()["sessions"], 1, "links for all of them")
    with support.scene("calls out, in, and between two phones behind one connector"):
        call(test, phones["desk"], phones["reception"], speech)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            jobs = [
                pool.submit(call, test, phones["reception"], phones["porch"], speech),
                pool.submit(call, test, phones["desk"], phones["kitchen"], speech),
            ]
            for job in jobs:
                job.result()
    with support.scene("hold and resume"):
        hold_and_resume(test, phones, gateway)
    with support.scene("refusals"):
        refusals(test, phones)
    for service in (gateway, connector):
        idle = wait_until(
            lambda s=service: (lambda v: v if v["calls"] == 0 else None)(support.idle_state(s)),
            5,
            f"{service.name}: calls remain",
        )
        test.equal(idle["media_endpoints"], 0, f"{service.name}: media endpoints left")
    with support.scene("unregistration"):
        phones["kitchen"].program.stop()
        test.soon(
            lambda: gateway.status()["registrations"] == 2,
            5,
            "a phone that goes away is no longer registered",
        )


if __name__ == "__main__":
    support.main(run, __doc__, needs=("baresip", "kamailio"))
