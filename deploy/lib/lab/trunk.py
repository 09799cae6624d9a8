"""Calls of isthmus-phone to an echo behind a provider, and what they notice of their network."""

import json
import signal
import time

from . import sockets, table
from .echo import Ear, RtpEcho
from .uas import Uas

SUBJECT = "sip:service@trunk.example.net"
_LONGEST_S = 120  # of a call that nobody ends


class TrunkCalls:
    """Phones on one of the site's hosts, the echo at the provider, an ear beside the phones."""

    def __init__(self, test, phones, configuration=None):
        site = test.site
        self.test, self.phones = test, phones
        self.gateway = test.gateway(
            {
                "providers": [
                    {
                        "name": "trunk",
                        "target": f"sip:{site.provider_address}:5062",
                        "domains": ["trunk.example.net"],
                    }
                ],
                **(configuration or {}),
            }
        )
        self.uas = Uas(site.provider, "trunk", site.provider_address, 5062)
        self.echo = RtpEcho(site.provider, site.provider_address, 40000)
        self.ear = Ear(phones)
        self.rows = []

    def close(self):
        """The table, and the end of what listens."""
        if self.rows:
            table.show(self.rows)
        if self.test.arguments.rows:
            table.save(self.rows, self.test.arguments.rows)
        for part in (self.ear, self.uas, self.echo):
            part.close()

    def call(self, name, url, seconds, environment=None):
        return self.test.programs.start(
            self.phones,
            name,
            [
                self.test.build.phone, "call", SUBJECT, "--gateway", url,
                "--pin", self.gateway.pin, "--user", "office", "--password", "office-password",
                "--no-audio", "--json", "--codec", "pcmu", "--duration", str(seconds),
            ],
            environment=environment,
        )  # fmt: skip

    def sip_seen(self):
        return [method for method, _ in self.uas.seen if method != "OPTIONS"]

    def metric(self, name):
        return int(self.gateway.metrics()[name])

    def url(self, scheme, host=None):
        """Of the gateway, as the phones reach it."""
        url = self.test.site.url(self.gateway, host or self.test.site.office)
        return scheme + url[url.index("://") :]

    def survives(self, name, most_ms, *, url=None, seconds=6, harm=None, after_s=2.0,
                 least_share=0.0, environment=None):  # fmt: skip
        """A call that is harmed after so many seconds, or that has a bad network all the time: the
        provider sees no SIP for it but the BYE at its end, audio is never away for more than most_ms
        in either direction, and of the packets sent at least least_share come back. Adds a row to
        the table; returns it."""
        test = self.test
        self.uas.seen.clear()
        since = time.monotonic()
        phone = self.call(
            name.replace(" ", "-"), url or self.url("udp"), _LONGEST_S, environment=environment
        )
        phone.wait_output('"state":"connected","status"', 15)
        began = time.monotonic()
        time.sleep(after_s if harm else 0.5)
        before = self.sip_seen()
        at = time.monotonic()
        if harm:
            harm()
        harmed_ms = (time.monotonic() - at) * 1000
        time.sleep(max(0.0, began + seconds - time.monotonic()))
        gaps = self.echo.gap_ms(at), self.ear.gap_ms(at)
        link = "+".join(sorted({each.protocol for each in sockets.sockets_of(phone)}))
        test.equal(self.sip_seen(), before, f"{name}: SIP that the provider saw")
        phone.process.send_signal(signal.SIGTERM)  # hang up
        test.equal(phone.wait(15), 0, f"{name}: exit code of the phone")
        test.soon(lambda: self.sip_seen() == [*before, "BYE"], 8, f"{name}: BYE at the end")
        row = self._row(name, gaps, most_ms, link, phone, since)
        self.rows.append(row)
        test.check(
            max(gaps) <= most_ms,
            f"{name}: audio away for {gaps[0]:.0f} ms up, {gaps[1]:.0f} ms down, at most {most_ms}"
            + (f"; the change took {harmed_ms:.0f}" if harm else ""),
        )
        if least_share:
            share = 1 - row["lost_up"] / row["sent"], 1 - row["lost_down"] / max(1, row["heard"])
            test.check(
                min(share) >= least_share,
                f"{name}: {share[0]:.1%} of audio arrived up, {share[1]:.1%} down,"
                f" at least {least_share:.0%}",
            )
        return row

    def _row(self, name, gaps, most_ms, link, phone, since):
        lines = [line for line in phone.output().splitlines() if line.startswith("{")]
        told = next(e for e in map(json.loads, lines) if e.get("event") == "summary")
        heard = sum(1 for at in self.echo.times if at > since)
        # The phone misses numbers, those that never came to the echo included; what is on its way
        # when it hangs up is not among them.
        lost_up = max(0, told["packets_sent"] - heard)
        return {
            "name": name,
            "up_ms": gaps[0],
            "down_ms": gaps[1],
            "limit_ms": most_ms,
            "sent": told["packets_sent"],
            "heard": heard,
            "lost_up": lost_up,
            "lost_down": max(0, told["packets_lost"] - lost_up),
            "link": {"udp": "UDP", "tcp": "TLS"}.get(link, link),
        }
