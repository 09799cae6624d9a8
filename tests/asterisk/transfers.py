"""Transfers: by phones, attended, and by Asterisk."""

import calls


def gone(stage, title, *dialogs):
    for dialog in dialogs:
        stage.test.soon(
            lambda d=dialog: not d.established(), 6, f"{title}: {dialog.phone.user} is free"
        )


def blind(stage):
    test = stage.test
    ann, bob, cat = stage.phones("1001", "1002", "1003")
    for transferor, other in ((ann, bob), (bob, ann)):
        calls.between(stage, ann, bob)
        mine, theirs = transferor.wait_call(), other.wait_call()
        title = f"{transferor.user} sends {other.user} to 1003"
        answer = mine.refer(stage.uri("1003"), f"Referred-By: <{transferor.uri}>\r\n")
        test.equal(answer.status, 202, f"{title}: answer to the REFER")
        third = cat.wait_call()
        test.soon(lambda m=mine: m.refer_status() == 200, 6, f"{title}: NOTIFY says 200")
        if mine.established():
            mine.bye()
        stage.each_hears(title, (theirs.media, [880]), (third.media, [other.tone]))
        third.bye()
        gone(stage, title, mine, theirs)


def attended(stage):
    test = stage.test
    ann, bob, cat = stage.phones("1001", "1002", "1003")
    first, with_bob = calls.between(stage, ann, bob)
    test.equal(first.hold().status, 200, "1001 holds 1002")
    second = ann.connect(stage.uri("1003"))
    with_cat = cat.wait_call()
    stage.each_hears("1001 asks 1003", (second.media, [880]), (with_cat.media, [440]))
    second.hold()
    answer = first.refer(f"{stage.uri('1003')}?Replaces={second.replaces()}")
    test.equal(answer.status, 202, "answer to the REFER with Replaces")
    test.soon(lambda: first.refer_status() == 200, 6, "NOTIFY says 200")
    stage.each_hears("connected", (with_bob.media, [880]), (with_cat.media, [660]))
    for dialog in (first, second):
        if dialog.established():
            dialog.bye()
    test.check(with_bob.established() and with_cat.established(), "and stay so without 1001")
    with_cat.bye()
    gone(stage, "at the end", with_bob)


def by_asterisk(stage):
    test = stage.test
    ann, cat = stage.phones("1001", "1003")
    call = ann.connect(stage.uri("refer-1003"))
    test.soon(lambda: call.requests("REFER"), 6, "Transfer() sends a REFER")
    refer = call.requests("REFER")[0]
    target = refer.get("refer-to").strip("<>").split(";")[0]
    test.equal(target, stage.uri("1003"), "its Refer-To")
    for frag in ("SIP/2.0 100 Trying", "SIP/2.0 200 OK"):
        state = "active" if "100" in frag else "terminated;reason=noresource"
        headers = f"Event: refer\r\nSubscription-State: {state}\r\n"
        answer = call.request("NOTIFY", headers, frag, "message/sipfrag;version=2.0")
        test.equal(answer.status, 200, f"answer to the NOTIFY with {frag}")
    gone(stage, "transferred", call)
    another = ann.connect(target)
    stage.each_hears("1001 follows", (another.media, [660]))
    another.bye()


def redirected(stage):
    """Redirect of the manager interface: the same call, other media."""
    ann, bob = stage.phones("1001", "1002")
    call, other = calls.between(stage, ann, bob)
    channel = next(name for name in stage.asterisk.channels() if f"/{ann.user}-" in name)
    place = {"Context": "phones", "Exten": "hum-770", "Priority": 1}
    stage.asterisk.action("Redirect", Channel=channel, **place)
    stage.each_hears("moved to another extension", (call.media, [770]))
    gone(stage, "its peer", other)
    call.bye()


def redirected_direct(stage):
    """The same where media had left Asterisk: it is called back by re-INVITE."""
    ann, bob = stage.phones("1011", "1012")
    call, other = calls.between(stage, ann, bob)
    channel = next(name for name in stage.asterisk.channels() if f"/{ann.user}-" in name)
    place = {"Context": "phones", "Exten": "hum-770", "Priority": 1}
    stage.asterisk.action("Redirect", Channel=channel, **place)
    stage.each_hears("moved to another extension", (call.media, [770]))
    gone(stage, "its peer", other)
    call.bye()
