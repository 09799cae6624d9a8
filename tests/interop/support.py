"""What the interoperability tests share. Each of them can be run alone:

    tests/interop/NAME.py [BUILD_DIRECTORY] [options]

Exit code 0: passed; 1: failed, and the logs' directory is named; 77: could not run here, and why.
"""

import argparse
import contextlib
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import time
import traceback

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "deploy" / "lib"))
# pylint: disable=wrong-import-position
from lab import net  # noqa: E402
from lab.baresip import Baresip  # noqa: E402
from lab.isthmus import Build, Connector, Gateway  # noqa: E402
from lab.kamailio import Kamailio  # noqa: E402
from lab.programs import Programs  # noqa: E402
from lab.site import Site  # noqa: E402

SKIPPED = 77
DOMAIN = "sip.example.net"
PHONE = "isthmus-phone"
BUSY = 3  # so many times slower a machine may be that does other work too


class Skip(Exception):
    """The test cannot run on this machine; the text says why."""


class Test:
    """A directory for logs, a network, programs, and a list of what was checked."""

    def __init__(self, arguments, directory, network, programs):
        self.arguments, self.directory = arguments, directory
        self.network, self.programs = network, programs
        self.build = Build(arguments.build)
        self.site = Site(network)
        self.failures = 0
        self.started = time.monotonic()

    def check(self, passed, text):
        """Notes a fact; the test fails at its end when one is not so."""
        self.failures += not passed
        print(f"   {'ok  ' if passed else 'FAIL'} {text}")
        return passed

    def equal(self, found, expected, text):
        return self.check(
            found == expected,
            f"{text}: {found!r}" + ("" if found == expected else f", expected {expected!r}"),
        )

    def soon(self, condition, seconds, text):
        """Checks that the condition becomes true, on a machine of its own within so many seconds."""
        try:
            net.wait_until(condition, BUSY * seconds, text)
            return self.check(True, text)
        except net.LabError:
            return self.check(False, f"{text} (not within {BUSY * seconds} s)")

    def kamailio(self, users, **more):
        return Kamailio(
            self.programs, self.site.provider, self.site.provider_address, DOMAIN, users, **more
        )

    def gateway(self, extra=None, users=None, name="gateway", port_offset=0):
        if self.arguments.shards:
            links = (extra or {}).get("links", {})
            extra = {**(extra or {}), "links": {"shards": self.arguments.shards, **links}}
        return Gateway(
            self.programs,
            self.build,
            self.site.gateway,
            self.site.gateway_address,
            users or {"office": "office-password"},
            extra,
            name,
            port_offset,
        )

    def connector(
        self,
        gateway,
        extra=None,
        password="office-password",
        wait=True,
        name="connector",
        port_offset=0,
        scheme="wss",
    ):
        url = self.site.url(gateway, self.site.office)
        connector = Connector(
            self.programs,
            self.build,
            self.site.office,
            self.site.office_address,
            scheme + url[url.index("://") :],
            "office",
            password,
            gateway.pin,
            extra,
            name,
            port_offset,
        )
        if wait:
            connector.wait_link()
        return connector

    def baresips(self, users, kamailio, connector):
        """A registered baresip for each user, which plays USER.wav of the test's directory. The
        first one is Kamailio's own, the others are behind the connector."""
        phones = {}
        for index, name in enumerate(users):
            outside = index == 0
            registrar = (
                f"{kamailio.address}:{kamailio.port}"
                if outside
                else f"{connector.sip_address}:{connector.sip_port}"
            )
            phones[name] = Baresip(
                self.programs,
                self.site.provider if outside else self.site.desk,
                name,
                "eth0" if outside else "lan0",
                name,
                DOMAIN,
                f"{name}-pw",
                registrar,
                self.directory / f"{name}.wav",
                sip_port=5080 + 2 * index,
                control_port=4444 + index,
                rtp=f"{10000 + 1000 * index}-{10998 + 1000 * index}",
            )
        for phone in phones.values():
            phone.wait_registered()
        return phones


def idle_state(service):
    """What must be the same before and after calls."""
    status = service.status()
    return {name: status[name] for name in ("calls", "media_endpoints", "media_port_pairs_free")}


class Baseline:
    """What services hold before calls, and must hold after them."""

    def __init__(self, test, *services):
        self.test, self.services = test, services
        self.states = {service.name: idle_state(service) for service in services}

    def expect_same(self):
        """Nothing is left of the calls."""
        for service in self.services:
            self.test.soon(
                lambda s=service: idle_state(s) == self.states[s.name],
                5,
                f"{service.name}: calls, media ports and free port pairs as before",
            )

    def expect_clean(self):
        """Nothing is left of the calls, and nothing was malformed."""
        self.expect_same()
        expect_no_malformed(self.test, self.services)


def expect_no_malformed(test, services):
    for service in services:
        malformed = sum(value for name, value in service.metrics().items() if "malformed" in name)
        test.equal(int(malformed), 0, f"{service.name}: malformed messages")


def open_transactions(service):
    metrics = service.metrics()
    return int(
        metrics["isthmus_sip_client_transactions"] + metrics["isthmus_sip_server_transactions"]
    )


def main(test, description, isolated=False, options=None, needs=()):
    """Runs test(Test) with everything cleaned up behind it; ends the program. Of the programs that it
    needs, PHONE is the build's own, which not every build has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "build",
        nargs="?",
        default=ROOT / "build" / "release",
        help="build directory (build/release)",
    )
    parser.add_argument("--keep", action="store_true", help="keep the logs of a passed test")
    parser.add_argument(
        "--shards", type=int, default=0, help="threads that carry the gateways' links (default: 1)"
    )
    parser.add_argument("--rows", help="file to write the test's table to, if it has one")
    for names, how in options or ():
        parser.add_argument(*names, **how)
    arguments = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    net.enter_user_namespace()
    name = pathlib.Path(sys.argv[0]).stem
    directory = pathlib.Path(tempfile.mkdtemp(prefix=f"isthmus-{name}-"))
    code = _run(test, name, arguments, directory, isolated, needs)
    if code == 1 or arguments.keep:
        print(f"logs: {directory}")
    else:
        shutil.rmtree(directory, ignore_errors=True)
    sys.exit(code)


def _run(test, name, arguments, directory, isolated, needs):
    started = time.monotonic()
    failures = 1
    try:
        missing = [program for program in needs if not _found(program, arguments.build)]
        if missing:
            raise Skip(f"not installed, or not built: {', '.join(missing)}")
        with net.Network() as network, Programs(directory) as programs:
            if isolated and not network.isolated:
                raise Skip("needs network namespaces, which this machine does not allow")
            run = Test(arguments, directory, network, programs)
            test(run)
            failures = run.failures
    except Skip as reason:
        print(f"{name}: SKIPPED: {reason}")
        return SKIPPED
    except net.LabError as error:
        print(f"   FAIL {error}")
    except Exception:  # pylint: disable=broad-except
        traceback.print_exc()
    verdict = "passed" if failures == 0 else "FAILED"
    print(f"{name}: {verdict} in {time.monotonic() - started:.0f} s")
    return 1 if failures else 0


def _found(program, build):
    if program == PHONE:
        return Build(build).phone
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


@contextlib.contextmanager
def scene(title):
    """A headline for a group of checks."""
    print(f" - {title}")
    yield


def play(stage, *scenes):
    """Each of the scenes, a headline and a function, on one stage: what all of them use."""
    for title, play_scene in scenes:
        with scene(title):
            play_scene(stage)
