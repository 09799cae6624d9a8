#!/usr/bin/env python3
"""A real call over one socket: the second half of quickstart.sh, which installs and builds first.

usage: demo.py BUILD_DIRECTORY OUTPUT_DIRECTORY
"""

import concurrent.futures
import json
import os
import pathlib
import shutil
import signal
import sys
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
# pylint: disable=wrong-import-position
from lab import audio, capture, net, picture, sockets  # noqa: E402
from lab.baresip import Baresip  # noqa: E402
from lab.isthmus import Build, Connector, Gateway  # noqa: E402
from lab.kamailio import Kamailio  # noqa: E402
from lab.programs import Programs  # noqa: E402
from lab.site import Site  # noqa: E402

DOMAIN = "sip.example.net"
TALK_S = 4.3
GOOD_SCORE = 0.8
TEXTS = {
    "desk": ("en", "Hello. This call travels over one single socket."),
    "mobile": ("en+m3", "Good morning. I am calling from a mobile phone."),
    "reception": ("en+f3", "Reception speaking. I hear you well."),
    "sales": ("en+f2", "Sales department. How may I help you?"),
}


class Call:
    """One call that was made, and how it went."""

    def __init__(self, title):
        self.title = title
        self.setup_s = None
        self.statistics = None
        self.call_id = None
        self.heard = []  # (who heard, whose speech, recording)
        self.comparisons = []


