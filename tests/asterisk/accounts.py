"""Who registers: each phone, the gateway for its users, the gateway as a trunk. And Asterisk restarts."""

import time

from stage import DOMAIN


def register_ids(stage, user):
    """CSeq numbers of the REGISTERs of that user that Asterisk saw."""
    return [
        one.number
        for source, one in stage.sip_at_asterisk()
        if one.method == "REGISTER" and one.uri and f"sip:{user}@" in one.get("to")
    ]


def passed_through(stage):
    test = stage.test
    (phone,) = stage.phones("1003")
    contacts = stage.asterisk.contacts("1003")
    test.equal(len(contacts), 1, "contacts at Asterisk")
    before = len(register_ids(stage, "1003"))
    for _ in range(4):
        test.equal(phone.register().status, 200, "a refresh")
        time.sleep(0.4)
    test.equal(len(register_ids(stage, "1003")), before, "REGISTERs that Asterisk saw")
    test.soon(lambda: "Avail" in "".join(stage.asterisk.contacts("1003")), 6, "qualified")
    test.check(
        any(one.method == "OPTIONS" for one in phone.outside),
        "by an OPTIONS that reached the phone",
    )
    test.equal(phone.register(0).status, 200, "removed")
    test.soon(lambda: not stage.asterisk.contacts("1003"), 4, "no contact is left at Asterisk")
    other = stage.phone("1003", registered=False)
    other.password = "wrong"
    test.equal(other.register().status, 401, "a wrong password")


def upstream(gateway, user):
    entries = gateway.get("/api/v1/upstreams")
    return next((one for one in entries if one["aor"] == f"sip:{user}@{DOMAIN}"), {})


def restart(stage, gateway, phone, ann):
    """Asterisk goes, and comes back without a memory: everybody is registered again."""
    test, gateways = stage.test, (gateway, stage.gateway)

    def told(what):
        return [one.program.output().count(what) for one in gateways]

    def everywhere(what, before):
        return lambda: all(now > then for now, then in zip(told(what), before))

    before = told("provider_host_dead")
    stage.asterisk.stop(forget=True)
    test.equal(phone.send("OPTIONS", stage.uri("echo"), seconds=20).status, 503, "Asterisk is down")
    test.soon(everywhere("provider_host_dead", before), 15, "both gateways have missed it")
    before = told("provider_host_alive")
    stage.asterisk.start()
    test.soon(everywhere("provider_host_alive", before), 15, "and found it again")
    test.soon(lambda: stage.asterisk.contacts("2001"), 40, "2001 is registered again")
    test.equal(ann.register().status, 200, "1001 refreshes its registration")
    test.soon(lambda: stage.asterisk.contacts("1001"), 4, "which Asterisk sees")
    call = ann.connect(stage.uri("2001"))
    stage.each_hears("a call", (call.media, [550]), (phone.wait_call().media, [440]))
    call.bye()


def account(stage):
    """The gateway registers 2001 for its user; calls go both ways."""
    test = stage.test
    gateway = stage.make_gateway(
        "account",
        100,
        registration="account",
        probe_interval_s=2,
        accounts=[{"user": "2001", "password": "secret-of-2001", "aor": "office"}],
    )
    connector = test.connector(gateway, name="connector-account", port_offset=100)
    hop = (connector.sip_address, connector.sip_port)
    test.soon(lambda: upstream(gateway, "2001").get("registered"), 6, "registered")
    phone = stage.phone("2001", 550, hop=hop)
    ann = stage.phone("1001", 440)
    call = phone.connect(stage.uri("1001"))
    stage.each_hears("out", (call.media, [440]), (ann.wait_call().media, [550]))
    call.bye()
    call = ann.connect(stage.uri("2001"))
    stage.each_hears("in", (call.media, [550]), (phone.wait_call().media, [440]))
    call.bye()
    restart(stage, gateway, phone, ann)
    connector.program.stop()
    gateway.program.stop()
    test.soon(lambda: not stage.asterisk.contacts("2001"), 4, "and is gone with its gateway")


def trunk(stage):
    test = stage.test
    gateway = stage.make_gateway(
        "trunk",
        200,
        registration="trunk",
        inbound_user="to",
        trunk={"user": "trunk", "password": "trunk-password"},
    )
    connector = test.connector(gateway, name="connector-trunk", port_offset=200)
    hop = (connector.sip_address, connector.sip_port)
    test.soon(lambda: upstream(gateway, "trunk").get("registered"), 6, "registered")
    phone = stage.phone("4930555", 550, hop=hop, domain=gateway.domain)
    ann = stage.phone("1001", 440)
    call = phone.connect(stage.uri("1001"))
    stage.each_hears("out", (call.media, [440]), (ann.wait_call().media, [550]))
    call.bye()
    call = ann.connect(stage.uri("94930555"))
    stage.each_hears("in", (call.media, [550]), (phone.wait_call().media, [440]))
    call.bye()
    connector.program.stop()
    gateway.program.stop()
