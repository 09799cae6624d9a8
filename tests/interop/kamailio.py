#!/usr/bin/env python3
"""Kamailio as the provider's record-routing proxy between the gateway and SIPp: PRACK, session
timers, REFER, forks, glare and the rest of tests/interop/sipp cross two proxies' worth of routes, in
both directions. And Kamailio as registrar: isthmus-phone registers with digest through the gateway,
is called, and calls."""

import support
from lab import scenarios

# What a proxy takes part in: CANCEL it answers itself, and redirections it would follow.
CROSSING = (
    "fork", "glare", "in_dialog", "late_offer", "methods", "ok_repeated", "prack", "refer",
    "session_timer",
)  # fmt: skip


def run(test):
    site = test.site
    pairs = scenarios.Pairs(test, CROSSING, 2)
    gateway_sip = f"sip:{site.gateway_address}:{site.gateway.port(5060)}"
    static = {
        scenarios.domain_of(name): f"sip:{site.provider_address}:{pairs.called_port(name)}"
        for name in CROSSING
    }
    static |= {f"{name}@gateway.example.net": gateway_sip for name in CROSSING}
    kamailio = test.kamailio({"desk": "desk-password", "reception": "x"}, static=static)
    gateway = test.gateway(
        {
            "providers": [
                {
                    "name": "kamailio",
                    "target": f"sip:{kamailio.address}:{kamailio.port}",
                    "domains": [support.DOMAIN, *map(scenarios.domain_of, CROSSING)],
                }
            ]
        }
    )
    connector = test.connector(gateway)
    with support.scene("scenarios through a record-routing proxy"):
        pairs.register(connector, gateway)
        before = support.Baseline(test, gateway, connector)
        pairs.play(connector, f"{kamailio.address}:{kamailio.port}", gateway.domain)
        before.expect_clean()


if __name__ == "__main__":
    support.main(run, __doc__, isolated=True, needs=("sipp", "kamailio"))
