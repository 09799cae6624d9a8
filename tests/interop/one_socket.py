#!/usr/bin/env python3
"""Captures everything on the client's uplink during registration and calls in both directions, with
media: it is one TCP connection and not a packet of anything else."""

import time

import support
from lab import audio, capture, sockets
from lab.baresip import Baresip

TALK_S = 4.0


def run(test):
    site = test.site
    speech = {
        name: audio.speak(test.directory / f"{name}.wav", text, voice)
        for name, voice, text in (
            ("desk", "en", "One socket carries these words."),
            ("reception", "en+f3", "And these words come back the same way."),
        )
    }
    kamailio = test.kamailio({"desk": "desk-pw", "reception": "reception-pw"})
    registrar = f"{kamailio.address}:{kamailio.port}"
    gateway = test.gateway(
        {
            "providers": [
                {"name": "kamailio", "target": f"sip:{registrar}", "domains": [support.DOMAIN]}
            ]
        }
    )
    uplink = capture.Capture(test.programs, site.office, "up0", "uplink")
    connector = test.connector(gateway)

    def phone(name, host, interface, proxy, port):
        return Baresip(
            test.programs,
            host,
            name,
            interface,
            name,
            support.DOMAIN,
            f"{name}-pw",
            proxy,
            test.directory / f"{name}.wav",
            sip_port=port,
        )

    reception = phone("reception", site.provider, "eth0", registrar, 5080)
    desk = phone("desk", site.desk, "lan0", f"{connector.sip_address}:{connector.sip_port}", 5060)
    reception.wait_registered()
    desk.wait_registered()
    found = None
    for caller, callee in ((desk, reception), (reception, desk)):
        callee.forget_events()
        caller.dial(f"sip:{callee.user}@{support.DOMAIN}")
        time.sleep(TALK_S)
        found = sockets.sockets_of(connector.program)
        caller.hang_up()
        callee.wait_closed()

    outside = sockets.beyond(found, {"127.0.0.1", site.office_address})
    test.equal(
        [(s.protocol, s.state) for s in outside],
        [("tcp", "ESTAB")],
        "sockets of the connector beyond its own network, during a call",
    )
    connector.program.stop()  # its farewell is captured, too
    time.sleep(0.5)
    uplink.stop()
    packets = uplink.packets()
    table = capture.flows(packets)
    for (protocol, *ends), (count, size) in table.items():
        print(
            f"      {protocol} {' <-> '.join(f'{a}:{p}' for a, p in ends)}: {count} packets,"
            f" {size} bytes of payload"
        )
    test.equal([flow[0] for flow in table], ["tcp"], "flows on the uplink")
    test.check(len(packets) > 400, f"the capture holds the media: {len(packets)} packets")
    audio_ok = [
        audio.compare(speech[other], audio.read_wav(path)).score
        for phone_, other in ((desk, "reception"), (reception, "desk"))
        for path in phone_.recorded()
    ]
    test.equal(len(audio_ok), 4, "recordings")
    test.check(
        min(audio_ok) >= 0.8,
        "what was spoken was heard: correlations "
        + ", ".join(f"{score:.3f}" for score in audio_ok),
    )


if __name__ == "__main__":
    support.main(run, __doc__, isolated=True, needs=("baresip", "kamailio", "tcpdump"))