class Demo:
    """The machines, the programs and the calls, in the order in which they come."""

    def __init__(self, network, programs, build, output):
        self.network, self.programs, self.build, self.output = network, programs, build, output
        self.site = Site(network)
        self.desk, self.office, self.mobile = self.site.desk, self.site.office, self.site.mobile
        self.provider = self.site.provider
        self.checks = []
        self.calls = []
        self.captures = {}
        self.speech = {}
        self.phone_sockets = []

    def check(self, passed, text):
        self.checks.append((passed, text))
        print(f"   {'ok  ' if passed else 'FAIL'} {text}")

    # -- before the calls

    def prepare_speech(self):
        with concurrent.futures.ProcessPoolExecutor(2) as pool:
            self.speech = dict(
                pool.map(_speak, [(self.output, name, *what) for name, what in TEXTS.items()])
            )

    def start_captures(self):
        """What leaves the client's side, and SIP on either side of the socket."""
        if not self.network.isolated:
            try:
                self.captures["all"] = capture.Capture(self.programs, self.office, "lo", "loopback")
            except net.LabError:
                print("   (no right to capture packets here: no ladder, no count of packets)")
            return
        sip = "udp and not portrange 10000-30000"
        for name, host, interface, what in (
            ("office uplink", self.office, "up0", ""),
            ("mobile uplink", self.mobile, "up0", ""),
            ("office lan", self.office, "lan0", sip),
            ("gateway to provider", self.site.gateway, "prov0", sip),
            ("inside provider", self.provider, "lo", sip),
        ):
            self.captures[name] = capture.Capture(
                self.programs, host, interface, "capture-" + name.replace(" ", "-"), what
            )

    def start_programs(self):
        passwords = {name: os.urandom(9).hex() for name in TEXTS}
        link = {name: os.urandom(9).hex() for name in ("office", "mobile")}
        self.passwords, self.link_passwords = passwords, link
        self.kamailio = Kamailio(
            self.programs, self.provider, self.site.provider_address, DOMAIN, passwords
        )
        registrar = f"{self.kamailio.address}:{self.kamailio.port}"
        self.gateway = Gateway(
            self.programs,
            self.build,
            self.site.gateway,
            self.site.gateway_address,
            link,
            {
                "providers": [
                    {"name": "kamailio", "target": f"sip:{registrar}", "domains": [DOMAIN]}
                ]
            },
        )
        self.start_captures()
        self.connector = Connector(
            self.programs,
            self.build,
            self.office,
            self.site.office_address,
            self.site.url(self.gateway, self.office),
            "office",
            link["office"],
            self.gateway.pin,
        )
        self.connector.wait_link()
        self.phones = {}
        for name, host, interface, proxy, port in (
            ("reception", self.provider, "eth0", registrar, 5080),
            ("sales", self.provider, "eth0", registrar, 5090),
            (
                "desk",
                self.desk,
                "lan0",
                f"{self.connector.sip_address}:{self.connector.sip_port}",
                5060,
            ),
        ):
            self.phones[name] = Baresip(
                self.programs,
                host,
                name,
                interface,
                name,
                DOMAIN,
                passwords[name],
                proxy,
                self.output / f"{name}.wav",
                sip_port=port,
                control_port=port + 1000,
            )
        for phone in self.phones.values():
            phone.wait_registered()

    # -- calls

    def between_baresips(self, caller, callee):
        call = Call(f"{caller} -> {callee}")
        before = {name: len(self.phones[name].recorded()) for name in (caller, callee)}
        self.phones[callee].forget_events()
        call.setup_s = self.phones[caller].dial(f"sip:{callee}@{DOMAIN}")
        time.sleep(TALK_S)
        self.read_statistics(call, f"sip:{caller}@{DOMAIN}")
        if caller == "desk":
            self.show_connector_sockets()
        self.phones[caller].hang_up()
        self.phones[callee].wait_closed()
        for hearer, speaker in ((callee, caller), (caller, callee)):
            call.heard.append(
                (hearer, speaker, lambda h=hearer: self.phones[h].recorded()[before[h]])
            )
        return call

    def phone_command(self, action, *more):
        url = self.site.url(self.gateway, self.mobile)
        return [
            self.build.phone,
            *action,
            "--gateway",
            url,
            "--user",
            "mobile",
            "--password",
            self.link_passwords["mobile"],
            "--pin",
            self.gateway.pin,
            "--aor",
            f"sip:mobile@{DOMAIN}",
            "--sip-user",
            "mobile",
            "--sip-password",
            self.passwords["mobile"],
            "--play",
            self.output / "mobile.wav",
            "--json",
            # Opus keeps the sound but not the waveform, which is what is compared here.
            "--codec",
            "pcmu",
            *more,
        ]

    def from_mobile(self, target, hearer):
        """isthmus-phone, straight to the gateway: one process, one socket."""
        name = "phone-to-" + (hearer or "echo")
        call = Call(f"mobile -> {hearer or 'echo'}")
        recording = self.output / f"{name}.wav"
        if hearer:
            before = len(self.phones[hearer].recorded())
            self.phones[hearer].forget_events()
        program = self.programs.start(
            self.mobile,
            name,
            self.phone_command(["call", target], "--record", recording, "--duration", str(TALK_S)),
        )
        program.wait_output('"state":"connected","status"', 15)
        time.sleep(TALK_S - 0.8)
        self.read_statistics(call, f"sip:mobile@{DOMAIN}")
        self.show_phone_sockets(program)
        self.finish_phone(call, program)
        if hearer:
            self.phones[hearer].wait_closed()
            call.heard.append((hearer, "mobile", lambda: self.phones[hearer].recorded()[before]))
            call.heard.append(("mobile", hearer, lambda: recording))
        else:
            call.heard.append(("mobile", "mobile", lambda: recording))
        return call

    def to_mobile(self, caller):
        call = Call(f"{caller} -> mobile")
        recording = self.output / "phone-answers.wav"
        before = len(self.phones[caller].recorded())
        program = self.programs.start(
            self.mobile,
            "phone-answers",
            self.phone_command(["register"], "--answer", "--count", "1", "--record", recording),
        )
        program.wait_output('"registered"', 15)
        call.setup_s = self.phones[caller].dial(f"sip:mobile@{DOMAIN}")
        time.sleep(TALK_S)
        self.read_statistics(call, f"sip:{caller}@{DOMAIN}")
        self.show_phone_sockets(program)
        self.phones[caller].hang_up()
        self.finish_phone(call, program)
        call.heard.append(("mobile", caller, lambda: recording))
        call.heard.append((caller, "mobile", lambda: self.phones[caller].recorded()[before]))
        return call

    def finish_phone(self, call, program):
        code = program.wait(15)
        if code != 0:
            raise net.LabError(f"{call.title}: isthmus-phone ended with {code}; see {program.log}")
        for line in program.output().splitlines():
            if line.startswith("{"):
                setup_ms = json.loads(line).get("setup_ms")
                call.setup_s = call.setup_s or (setup_ms and setup_ms / 1000)

    def make_calls(self):
        """Two rounds; what is independent goes on at once."""
        with concurrent.futures.ThreadPoolExecutor() as pool:
            for jobs in (
                [
                    (self.between_baresips, "desk", "reception"),
                    (self.from_mobile, f"sip:sales@{DOMAIN}", "sales"),
                ],
                [
                    (self.between_baresips, "reception", "desk"),
                    (self.from_mobile, f"sip:echo@{self.gateway.domain}", None),
                    (self.to_mobile, "sales"),
                ],
            ):
                running = []
                for job, *arguments in jobs:
                    running.append(pool.submit(job, *arguments))
                for future in running:
                    call = future.result()
                    print(f"   {call.title}: answered after {1000 * call.setup_s:.0f} ms, ended")
                    self.calls.append(call)

    def read_statistics(self, call, from_uri):
        """The gateway's own measurements, while the call is up; of both directions the worse."""
        for entry in self.gateway.calls():
            if entry["from"] == from_uri and entry["state"] == "answered":
                legs = [
                    leg for leg in (entry["caller"], entry["callee"]) if leg["packets_received"]
                ]
                call.call_id = entry["call_id"]
                call.statistics = {
                    "loss": max(leg["loss_ratio"] for leg in legs),
                    "jitter": max(leg["jitter_ms"] for leg in legs),
                    "mos": min(leg["mos"] for leg in legs),
                }

    # -- evidence

    def show_connector_sockets(self):
        self.connector_sockets = sockets.sockets_of(self.connector.program)

    def show_phone_sockets(self, program):
        self.phone_sockets.append((program.name, sockets.sockets_of(program)))

    def report_sockets(self):
        own_side = {"127.0.0.1", self.site.office_address}
        outside = sockets.beyond(self.connector_sockets, own_side)
        print("\nSockets of isthmus-connector during its call, from the kernel's tables (ss):")
        for entry in self.connector_sockets:
            side = "the socket to the gateway" if entry in outside else "toward its own phones"
            if entry.state == "LISTEN":
                side = "its admin page"
            print(
                f"   {entry.protocol}  {entry.state:7} {entry.local:22} -> {entry.remote:22} {side}"
            )
        self.check(
            [s.protocol for s in outside] == ["tcp"],
            f"the connector has {len(outside)} socket toward the outside, TCP",
        )
        for name, found in self.phone_sockets:
            ends = ", ".join(f"{s.protocol} {s.local} -> {s.remote}" for s in found)
            self.check(
                [s.protocol for s in found] == ["tcp"],
                f"isthmus-phone ({name}) has {len(found)} socket: {ends}",
            )

    def report_captures(self):
        for item in self.captures.values():
            item.stop()
        if not self.network.isolated:
            return
        for name, programs in (("office uplink", 1), ("mobile uplink", 3)):
            table = capture.flows(self.captures[name].packets())
            print(
                f"\nEverything that tcpdump saw on the {name}, from before the first program "
                "started to after the last call:"
            )
            for (protocol, *ends), (packets, size) in table.items():
                where = " <-> ".join(f"{address}:{port}" for address, port in ends)
                print(f"   {protocol}  {where}   {packets} packets, {size} bytes")
            kinds = {protocol for protocol, *_ in table}
            each = (
                "one TCP connection"
                if programs == 1
                else f"{programs} TCP connections, one for each run of isthmus-phone,"
            )
            self.check(
                kinds == {"tcp"} and len(table) == programs, f"{name}: {each} and nothing else"
            )

    def report_ladder(self):
        if not self.captures:
            return
        seen = set()
        messages = []
        for item in self.captures.values():
            for message in capture.sip_messages(item.packets()):
                if message.call_id == self.calls[0].call_id:
                    key = (
                        round(message.time, 3),
                        message.source,
                        message.destination,
                        message.first_line,
                    )
                    if key not in seen:
                        seen.add(key)
                        messages.append(message)
        messages.sort(key=lambda message: message.time)
        phones = self.phones
        columns = [
            ("desk", {(phones["desk"].address, phones["desk"].sip_port)}),
            ("connector", {(self.connector.sip_address, self.connector.sip_port)}),
            ("gateway", {(self.gateway.sip_address, self.gateway.sip_port)}),
            ("Kamailio", {(self.kamailio.address, self.kamailio.port)}),
            ("reception", {(phones["reception"].address, phones["reception"].sip_port)}),
        ]
        media = [(0, 1, "RTP"), (1, 2, "one socket"), (2, 4, "RTP")]
        print(
            f"\nSIP of the call {self.calls[0].title}, as captured on both sides of the socket"
            " (between connector and gateway it is inside TLS):\n"
        )
        for line in capture.ladder(columns, messages, media):
            print("   " + line)
        self.check(
            any("BYE" in m.first_line for m in messages),
            f"{len(messages)} SIP messages of this call, from INVITE to BYE",
        )

    def report_audio(self):
        jobs = [
            (str(recording()), self.speech[speaker])
            for call in self.calls
            for _, speaker, recording in call.heard
        ]
        with concurrent.futures.ProcessPoolExecutor(os.cpu_count()) as pool:
            results = iter(list(pool.map(_compare, jobs)))
        rows = []
        print(
            "\nCall                   set-up     loss   jitter   MOS   what was heard,"
            " as correlation with what was spoken"
        )
        for call in self.calls:
            values = call.statistics or {"loss": 1.0, "jitter": 0.0, "mos": 0.0}
            heard = []
            for hearer, speaker, _ in call.heard:
                result, aligned = next(results)
                call.comparisons.append(result)
                heard.append(f"{hearer} {result.score:.3f}")
                rows.append(
                    (
                        f"{call.title}: {hearer} hears {speaker}, correlation "
                        f"{result.score:.3f}",
                        self.speech[speaker],
                        aligned,
                    )
                )
            print(
                f"   {call.title:19} {1000 * call.setup_s:4.0f} ms  {100 * values['loss']:5.1f} %"
                f"  {values['jitter']:4.1f} ms  {values['mos']:4.2f}   {', '.join(heard)}"
            )
        worst = min(result.score for call in self.calls for result in call.comparisons)
        self.check(
            worst >= GOOD_SCORE,
            f"all {len(rows)} recordings hold what was spoken: worst"
            f" correlation {worst:.3f}, required {GOOD_SCORE}",
        )
        self.check(
            all(call.statistics and call.statistics["mos"] >= 4.0 for call in self.calls),
            "every call's MOS is at least 4.0",
        )
        picture.draw_calls(self.output / "waveforms.png", rows)

    def report_clean_up(self):
        for service in (self.gateway, self.connector):
            status = net.wait_until(
                lambda s=service: (
                    lambda v: v if not v["calls"] and not v["media_endpoints"] else None
                )(s.status()),
                5,
                f"{service.name} still has calls or media ports",
            )
            self.check(status["calls"] == 0, f"{service.name}: 0 calls, 0 media ports left open")


