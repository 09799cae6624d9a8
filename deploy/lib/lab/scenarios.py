"""Pairs of SIPp scenarios (tests/interop/sipp): NAME_uac.xml calls, NAME_uas.xml is called."""

import concurrent.futures
import pathlib

from .net import LabError
from .sipp import Sipp, SipSocket

DIRECTORY = pathlib.Path(__file__).resolve().parents[3] / "tests" / "interop" / "sipp"
LIMIT_S = 25


def names():
    return sorted(path.name[: -len("_uac.xml")] for path in DIRECTORY.glob("*_uac.xml"))


def domain_of(name):
    return f"{name.replace('_', '-')}.example.net"


class Pairs:
    """Plays pairs, many at a time: "out" from the desk to the provider, "in" the other way."""

    def __init__(self, test, chosen, calls=3):
        self.test, self.names, self.calls = test, chosen, calls

    def called_port(self, name):
        return 6100 + 2 * names().index(name)

    def register(self, connector, gateway):
        """SIPp does not register: this is done for it, from the addresses at which it will listen."""
        site = self.test.site
        for name in self.names:
            line = f"sip:{name}@{gateway.domain}"
            phone = SipSocket(site.desk, site.desk_address, self.called_port(name))
            status, reason, _ = phone.ask(
                phone.request(
                    "REGISTER",
                    f"sip:{gateway.domain}",
                    line,
                    line,
                    "Expires: 3600\r\n",
                    contact=f"<sip:{name}@{site.desk_address}:{self.called_port(name)}>",
                ),
                connector.sip_address,
                connector.sip_port,
            )
            phone.close()
            if status != 200:
                raise LabError(f"registration of {name}: {status} {reason}")

    def play(self, connector, target, in_domain):
        """All of them, both ways. `target`: whom callers at the provider call, as "host:port"."""
        site = self.test.site
        desk, provider = (site.desk, site.desk_address), (site.provider, site.provider_address)
        called = {}
        for name in self.names:
            called[name, "out"] = self._start_called(*provider, name, "out")
            called[name, "in"] = self._start_called(*desk, name, "in")
        with concurrent.futures.ThreadPoolExecutor(max_workers=2 * len(self.names)) as pool:
            jobs = []
            for name in self.names:
                phones = f"{connector.sip_address}:{connector.sip_port}"
                for direction, place, user, domain, goal in (
                    ("out", desk, "service", domain_of(name), phones),
                    ("in", provider, name, in_domain, target),
                ):
                    jobs.append(
                        pool.submit(
                            self._call,
                            *place,
                            name,
                            direction,
                            user,
                            domain,
                            goal,
                            called[name, direction],
                        )
                    )
            for job in jobs:
                job.result()

    def _sipp(self, host, address, name, side, direction, port, *more, target=None):
        directory, label = self.test.directory, f"{name}-{side}-{direction}"
        return Sipp(
            self.test.programs,
            host,
            label,
            DIRECTORY / f"{name}_{side}.xml",
            address,
            port,
            *["-m", self.calls, "-timeout", f"{LIMIT_S}s", "-timeout_error"],
            *["-trace_msg", "-message_file", directory / f"{label}.messages", *more],
            target=target,
        )

    def _start_called(self, host, address, name, direction):
        sipp = self._sipp(host, address, name, "uas", direction, self.called_port(name))
        host.wait_udp(self.called_port(name))
        return sipp

    def _call(self, host, address, name, direction, user, domain, target, called):
        """One scenario in one direction: both SIPps must count nothing but successes."""
        test, port = self.test, self.called_port(name) + 200
        more = ["-s", user, "-key", "domain", domain, "-r", 2]
        caller = self._sipp(host, address, name, "uac", direction, port, *more, target=target)
        codes = [one.program.wait(LIMIT_S + 10) for one in (caller, called)]
        mine, theirs = caller.results(), called.results()
        good = codes == [0, 0] and all(
            counts["successful"] == self.calls and counts["failed"] == 0
            for counts in (mine, theirs)
        )
        again = mine["retransmissions"], theirs["retransmissions"]
        detail = f"{mine['successful']} of {self.calls} calls"
        if any(again):
            detail += f", retransmissions {again[0]} and {again[1]}"
        if not good:
            detail += f"; exit codes {codes}, counted {mine} and {theirs}"
        test.check(good, f"{name}, {direction}: {detail}")
        if name == "ok_repeated":
            test.check(again[1] >= self.calls, f"{name}, {direction}: the 200 was repeated")
