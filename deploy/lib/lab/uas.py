"""A SIP user agent server in a few lines, which fails in the ways that a test asks for."""

import re
import socket
import threading

_SDP = (
    "v=0\r\no=uas 1 1 IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\n"
    "m=audio 40000 RTP/AVP 0\r\n"
)


class Uas:
    """Listens on UDP; every request is answered by `mood`: "ok", "silent", or "busy" (503).

    A thread of its own; close() ends it, and from then on the kernel answers with ICMP.
    """

    def __init__(self, host, name, address, port):
        self.host, self.name, self.address, self.port = host, name, address, port
        self.mood, self.retry_after = "ok", 0
        self.seen, self._old = [], set()
        self._socket = self._thread = None
        self.open()

    def open(self):
        self._socket = self.host.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((self.address, self.port))
        self._socket.settimeout(0.1)
        self._thread = threading.Thread(target=self._serve, args=(self._socket,), daemon=True)
        self._thread.start()

    def close(self):
        self._socket.close()
        self._thread.join()

    def forget(self):
        """Counts from now on; what is under way may still be repeated, and does not count."""
        self._old.update(branch for _, branch in self.seen)
        self.seen = []

    def count(self, method):
        """Requests of that method, repetitions counted once."""
        return len({branch for name, branch in self.seen if name == method} - self._old)

    def _serve(self, sock):
        while True:
            try:
                data, source = sock.recvfrom(65536)
            except socket.timeout:
                continue
            except OSError:
                return
            text = data.decode(errors="replace")
            method = text.split(" ", 1)[0]
            if method.startswith("SIP/") or "\r\n" not in text:
                continue
            self.seen.append((method, re.search(r"branch=([^;\s]+)", text).group(1)))
            if method != "ACK" and self.mood != "silent":
                try:
                    sock.sendto(self._answer(method, text).encode(), source)
                except OSError:
                    return

    def _answer(self, method, text):
        lines = text.split("\r\n\r\n", 1)[0].split("\r\n")
        kept = [line for line in lines if re.match(r"(via|from|call-id|cseq)\s*:", line, re.I)]
        to = next(line for line in lines if re.match(r"to\s*:", line, re.I))
        if "tag=" not in to:
            to += f";tag={self.name}"
        busy = self.mood == "busy" and method != "ACK"
        body = "" if busy or method != "INVITE" else _SDP.format(address=self.address)
        head = [f"SIP/2.0 {'503 Service Unavailable' if busy else '200 OK'}", *kept, to]
        if busy and self.retry_after:
            head.append(f"Retry-After: {self.retry_after}")
        head.append(f"Contact: <sip:{self.name}@{self.address}:{self.port}>")
        if body:
            head.append("Content-Type: application/sdp")
        head.append(f"Server: {self.name}")
        return "\r\n".join([*head, f"Content-Length: {len(body)}", "", body])