def _speak(job):
    output, name, voice, text = job
    return name, audio.speak(output / f"{name}.wav", text, voice)


def _compare(job):
    path, reference = job
    recording = audio.read_wav(path)
    result = audio.compare(reference, recording)
    start = max(0, result.offset)
    return result, recording[start : start + len(reference)]


def run(build_directory, output):
    started = time.monotonic()
    build = Build(build_directory)
    with net.Network() as network, Programs(output / "logs") as programs:
        if network.isolated:
            print("== Network: five machines as network namespaces, joined by cables:")
            print(
                "   desk -- office ==(uplink)== gateway -- provider,  mobile ==(uplink)== gateway"
            )
        else:
            print("== Network: loopback addresses (no right to make network namespaces here)")
        demo = Demo(network, programs, build, output)
        demo.prepare_speech()
        print(
            "== Programs: Kamailio and two baresip phones at the provider, the gateway,"
            " the connector and a baresip phone in the office"
        )
        demo.start_programs()
        print(f"   registered: desk (through the connector), reception, sales at {DOMAIN}")
        print("== Calls, with speech in both directions")
        demo.make_calls()
        demo.report_ladder()
        demo.report_sockets()
        demo.report_clean_up()
        demo.report_captures()
        demo.report_audio()
    print(f"\n   picture of all waveforms, sent and heard: {output}/waveforms.png")
    print(f"   recordings: {output}, captures and logs: {output}/logs")
    failed = [text for passed, text in demo.checks if not passed]
    print(f"   demonstration took {time.monotonic() - started:.0f} s")
    return failed


def main():
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    net.enter_user_namespace()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.stdout.reconfigure(line_buffering=True)
    output = pathlib.Path(sys.argv[2]).resolve()
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    try:
        failed = run(sys.argv[1], output)
    except (net.LabError, OSError) as error:
        failed = [str(error)]
    except Exception as error:  # pylint: disable=broad-except
        traceback.print_exc()
        failed = [f"the demonstration itself broke: {error!r}"]
    if failed:
        print("\nNOT WORKING:")
        for text in failed:
            print(f"   {text}")
        print(f"Logs: {output}/logs")
        return 1
    print("\nIT WORKS: unmodified SIP software on both ends, and one socket on the client's side.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
