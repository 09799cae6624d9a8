"""Calls: with sound both ways, refused, cancelled, held, over time."""

import collections
import concurrent.futures
import json
import random
import time

from lab import audio
from lab.net import LabError
from lab.softphone import Dialog
from stage import password


def echo(stage):
    (phone,) = stage.phones("1001")
    for codec in ("PCMU", "PCMA", "G722"):
        phone.codec = codec
        call = phone.connect(stage.uri("echo"))
        if codec == "G722":
            stage.test.soon(
                lambda c=call: any(c.media.sent(one.payload) for one in c.media.received(9)),
                4,
                f"{codec}: packets come back byte for byte",
            )
        else:
            stage.each_hears(f"{codec}, Echo()", (call.media, [440]))
        stage.test.equal(call.bye().status, 200, f"{codec}: BYE")
    phone.codec = "PCMU"
    call = phone.connect(stage.uri("hum-770"), late=True)
    stage.each_hears("Asterisk makes the offer", (call.media, [770]))
    call.bye()


def between(stage, caller, callee):
    """Two phones with a call through Asterisk; their dialogs."""
    call = caller.connect(stage.uri(callee.user))
    other = callee.wait_call()
    stage.each_hears(
        f"{caller.user} and {callee.user}",
        (call.media, [callee.tone]),
        (other.media, [caller.tone]),
    )
    return call, other


def between_phones(stage):
    ann, bob = stage.phones("1001", "1002")
    call, other = between(stage, ann, bob)
    other.bye()
    stage.test.soon(lambda: not call.established(), 4, "hung up by the callee")
    call, other = between(stage, bob, ann)
    call.bye()
    stage.test.soon(lambda: not other.established(), 4, "hung up by the caller")


def sdk(stage, name, user, *words, codec="pcmu,pcma"):
    """isthmus-phone with an account at Asterisk."""
    test = stage.test
    return test.programs.start(
        test.site.mobile,
        name,
        [
            test.build.phone, *words, "--gateway", test.site.url(stage.gateway, test.site.mobile),
            "--pin", stage.gateway.pin, "--user", "office", "--password", "office-password",
            "--aor", stage.uri(user), "--sip-user", user, "--sip-password", password(user),
            "--codec", codec, "--json",
        ],
    )  # fmt: skip


def heard(test, title, reference, path):
    score = audio.compare(reference, audio.read_wav(path)).score
    test.check(score >= 0.8, f"{title}: correlation {score:.3f}")


def speech_of_isthmus_phone(stage):
    test, directory = stage.test, stage.test.directory
    spoken = audio.speak(directory / "spoken.wav", "The phone has one socket.", total_s=8)
    greeting = audio.speak(stage.asterisk.shared / "sounds" / "greeting.wav", "Hello.", total_s=4)
    phone = sdk(
        stage, "sdk-greeting", "1002", "call", stage.uri("greeting"),
        "--no-audio", "--record", directory / "greeting.wav",
    )  # fmt: skip
    test.equal(phone.wait(20), 0, "Asterisk speaks and hangs up: exit code of isthmus-phone")
    heard(test, "the phone hears Playback()", greeting, directory / "greeting.wav")
    phone = sdk(
        stage, "sdk-heard", "1002", "call", stage.uri("heard-sdk"),
        "--play", directory / "spoken.wav", "--duration", "5",
    )  # fmt: skip
    test.equal(phone.wait(20), 0, "the phone speaks and hangs up: its exit code")
    heard(test, "Record() hears the phone", spoken, stage.asterisk.shared / "heard" / "sdk.wav")


def opus_from_end_to_end(stage):
    test, directory = stage.test, stage.test.directory
    ann = audio.speak(directory / "ann.wav", "Ann speaks in Opus.", total_s=9)
    bob = audio.speak(directory / "bob.wav", "And Bob answers her.", "en+f3", total_s=9)
    callee = sdk(
        stage, "sdk-bob", "1002", "register", "--answer", "--count", "1",
        "--play", directory / "bob.wav", "--record", directory / "heard-by-bob.wav", codec="opus",
    )  # fmt: skip
    callee.wait_output('"registered"', 10)
    caller = sdk(
        stage, "sdk-ann", "1003", "call", stage.uri("1002"), "--duration", "6",
        "--play", directory / "ann.wav", "--record", directory / "heard-by-ann.wav", codec="opus",
    )  # fmt: skip
    test.equal([caller.wait(20), callee.wait(20)], [0, 0], "exit codes")
    summary = next(json.loads(line) for line in caller.output().splitlines() if '"summary"' in line)
    test.equal(summary["codec"], "opus", "codec of the call")
    heard(test, "Bob hears Ann", ann, directory / "heard-by-bob.wav")
    heard(test, "Ann hears Bob", bob, directory / "heard-by-ann.wav")


def from_asterisk(stage):
    test = stage.test
    (phone,) = stage.phones("1001")
    stage.asterisk.originate(phone.user, "hum-550")
    call = phone.wait_call()
    stage.each_hears("a call that Asterisk makes", (call.media, [550]))
    stage.asterisk.hang_up(stage.channels())
    test.soon(lambda: not call.established(), 4, "and ends")


def refused(stage, phone, user, statuses, seconds=8):
    _, transaction = phone.call(stage.uri(user))
    status = transaction.final(seconds).status
    stage.test.check(status in statuses, f"{user}: {status}, one of {statuses}")


