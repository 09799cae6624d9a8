#!/usr/bin/env python3
"""sipsak's OPTIONS: to the gateway, to the connector, and through both to the provider's proxy."""

import support


def ask(test, host, title, *arguments):
    answer = host.run("sipsak", "-vv", *arguments, check=False)
    text = answer.stdout + answer.stderr
    status = next((line for line in text.splitlines() if line.startswith("SIP/2.0 ")), "no answer")
    test.check(answer.returncode == 0 and status.startswith("SIP/2.0 200"), f"{title}: {status}")
    return text


def run(test):
    kamailio = test.kamailio({"reception": "x"})
    gateway = test.gateway(
        {
            "providers": [
                {
                    "name": "kamailio",
                    "target": f"sip:{kamailio.address}:{kamailio.port}",
                    "domains": [kamailio.address],
                }
            ]
        }
    )
    connector = test.connector(gateway)
    site = test.site
    ask(
        test,
        site.provider,
        "provider asks the gateway",
        "-s",
        f"sip:{gateway.sip_address}:{gateway.sip_port}",
    )
    ask(
        test,
        site.desk,
        "phone asks the connector, the gateway answers",
        "-s",
        f"sip:{connector.sip_address}:{connector.sip_port}",
    )
    # sipsak resolves the name it asks even when told a proxy, so the provider goes by its address.
    through = ask(
        test,
        site.desk,
        "phone asks the provider through the one socket",
        "-s",
        f"sip:{kamailio.address}:{kamailio.port}",
        "-p",
        f"{connector.sip_address}:{connector.sip_port}",
    )
    test.check("kamailio" in through.lower(), "that answer is Kamailio's own (Server header)")
    for service in (gateway, connector):
        test.equal(service.status()["calls"], 0, f"{service.name}: calls")


if __name__ == "__main__":
    # Isolated, because the gateway serves its provider's address only, which sipsak cannot choose.
    support.main(run, __doc__, isolated=True, needs=("sipsak", "kamailio"))
