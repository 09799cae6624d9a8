#!/usr/bin/env python3
"""What happens in calls beyond INVITE and BYE, played by SIPp on both ends (tests/interop/sipp):
glare, PRACK, REFER, late offer, forks, CANCEL and its races, withheld ACKs, redirection, session
timers, subscriptions, and methods that nobody knows; from phone to provider through connector and
gateway, and from provider to phone."""

import support
from lab import scenarios

OPTIONS = (
    (("--only",), {"help": "one scenario: " + ", ".join(scenarios.names())}),
    (("--calls",), {"type": int, "default": 3, "help": "calls of each scenario and direction (3)"}),
)


def run(test):
    site = test.site
    chosen = [test.arguments.only] if test.arguments.only else scenarios.names()
    pairs = scenarios.Pairs(test, chosen, test.arguments.calls)
    gateway = test.gateway(
        {
            "providers": [
                {
                    "name": name.replace("_", "-"),
                    "target": f"sip:{site.provider_address}:{pairs.called_port(name)}",
                    "domains": [scenarios.domain_of(name)],
                }
                for name in chosen
            ]
        }
    )
    connector = test.connector(gateway)
    pairs.register(connector, gateway)
    before = support.Baseline(test, gateway, connector)
    pairs.play(connector, f"{gateway.sip_address}:{gateway.sip_port}", gateway.domain)
    before.expect_clean()


if __name__ == "__main__":
    support.main(run, __doc__, isolated=True, options=OPTIONS, needs=("sipp",))
