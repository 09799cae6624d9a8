"""SIPp, with its built-in scenarios or those of files."""

import csv
import socket

from .net import LabError


class Sipp:
    """One SIPp, as caller (`uac`, with a target) or as callee (`uas`); or with a scenario file."""

    def __init__(self, programs, host, name, scenario, address, port, *more, target=None):
        self.statistics = programs.directory / f"{name}.csv"
        argv = [
            "sipp",
            "-sf" if str(scenario).endswith(".xml") else "-sn",
            scenario,
            "-i",
            address,
            "-p",
            port,
            "-mi",
            address,
            "-nostdin",
            "-trace_err",
            "-error_file",
            programs.directory / f"{name}-errors.log",
            "-trace_stat",
            "-stf",
            self.statistics,
            "-fd",
            "1",
            *more,
        ]
        if target:
            argv.append(target)
        self.program = programs.start(host, name, argv, environment={"TERM": "dumb"})

    def results(self):
        """Successful calls, failed calls, retransmissions; so far."""
        with open(self.statistics, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, delimiter=";"))
        if not rows:
            raise LabError(f"{self.statistics} holds nothing")
        last = rows[-1]
        return {
            "successful": int(last["SuccessfulCall(C)"]),
            "failed": int(last["FailedCall(C)"]),
            "retransmissions": int(last["Retransmissions(C)"]),
        }


class SipSocket:
    """A bare UDP socket that speaks just enough SIP for a test to ask something."""

    def __init__(self, host, address, port=0):
        self.socket = host.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, port))
        self.address, self.port = self.socket.getsockname()
        self._number = 0

    def request(self, method, uri, from_uri, to_uri=None, headers="", body="", **replaced):
        """Text of a request with a branch, tag and Call-ID of its own."""
        self._number += 1
        number = f"{self.port}x{self._number}"
        content = "Content-Type: application/sdp\r\n" if body else ""
        parts = {
            "via": f"SIP/2.0/UDP {self.address}:{self.port};branch=z9hG4bK{number};rport",
            "from_": f"<{from_uri}>;tag=t{number}",
            "to": f"<{to_uri or uri}>",
            "call_id": f"lab-{number}",
            "cseq": f"1 {method}",
            "max_forwards": "70",
            "contact": f"<sip:lab@{self.address}:{self.port}>",
        }
        parts.update(replaced)
        return (
            f"{method} {uri} SIP/2.0\r\nVia: {parts['via']}\r\nFrom: {parts['from_']}\r\n"
            f"To: {parts['to']}\r\nCall-ID: {parts['call_id']}\r\nCSeq: {parts['cseq']}\r\n"
            f"Max-Forwards: {parts['max_forwards']}\r\n"
            f"Contact: {parts['contact']}\r\n{headers}{content}"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        )

    def send(self, text, address, port):
        data = text if isinstance(text, bytes) else text.encode()
        self.socket.sendto(data, (address, port))

    def final(self, seconds=5):
        """The first final response: (status, reason, whole text)."""
        self.socket.settimeout(seconds)
        while True:
            try:
                text = self.socket.recv(65536).decode(errors="replace")
            except socket.timeout:
                raise LabError(f"no SIP answer within {seconds} s") from None
            if text.startswith("SIP/2.0 ") and text[8] != "1":
                line = text.split("\r\n", 1)[0]
                _, status, *reason = line.split(" ", 2)
                return int(status), reason[0] if reason else "", text

    def ask(self, text, address, port, seconds=5):
        self.send(text, address, port)
        return self.final(seconds)

    def close(self):
        self.socket.close()
