"""Session timers (RFC 4028) of calls that outlast the other scenes."""

import time

INTERVAL_S = 90  # the shortest that RFC 4028 allows; it is refreshed at its half


def refreshes(requests):
    return [
        one
        for one in requests
        if one.status is None
        and one.method in ("UPDATE", "INVITE")
        and f"{INTERVAL_S}" in one.get("session-expires")
    ]


class Timers:
    """One call whose timer Asterisk and the phone keep, and one whose timer the gateway keeps, for a phone that
    knows none."""

    def __init__(self, stage):
        self.stage, test = stage, stage.test
        self.began = time.monotonic()
        self.phone = stage.phone("1021", 440)
        header = f"Session-Expires: {INTERVAL_S};refresher=uas\r\n"
        self.call = self.phone.connect(stage.uri("hum-550"), header)
        answer = next(one for one in self.call.events if one.status == 200)
        test.check(
            "refresher=uas" in answer.get("session-expires"),
            f"Asterisk will refresh: {answer.get('session-expires')}",
        )
        self.gateway = stage.make_gateway(
            "timers", 700, session_timer={"expires_s": INTERVAL_S, "min_s": INTERVAL_S}
        )
        connector = test.connector(self.gateway, name="connector-timers", port_offset=700)
        hop = (connector.sip_address, connector.sip_port)
        self.simple = stage.phone("1022", 660, hop=hop, registered=False)
        self.simple.supported = "replaces"
        self.simple.register()
        self.kept = self.simple.connect(stage.uri("hum-770"))
        stage.lasting = {name for name in stage.asterisk.channels() if name.startswith("PJSIP/102")}
        stage.forget_phones()

    def finish(self):
        stage, test = self.stage, self.stage.test
        left = self.began + INTERVAL_S / 2 + 10 - time.monotonic()
        time.sleep(max(0.0, left))
        test.check(
            refreshes(self.call.events), "Asterisk refreshed its timer, and the phone was asked"
        )
        mine = [
            one
            for source, one in stage.sip_at_asterisk(self.kept.call_id)
            if source == stage.test.site.gateway_address
        ]
        test.check(len(refreshes(mine)) >= 2, "the gateway refreshed the other")
        test.equal(refreshes(self.kept.events), [], "of which its phone heard nothing")
        left = self.began + 1.2 * INTERVAL_S - time.monotonic()
        time.sleep(max(0.0, left))
        stage.each_hears("beyond the interval", (self.call.media, [550]), (self.kept.media, [770]))
        stage.lasting = set()
        for phone in (self.phone, self.simple):
            phone.leave()
