#!/usr/bin/env python3
"""What one call costs the gateway on the wire: INVITE to the 200 of its BYE, media off.

    tests/bench/call_cost.py [BUILD_DIRECTORY] [--rate N] [--seconds N] [--rtpengine]

A client with one TLS link (written from proto/PROTOCOL.md, no SDK) places calls to a SIPp uas behind
the gateway, which is a provider by UDP. Offer and answer cross with every call, so the gateway opens
its media ports; no RTP is sent. The processor time of the gateway process, user and kernel, is
divided by the calls, less what it spends when idle. The same SIPp is then called through Kamailio as
a plain record-routing proxy, which rewrites no description and holds no media ports. --rtpengine
calls it once more through Kamailio that has rtpengine open media ports for each call, which is what
an operator would run in the gateway's place; time of both programs counts. All run in the same
minutes on the same machine: the ratio is worth more than the numbers.
"""

import os
import pathlib
import select
import ssl
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "interop"))
# pylint: disable=wrong-import-position
import support  # noqa: E402
from lab.kamailio import module_directory  # noqa: E402
from lab.link import SIP, Link, acknowledgement  # noqa: E402
from lab.sipp import Sipp  # noqa: E402

OPTIONS = (
    (("--rate",), {"type": int, "default": 100, "help": "calls a second (100)"}),
    (("--seconds",), {"type": int, "default": 10, "help": "how long new calls begin (10)"}),
    (("--talk",), {"type": float, "default": 1.0, "help": "length of a call in seconds (1)"}),
    (
        ("--limit",),
        {"type": float, "default": 0.0, "help": "fail above so many ms a call (0: never)"},
    ),
    (("--rtpengine",), {"action": "store_true", "help": "also Kamailio with rtpengine"}),
)
SDP = (
    "v=0\r\no=- 1 1 IN IP4 192.0.0.8\r\ns=-\r\nc=IN IP4 192.0.0.8\r\nt=0 0\r\n"
    "m=audio {channel} RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n"
)
_PROXY = """#!KAMAILIO
debug=0
log_stderror=yes
fork=yes
children=1
disable_tcp=yes
dns=off
rev_dns=off
auto_aliases=no
listen=udp:{address}:{port}
mpath="{modules}"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "siputils.so"
{load}
request_route {{
  if (!mf_process_maxfwd_header("10")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
  if (has_totag()) {{
    if (loose_route()) {{
      {bye}
      t_relay();
    }}
    exit;
  }}
  record_route();
  {offer}
  $du = "sip:{target}";
  t_relay();
}}
{answer}
"""
_NO_MEDIA = {"load": "", "offer": "", "answer": "", "bye": ""}
_MEDIA = {
    "load": 'loadmodule "rtpengine.so"\nmodparam("rtpengine", "rtpengine_sock", "udp:{control}")',
    "offer": 't_on_reply("MEDIA");\n  rtpengine_offer("replace-origin");',
    "answer": "onreply_route[MEDIA] {\n"
    '  if (status=~"(18|2)" && has_body("application/sdp")) rtpengine_answer("replace-origin");\n}',
    "bye": 'if (is_method("BYE")) rtpengine_delete();',
}


def processor_ms(pids):
    """Time that the processes ran so far, all threads, user and kernel.

    From the scheduler's own account in nanoseconds: utime and stime go up by whole ticks (10 ms).
    """
    spent = 0
    for pid in pids:
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            spent += int((task / "schedstat").read_text(encoding="ascii").split()[0])
    return spent / 1e6


def group_of(pid):
    """The process and its descendants."""
    children = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                text = (entry / "stat").read_text(encoding="ascii", errors="replace")
            except OSError:
                continue
            children.setdefault(int(text.rsplit(")", 1)[1].split()[1]), []).append(int(entry.name))
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found


def header(text, name):
    for line in text.split("\r\n")[1:]:
        if not line:
            break
        if line.lower().startswith(name + ":"):
            return line.split(":", 1)[1].strip()
    return ""


