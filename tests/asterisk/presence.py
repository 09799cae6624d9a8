"""What is told beside calls: lamps, waiting messages, texts, who is connected, who diverted."""

import re
import time

import calls


def state_of(notify):
    found = re.search(r"<state>(\w+)</state>", notify.body)
    return found[1] if found else None


def unsubscribe(stage, subscription, event):
    time.sleep(0.3)
    headers = f"Event: {event}\r\nExpires: 0\r\n"
    stage.test.equal(subscription.request("SUBSCRIBE", headers).status, 200, "unsubscribed")
    if stage.asterisk.major < 18:
        # And none is asked for by the gateway, which keeps the subscription for its 64 s of grace.
        print("      this Asterisk sends no last NOTIFY")
        stage.remains(70)
        return
    stage.test.soon(
        lambda: "terminated" in subscription.requests("NOTIFY")[-1].get("subscription-state"),
        4,
        "the last NOTIFY says terminated",
    )


def lamp(stage):
    """dialog-info of a hint follows the calls of another phone."""
    test = stage.test
    ann, bob, cat = stage.phones("1001", "1002", "1003")
    lamps, answer = cat.subscribe(stage.uri("1001"), "dialog", "application/dialog-info+xml")
    test.equal(answer.status, 200, "SUBSCRIBE to dialog events of 1001")

    def shows(state):
        return lambda: (lamps.requests("NOTIFY") or [None])[-1] and (
            state_of(lamps.requests("NOTIFY")[-1]) == state
        )

    test.soon(shows("terminated"), 4, "the lamp is off")
    ann.on_invite = "ring"
    call, _ = bob.call(stage.uri("1001"))
    test.soon(shows("early"), 4, "it blinks")
    ann.pick_up(ann.ringing.pop())
    test.soon(shows("confirmed"), 4, "it is on")
    test.soon(call.established, 4, "the call is there")
    call.bye()
    test.soon(shows("terminated"), 4, "it is off again")
    headers = "Event: dialog\r\nAccept: application/dialog-info+xml\r\nExpires: "
    test.equal(lamps.request("SUBSCRIBE", f"{headers}300\r\n").status, 200, "refreshed")
    unsubscribe(stage, lamps, "dialog")


def presence(stage):
    test = stage.test
    (ann,) = stage.phones("1001")
    seen, answer = ann.subscribe(stage.uri("1002"), "presence", "application/pidf+xml")
    test.equal(answer.status, 200, "SUBSCRIBE to presence of 1002")
    test.soon(lambda: seen.requests("NOTIFY"), 4, "a NOTIFY comes")
    basic = re.search(r"<basic>(\w+)</basic>", seen.requests("NOTIFY")[-1].body)
    test.check(basic, f"it says {basic and basic[1]}")
    unsubscribe(stage, seen, "presence")


def waiting_messages(stage):
    test = stage.test
    (ann,) = stage.phones("1001")

    def told():
        return [one for one in ann.outside if "message-summary" in one.get("event")]

    test.soon(told, 4, "a NOTIFY without a subscription, at the registration")
    count = len(told())
    stage.asterisk.leave_message("1001")
    test.soon(
        lambda: "Messages-Waiting: yes" in "".join(one.body for one in told()[count:]),
        6,
        "another tells of a message",
    )
    box, answer = ann.subscribe(
        stage.uri("1001"), "message-summary", "application/simple-message-summary"
    )
    test.equal(answer.status, 200, "SUBSCRIBE to message-summary")
    test.soon(
        lambda: any("Messages-Waiting: yes" in one.body for one in box.requests("NOTIFY")),
        4,
        "its NOTIFY tells of the message",
    )
    unsubscribe(stage, box, "message-summary")


def texts(stage):
    test = stage.test
    ann, bob = stage.phones("1001", "1002")
    for sender, receiver in ((ann, bob), (bob, ann)):
        text = f"Hello, this is {sender.user}: schön."
        answer = sender.send("MESSAGE", receiver.uri, body=text, content="text/plain")
        test.equal(answer.status, 202, f"MESSAGE of {sender.user}")
        test.soon(
            lambda r=receiver, t=text: any(one.body == t for one in r.outside), 4, "is received"
        )


def identities(stage):
    """P-Asserted-Identity of who is connected, at the answer and when it changes."""
    test = stage.test
    ann, bob, cat = stage.phones("1001", "1002", "1051")
    call = ann.connect(stage.uri("1051"))
    cat.wait_call()
    asserted = next(one for one in call.events if one.status == 200).get("p-asserted-identity")
    test.check("1051" in asserted, f"P-Asserted-Identity of the answer: {asserted}")
    test.equal(cat.active()[0].refer(bob.uri).status, 202, "1051 sends 1001 to 1002")
    other = bob.wait_call()
    stage.each_hears("then", (call.media, [660]), (other.media, [440]))

    def updates():
        return [
            one
            for one in call.requests("UPDATE") + call.requests("INVITE")
            if "1002" in one.get("p-asserted-identity")
        ]

    test.soon(updates, 4, "1001 is told that it is 1002 now")
    for one in updates()[:1]:
        print(f"      by {one.method}: {one.get('p-asserted-identity')}")
    call.bye()


def diversion(stage):
    test = stage.test
    ann, bob = stage.phones("1001", "1002")
    call = ann.connect(stage.uri("diverted-1002"))
    other = bob.wait_call()
    diverted = other.invite.get("diversion")
    test.check("4711" in diverted and "no-answer" in diverted, f"Diversion: {diverted}")
    call.bye()
    bob.on_invite = (
        302,
        f"Contact: <{stage.uri('1003')}>\r\nDiversion: <{bob.uri}>;reason=deflection\r\n",
    )
    (cat,) = [stage.phone("1003", 880)]
    call = ann.connect(stage.uri("1002"))
    other = cat.wait_call()
    print(f"      deflected: {other.invite.get('diversion')}")
    stage.each_hears("deflected", (call.media, [880]), (other.media, [440]))
    call.bye()
