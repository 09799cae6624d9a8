#!/usr/bin/env python3
"""SIPp's own uac and uas scenarios through connector and gateway, in both directions: no call
fails, and afterwards nothing is left: calls, media ports, transactions.

The judged load is --rate 50 --seconds 60.
"""

import support
from lab.net import wait_until
from lab.sipp import Sipp, SipSocket

OPTIONS = (
    (("--rate",), {"type": int, "default": 20, "help": "calls per second (20)"}),
    (("--seconds",), {"type": int, "default": 10, "help": "how long new calls begin (10)"}),
    (("--talk",), {"type": int, "default": 1000, "help": "length of a call, ms (1000)"}),
)
# Timers F, H and L of RFC 3261 and RFC 6026 are 64*T1: so long may a transaction outlive its call.
LINGER_S = 32


def load(test, title, caller_host, caller_address, target, user, callee):
    """Runs one direction to its end and checks the counts of both SIPps."""
    options = test.arguments
    calls = options.rate * options.seconds
    caller = Sipp(
        test.programs,
        caller_host,
        "uac-" + title.replace(" ", "-"),
        "uac",
        caller_address,
        5061,
        "-s",
        user,
        "-r",
        options.rate,
        "-m",
        calls,
        "-d",
        options.talk,
        "-l",
        10 * calls,
        "-timeout",
        f"{options.seconds + 60}s",
        "-timeout_error",
        target=target,
    )
    code = caller.program.wait(options.seconds + 90)
    results = caller.results()
    test.equal(code, 0, f"{title}: exit code of SIPp")
    test.equal(
        results["successful"], calls, f"{title}: successful calls at {options.rate} a second"
    )
    test.equal(results["failed"], 0, f"{title}: failed calls")
    wait_until(
        lambda: callee.results()["successful"] >= calls,
        5,
        f"{title}: the called SIPp counts {callee.results()}, expected {calls} successful",
    )
    test.equal(
        callee.results(),
        {**callee.results(), "successful": calls, "failed": 0},
        f"{title}: counts of the called SIPp",
    )
    print(
        f"      retransmissions: caller {results['retransmissions']},"
        f" called {callee.results()['retransmissions']}"
    )


def run(test):
    site = test.site
    gateway = test.gateway(
        {
            "providers": [
                {
                    "name": "trunk",
                    "target": f"sip:{site.provider_address}:5062",
                    "domains": ["trunk.example.net"],
                }
            ],
            "routes": [
                {
                    "match": {"domain": "gateway.example.net", "user_prefix": "service"},
                    "to": "trunk",
                }
            ],
            "log": {"level": "info"},
        }
    )
    connector = test.connector(gateway, {"log": {"level": "info"}})
    services = (gateway, connector)
    before = support.Baseline(test, *services)

    # SIPp does not register, so this is done for it, from the address at which it will then listen.
    registration = SipSocket(site.desk, site.desk_address, 5070)
    line = f"sip:line1@{gateway.domain}"
    status, reason, _ = registration.ask(
        registration.request(
            "REGISTER",
            f"sip:{gateway.domain}",
            line,
            line,
            "Expires: 3600\r\n",
            contact=f"<sip:line1@{site.desk_address}:5070>",
        ),
        connector.sip_address,
        connector.sip_port,
    )
    test.equal(
        (status, reason), (200, "OK"), "registration of the SIPp phone through the connector"
    )
    registration.close()
    trunk = Sipp(test.programs, site.provider, "uas-trunk", "uas", site.provider_address, 5062)
    phone = Sipp(test.programs, site.desk, "uas-phone", "uas", site.desk_address, 5070)
    site.provider.wait_udp(5062)
    site.desk.wait_udp(5070)

    load(
        test,
        "phone to provider",
        site.desk,
        site.desk_address,
        f"{connector.sip_address}:{connector.sip_port}",
        "service",
        trunk,
    )
    load(
        test,
        "provider to phone",
        site.provider,
        site.provider_address,
        f"{gateway.sip_address}:{gateway.sip_port}",
        "line1",
        phone,
    )

    before.expect_same()
    for service in services:
        test.soon(
            lambda s=service: support.open_transactions(s) == 0,
            LINGER_S + 8,
            f"{service.name}: no transaction left {LINGER_S} s after the last call",
        )
    support.expect_no_malformed(test, services)


if __name__ == "__main__":
    support.main(run, __doc__, isolated=True, options=OPTIONS, needs=("sipp",))