class Caller:
    """Places calls over one link: one socket, one thread, no waiting."""

    def __init__(self, link, talk_s):
        self.link, self.talk_s = link, talk_s
        self.link.socket.setblocking(False)
        self.begun = self.done = self.failed = self._frames = 0
        self._calls, self._ends, self._out, self._in = {}, [], b"", b""

    def begin(self):
        self.begun += 1
        number = self.begun
        sdp = SDP.format(channel=16 + 2 * (number % 2000))
        call_id = f"cost-{number}"
        self._calls[call_id] = None
        self._send(
            "INVITE sip:service@trunk.example.net SIP/2.0\r\n"
            f"Via: SIP/2.0/TLS cost.invalid;branch=z9hG4bKi{number}\r\nMax-Forwards: 70\r\n"
            f'From: "Cost" <sip:office@client.example.net>;tag=c{number}\r\n'
            f"To: <sip:service@trunk.example.net>\r\nCall-ID: {call_id}\r\nCSeq: 1 INVITE\r\n"
            "Contact: <sip:office@cost.invalid;transport=tls>\r\nUser-Agent: cost/1\r\n"
            "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, NOTIFY\r\n"
            f"Supported: replaces, timer\r\nContent-Type: application/sdp\r\n"
            f"Content-Length: {len(sdp)}\r\n\r\n{sdp}"
        )

    def run(self, until):
        """Sends and receives until that time (monotonic), and ends calls whose time has come."""
        while True:
            now = time.monotonic()
            while self._ends and self._ends[0][0] <= now:
                self._in_dialog(self._ends.pop(0)[1], "BYE", 2)
            self._flush()
            if now >= until:
                return
            wake = min([until] + [at for at, _ in self._ends[:1]])
            select.select([self.link.socket], [], [], max(0.0, wake - now))
            self._receive()

    def _send(self, text):
        self._send_frame(bytes([SIP]) + text.encode())

    def _send_frame(self, data):
        size = len(data)
        head = bytes([0x82, 0x80 | size]) if size < 126 else b"\x82\xfe" + size.to_bytes(2, "big")
        self._out += head + b"\0\0\0\0" + data

    def _flush(self):
        while self._out:
            try:
                self._out = self._out[self.link.socket.send(self._out[:16384]) :]
            except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
                return

    def _receive(self):
        while True:
            try:
                data = self.link.socket.recv(65536)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                break
            if not data:
                raise ConnectionError("the gateway closed the link")
            self._in += data
        while len(self._in) >= 2:
            size, begin = self._in[1] & 0x7F, 2
            if size == 126:
                size, begin = int.from_bytes(self._in[2:4], "big"), 4
            if len(self._in) < begin + size:
                return
            payload, self._in = self._in[begin : begin + size], self._in[begin + size :]
            if payload[:1] == bytes([SIP]):
                self._frames += 1
                if self._frames % 8 == 0:
                    self._send_frame(acknowledgement(self._frames))
                self._on_sip(payload[1:].decode(errors="replace"))

    def _on_sip(self, text):
        call_id, cseq = header(text, "call-id"), header(text, "cseq")
        status = int(text[8:11]) if text.startswith("SIP/2.0 ") else 0
        if call_id not in self._calls or status < 200:
            return
        if status >= 300:
            self.failed += 1
            del self._calls[call_id]
        elif cseq.endswith("INVITE"):
            target = header(text, "contact").split("<")[1].split(">")[0]
            self._calls[call_id] = (target, header(text, "from"), header(text, "to"))
            self._in_dialog(call_id, "ACK", 1)
            self._ends.append((time.monotonic() + self.talk_s, call_id))
        elif cseq.endswith("BYE"):
            self.done += 1
            del self._calls[call_id]

    def _in_dialog(self, call_id, method, cseq):
        target, caller, callee = self._calls[call_id]
        self._send(
            f"{method} {target} SIP/2.0\r\nVia: SIP/2.0/TLS cost.invalid;branch=z9hG4bK{method}"
            f"{call_id}\r\nMax-Forwards: 70\r\nFrom: {caller}\r\nTo: {callee}\r\n"
            f"Call-ID: {call_id}\r\nCSeq: {cseq} {method}\r\nContent-Length: 0\r\n\r\n"
        )


def through_gateway(test, uas_port):
    """Milliseconds of gateway time per call; and all calls that came to the called SIPp."""
    site, options = test.site, test.arguments
    gateway = test.gateway(
        {
            "providers": [
                {
                    "name": "trunk",
                    "target": f"sip:{site.provider_address}:{uas_port}",
                    "domains": ["trunk.example.net"],
                }
            ],
            "limits": {"user": {"call_attempts_per_s": 0}},
            "log": {"level": "info"},
        }
    )
    link = Link(site.mobile, gateway.host.address("mobile0"), gateway.websocket_port)
    test.equal(link.log_in(user="office", password="office-password")[0], "welcome", "link")
    caller = Caller(link, options.talk)

    def place(seconds):
        start, count = time.monotonic(), int(seconds * options.rate)
        for number in range(count):
            caller.run(start + number / options.rate)
            caller.begin()
        return start

    # Code and caches warm, memory grown, and media pairs come back from the first calls.
    place(4 if options.seconds > 3 else 1)
    caller.run(time.monotonic() + options.talk + 1)
    pid = [gateway.program.pid]
    idle = processor_ms(pid)
    caller.run(time.monotonic() + 2)
    idle = (processor_ms(pid) - idle) / 2
    warm, before, begun = caller.done, processor_ms(pid), time.monotonic()
    place(options.seconds)
    caller.run(time.monotonic() + options.talk + 1)
    spent = processor_ms(pid) - before - idle * (time.monotonic() - begun)
    calls = caller.done - warm
    test.equal(calls, options.seconds * options.rate, "calls through the gateway")
    test.equal(caller.failed, 0, "failed calls")
    test.equal(gateway.status()["calls"], 0, "calls left at the gateway")
    link.close()
    gateway.program.stop()
    return spent / max(calls, 1), caller.done


