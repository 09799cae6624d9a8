#!/usr/bin/env python3
"""Clients in an office whose only way out is an HTTP proxy with a password (tinyproxy): phone and
connector find it in the environment, in an option, in the configuration; a call outlives the proxy's
restart; a wrong password and a list of exceptions are told for what they are."""

import json
import time

import support
from lab.isthmus import Connector
from lab.tinyproxy import Tinyproxy

PORT = 8888


def phone(test, gateway, name, *more, environment=None, seconds=2):
    site = test.site
    return test.programs.start(
        site.desk,
        name,
        [
            test.build.phone, "call", "echo", "--gateway", site.url(gateway, site.office),
            "--pin", gateway.pin, "--user", "office", "--password", "office-password",
            "--no-audio", "--json", "--codec", "pcmu", "--duration", str(seconds), *more,
        ],
        environment={"https_proxy": "", "HTTPS_PROXY": "", "no_proxy": "", "NO_PROXY": "",
                     **(environment or {})},
    )  # fmt: skip


def ends(test, program, code, words, text):
    test.equal(program.wait(20), code, f"{text}: exit code")
    test.check(words in program.output(), f"{text}: says {words!r}")


def finds_its_way(test, gateway, proxy):
    """Each way of naming the proxy, and each way of not getting through."""
    url = proxy.url()
    before = proxy.tunnels()
    ends(test, phone(test, gateway, "environment", environment={"https_proxy": url}), 0,
         '"event":"summary"', "https_proxy")  # fmt: skip
    ends(test, phone(test, gateway, "upper", environment={"HTTPS_PROXY": url}), 0,
         '"event":"summary"', "HTTPS_PROXY")  # fmt: skip
    ends(test, phone(test, gateway, "option", "--proxy", url,
                     environment={"https_proxy": "http://192.0.2.1:1"}), 0,
         '"event":"summary"', "--proxy before the environment")  # fmt: skip
    test.equal(proxy.tunnels() - before, 3, "tunnels that the proxy was asked for")
    ends(test, phone(test, gateway, "nobody", "--proxy", f"http://{proxy.address}:{PORT}"), 3,
         "asks for a user and password", "no password")  # fmt: skip
    ends(test, phone(test, gateway, "wrong", "--proxy", proxy.url(password="wrong")), 3,
         "refuses the user and password", "a wrong password")  # fmt: skip
    ends(test, phone(test, gateway, "socks", environment={"https_proxy": "socks5://192.0.2.1:1"}), 1,
         "https_proxy in the environment", "a proxy of another kind")  # fmt: skip
    direct = phone(test, gateway, "exempt",
                   environment={"https_proxy": url, "NO_PROXY": "198.51.100.0/24"})  # fmt: skip
    test.soon(lambda: "198.51.100.1:" in direct.output() and "nreachable" in direct.output(), 5,
              "NO_PROXY: the phone goes by itself, and gets nowhere")  # fmt: skip
    direct.stop()


def call_outlives_the_proxy(test, gateway, proxy):
    call = phone(test, gateway, "restart", environment={"https_proxy": proxy.url()}, seconds=6)
    call.wait_output('"state":"connected","status"', 10)
    remote = gateway.get("/api/v1/sessions")[0]["remote"].rsplit(":", 1)[0]
    test.equal(remote, test.site.office.address("up0"), "the gateway sees the proxy's address")
    time.sleep(1)
    proxy.stop()
    time.sleep(0.5)
    proxy.start()
    test.equal(call.wait(20), 0, "a call when the proxy is restarted: exit code")
    back = [json.loads(line) for line in call.output().splitlines() if "resumed_after_s" in line]
    test.check(bool(back), "and its session was resumed by another tunnel")


def connector_by_configuration(test, gateway, proxy):
    site = test.site
    connector = Connector(
        test.programs, test.build, site.desk, site.desk_address, site.url(gateway, site.office),
        "office", "office-password", gateway.pin, name="desk-connector",
        gateway={"proxy": proxy.url()},
    )  # fmt: skip
    connector.wait_link()
    test.check(True, "connector: its link stands by gateway.proxy")
    connector.program.stop()


def run(test):
    gateway = test.gateway()
    proxy = Tinyproxy(
        test.programs, test.site.office, test.site.office_address, PORT, "desk", "open-sesame",
        [gateway.websocket_port],
    )  # fmt: skip
    before = support.Baseline(test, gateway)
    finds_its_way(test, gateway, proxy)
    call_outlives_the_proxy(test, gateway, proxy)
    connector_by_configuration(test, gateway, proxy)
    before.expect_same()


if __name__ == "__main__":
    support.main(run, __doc__, isolated=True, needs=(support.PHONE,))
