"""TCP, TLS and IPv6 toward Asterisk."""


def over(stage, name, offset, target, extra=None, users=("1001", "1002"), **provider):
    test = stage.test
    gateway = stage.make_gateway(name, offset, extra, target=target, **provider)
    connector = test.connector(gateway, name=f"connector-{name}", port_offset=offset)
    hop = (connector.sip_address, connector.sip_port)
    ann, bob = (stage.phone(user, tone, hop=hop) for user, tone in zip(users, (440, 660)))
    for caller, callee in ((ann, bob), (bob, ann)):
        call = caller.connect(stage.uri(callee.user))
        other = callee.wait_call()
        stage.each_hears(
            f"{caller.user} calls {callee.user}",
            (call.media, [callee.tone]),
            (other.media, [caller.tone]),
        )
        other.bye()
    for phone in (ann, bob):
        phone.leave()
    connector.program.stop()
    gateway.program.stop()


def tcp(stage):
    over(stage, "tcp", 300, f"sip:{stage.address};transport=tcp")


def _tls(stage):
    return {
        "target": f"sip:{stage.test.site.provider_address}:5061;transport=tls",
        "tls": {"ca_file": str(stage.authority.ca_file), "name": "asterisk.example.net"},
    }


def tls(stage):
    """The gateway has a certificate, by which Asterisk reaches it with connections of its own."""
    certificate, key = stage.authority.issue("gateway", "DNS:gateway.example.net")
    address = stage.test.site.gateway_address
    sip = {
        "udp": {"address": address, "port": 5460},
        "tls": {"address": address, "port": 5461, "certificate": certificate, "private_key": key},
    }
    over(stage, "tls", 400, extra={"sip": sip}, **_tls(stage))


def tls_of_the_gateway_alone(stage):
    """It has none: Asterisk answers on the gateway's connections (rewrite_contact)."""
    over(stage, "tls-out", 600, users=("1061", "1062"), **_tls(stage))


def ipv6(stage):
    _, _, gateway6, address6 = stage.ipv6
    sip = {
        "udp": {"address": stage.test.site.gateway_address, "port": 5560},
        "listeners": [{"transport": "udp", "address": gateway6, "port": 5560}],
    }
    over(stage, "ipv6", 500, f"sip:[{address6}]:5060", {"sip": sip})