class Comparison:
    """The same calls through Kamailio, by SIPp on both sides."""

    def __init__(self, test, uas_port, name, first_port, media):
        site = test.site
        self._test, self._name, self._ports = test, name, (first_port, first_port + 1)
        self._address, self._groups = site.provider_address, []
        if media:
            media = self._start_rtpengine(site, first_port + 2)
        port = site.provider.port(first_port)
        configuration = test.directory / f"{name}.cfg"
        configuration.write_text(
            _PROXY.format(
                address=self._address,
                port=port,
                modules=module_directory(),
                target=f"{self._address}:{uas_port}",
                **(media or _NO_MEDIA),
            ),
            encoding="ascii",
        )
        (test.directory / f"{name}-run").mkdir()
        proxy = test.programs.start(
            site.provider,
            name,
            ["/usr/sbin/kamailio", "-f", configuration, "-DD", "-E", "-m", "64", "-M", "8"]
            + ["-Y", test.directory / f"{name}-run"],
        )
        site.provider.wait_udp(port)
        self._groups.insert(0, proxy.pid)

    def _start_rtpengine(self, site, port):
        control = f"{self._address}:{site.provider.port(port)}"
        engine = self._test.programs.start(
            site.provider,
            "rtpengine",
            ["/usr/bin/rtpengine", "--foreground", "--log-stderr", "--log-level=4", "--table=-1"]
            + [f"--interface={self._address}", f"--listen-ng={control}", "--no-log-timestamps"]
            + ["--port-min=30000", "--port-max=50000"],
        )
        site.provider.wait_udp(site.provider.port(port))
        self._groups.append(engine.pid)
        return {**_MEDIA, "load": _MEDIA["load"].replace("{control}", control)}

    def milliseconds(self):
        """Processor time per call, of each program."""
        test, options = self._test, self._test.arguments
        self._play(1)
        groups = [group_of(pid) for pid in self._groups]
        before = [processor_ms(group) for group in groups]
        calls = self._play(options.seconds)
        return [
            (processor_ms(group) - then) / calls
            for group, then in zip(groups, before, strict=True)
        ]

    def _play(self, seconds):
        site, options = self._test.site, self._test.arguments
        calls = seconds * options.rate
        uac = Sipp(
            self._test.programs,
            site.provider,
            f"{self._name}-uac-{seconds}",
            HERE / "call_uac.xml",
            self._address,
            site.provider.port(self._ports[1]),
            *["-r", options.rate, "-m", calls, "-d", int(1000 * options.talk)],
            *["-l", 10 * calls, "-timeout", f"{seconds + 30}s"],
            target=f"{self._address}:{site.provider.port(self._ports[0])}",
        )
        self._test.equal(uac.program.wait(seconds + 60), 0, f"SIPp through {self._name}")
        return calls


def run(test):
    site = test.site
    port = site.provider.port(5062)
    scenario = HERE / "call_uas.xml"
    uas = Sipp(test.programs, site.provider, "uas", scenario, site.provider_address, port)
    site.provider.wait_udp(port)
    gateway_ms, calls = through_gateway(test, port)
    runs = [("Kamailio", "UDP to UDP, record-routing proxy", 5066, False)]
    if test.arguments.rtpengine:
        runs.append(("Kamailio and rtpengine", "the same, with media ports", 5076, True))
    print(
        f"   gateway   {gateway_ms:.3f} ms of processor time per call (TLS link, media ports, B2BUA)"
    )
    for title, what, first_port, media in runs:
        name = title.lower().replace(" ", "-")
        parts = Comparison(test, port, name, first_port, media).milliseconds()
        whole = " + ".join(f"{part:.3f}" for part in parts)
        print(f"   {title}  {whole} ms per call ({what}), ratio {gateway_ms / sum(parts):.2f}")
    calls += len(runs) * (1 + test.arguments.seconds) * test.arguments.rate
    until = time.monotonic() + 5  # it writes its statistics once a second
    while uas.results()["successful"] < calls and time.monotonic() < until:
        time.sleep(0.2)
    test.equal(uas.results()["successful"], calls, "calls to their BYE at the called SIPp")
    test.equal(uas.results()["failed"], 0, "failed calls there")
    if test.arguments.limit:
        test.check(gateway_ms < test.arguments.limit, f"below {test.arguments.limit} ms per call")


if __name__ == "__main__":
    support.main(run, __doc__, isolated=True, options=OPTIONS, needs=("sipp", "kamailio"))