def refusals(stage):
    test = stage.test
    ann, bob = stage.phones("1001", "1002")
    for user, statuses in (
        ("busy", (486,)),
        ("decline", (403,)),
        ("nobody", (404,)),
        ("congestion", (503,)),
        ("unknown", (404,)),
    ):
        refused(stage, ann, user, statuses)
    for answer, statuses in (((486,), (486,)), ((603,), (503, 603)), ((480,), (480,))):
        bob.on_invite = answer
        refused(stage, ann, "1002", statuses)
    bob.on_invite = "ring"
    refused(stage, ann, "never", (480,))
    test.soon(lambda: not bob.ringing, 4, "who does not answer is cancelled")
    _, transaction = ann.call(stage.uri("1002"))
    transaction.wait(180, 8)
    test.soon(lambda: bob.ringing, 4, "the callee rings")
    ann.cancel(transaction)
    test.equal(transaction.final(8).status, 487, "cancelled by the caller")
    test.soon(lambda: not bob.ringing, 4, "the callee rings no more")


def redirections(stage):
    test = stage.test
    ann, bob = stage.phones("1001", "1002")
    _, transaction = ann.call(stage.uri("redirect-1002"))
    answer = transaction.final(8)
    test.equal(answer.status, 302, "Transfer() before the answer")
    test.equal(answer.target(), stage.uri("1002"), "its Contact")
    bob.on_invite = (302, f"Contact: <{stage.uri('hum-770')}>\r\n")
    try:
        call = ann.connect(stage.uri("1002"))
        stage.each_hears("a phone redirects, Asterisk follows", (call.media, [770]))
    except LabError as error:
        test.check(False, str(error))


def early_media(stage):
    test = stage.test
    (phone,) = stage.phones("1001")
    call, transaction = phone.call(stage.uri("early-550"))
    transaction.wait(183, 8)
    stage.each_hears("before the answer", (call.media, [550]))
    test.equal(call.state, "early", "the call then")
    test.equal(transaction.final(8).status, 200, "answered")
    stage.each_hears("behind it", (call.media, [440]))
    call.bye()


def reliable_responses(stage):
    test = stage.test
    ann, bob = stage.phones("1001", "1031")
    _, transaction = bob.call(stage.uri("early-550"))
    test.equal(transaction.final(8).status, 421, "who lacks 100rel is told so")
    ann.supported = bob.supported = "replaces, timer, 100rel"
    call, transaction = bob.call(stage.uri("early-550"))
    early = transaction.wait(183, 8)
    test.check("100rel" in early.get("require"), f"Require: {early.get('require')}")
    stage.each_hears("before the answer", (call.media, [550]))
    test.equal(transaction.final(8).status, 200, "answered")
    stage.each_hears("behind it", (call.media, [660]))
    prack = [one for one in call.events if one.method == "PRACK"]
    test.equal([one.status for one in prack][:1], [200], "answer to the PRACK")
    call.bye()


def hold(stage, caller="1001", callee="1002"):
    ann, bob = stage.phones(caller, callee)
    call, other = between(stage, ann, bob)
    for holder, held in ((call, other), (other, call)):
        name = holder.phone.user
        for method in ("INVITE",) if stage.old else ("INVITE", "UPDATE"):  # chan_sip: 501
            answer = holder.hold(method)
            stage.test.equal(answer.status, 200, f"{name} holds by {method}")
            stage.each_hears(f"held by {name}", (holder.media, None), (held.media, None))
            answer = holder.resume(method)
            stage.test.equal(answer.status, 200, f"{name} resumes by {method}")
            stage.each_hears(
                "resumed", (held.media, [holder.media.tone]), (holder.media, [held.media.tone])
            )
    call.bye()


def direct_media(stage):
    """Asterisk takes itself out of the media by re-INVITEs to both, at once."""
    hold(stage, "1011", "1012")


def crossing(stage):
    """Both ends change the call at once while Asterisk re-INVITEs them: glare is refused with 491 (RFC 3261
    §14.1) or 500, tried again, and no end stays behind."""
    test = stage.test
    ann, bob = stage.phones("1011", "1012")
    refused = collections.Counter()

    def insist(dialog, change):
        until = time.monotonic() + 20
        while time.monotonic() < until:
            status = change(dialog).status
            if status == 200:
                return True
            refused[status] += 1
            time.sleep(random.uniform(0.1, 0.6))
        return False

    for _ in range(4):
        call = ann.connect(stage.uri("1012"))
        other = bob.wait_call()
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for change in (Dialog.hold, Dialog.resume, Dialog.hold, Dialog.resume):
                done = list(pool.map(insist, (call, other), (change, change)))
                test.check(all(done), f"{change.__name__} by both at once")
        stage.each_hears("resumed", (call.media, [660]), (other.media, [440]))
        call.bye()
        test.soon(lambda o=other: not o.established(), 4, "ended for both")
    print(f"      refused meanwhile: {dict(refused) or 'nothing'}")


def digits(stage):
    test = stage.test
    for user, by_info in (("1001", False), ("1041", True)):
        (phone,) = stage.phones(user)
        call = phone.connect(stage.uri("digits"))
        time.sleep(0.5)
        for digit in "15#*" if by_info else ():
            body = f"Signal={digit}\r\nDuration=160\r\n"
            answer = call.request("INFO", "", body, "application/dtmf-relay")
            test.equal(answer.status, 200, f"INFO with {digit}")
        if not by_info:
            call.media.press("2580")
        told = (
            (lambda c=call: "".join(one.body[7] for one in c.requests("INFO")))
            if by_info
            else call.media.digits
        )
        expected = "15" if by_info else "2580"
        test.soon(
            lambda t=told, e=expected: t() == e,
            8,
            f"{'INFO' if by_info else 'RFC 4733'}: Asterisk reads and says {expected}",
        )
        if told() != expected:
            print(f"      said: {told()!r}")
        call.bye()
