"""A SIP user agent server in a few lines, which fails in the ways that a test asks for."""

import re
import socket
import threading

_SDP = (
    "v=0\r\no=uas 1 1 IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\n"
    "m=audio 40000 RTP/AVP 0\r\n"
)


class Uas:
    """Listens on UDP, or TCP; every request is answered by `mood`: "ok", "silent", "busy" (503).

    Threads of its own; close() ends them, and from then on the kernel answers with ICMP or RST.
    """

    def __init__(self, host, name, address, port, tcp=False):
        self.host, self.name, self.address, self.port, self.tcp = host, name, address, port, tcp
        self.mood, self.retry_after = "ok", 0
        self.seen, self._old = [], set()
        self.last_uri = None
        self._sockets, self._threads = [], []
        self.open()

    def open(self):
        sock = self.host.socket(
            socket.AF_INET, socket.SOCK_STREAM if self.tcp else socket.SOCK_DGRAM
        )
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((self.address, self.port))
        if self.tcp:
            sock.listen()
        self._start(sock, self._accept if self.tcp else self._receive)

    def _start(self, sock, serve):
        sock.settimeout(0.1)
        self._sockets.append(sock)
        thread = threading.Thread(target=serve, args=(sock,), daemon=True)
        self._threads.append(thread)
        thread.start()

    def close(self):
        for sock in self._sockets:
            sock.close()
        for thread in self._threads:
            thread.join()
        self._sockets, self._threads = [], []

    def forget(self):
        """Counts from now on; what is under way may still be repeated, and does not count."""
        self._old.update(branch for _, branch in self.seen)
        self.seen = []

    def count(self, method):
        """Requests of that method, repetitions counted once."""
        return len({branch for name, branch in self.seen if name == method} - self._old)

    def _receive(self, sock):
        while True:
            try:
                data, source = sock.recvfrom(65536)
                answer = self._on_message(data.decode(errors="replace"))
                if answer:
                    sock.sendto(answer.encode(), source)
            except socket.timeout:
                continue
            except OSError:
                return

    def _accept(self, sock):
        while True:
            try:
                self._start(sock.accept()[0], self._read)
            except socket.timeout:
                continue
            except OSError:
                return

    def _read(self, sock):
        buffered = ""
        while True:
            try:
                data = sock.recv(65536)
            except socket.timeout:
                continue
            except OSError:
                return
            if not data:
                return
            buffered += data.decode(errors="replace")
            if buffered.strip("\r\n") == "":
                if buffered.endswith("\r\n\r\n"):  # RFC 5626 §3.5.1
                    sock.sendall(b"\r\n")
                    buffered = ""
                continue
            while "\r\n\r\n" in buffered.lstrip("\r\n"):
                buffered = buffered.lstrip("\r\n")
                head, rest = buffered.split("\r\n\r\n", 1)
                length = re.search(r"^content-length\s*:\s*(\d+)", head, re.I | re.M)
                size = int(length.group(1)) if length else 0
                if len(rest) < size:
                    break
                buffered = rest[size:]
                answer = self._on_message(head + "\r\n\r\n" + rest[:size])
                if answer:
                    sock.sendall(answer.encode())

    def _on_message(self, text):
        """The answer to a message; none to a response, to an ACK, and in silence."""
        method, _, rest = text.partition(" ")
        if method.startswith("SIP/") or "\r\n\r\n" not in text:
            return None
        self.seen.append((method, re.search(r"branch=([^;\s]+)", text).group(1)))
        self.last_uri = rest.split(" ", 1)[0]
        if method == "ACK" or self.mood == "silent":
            return None
        return self._answer(method, text)

    def _answer(self, method, text):
        lines = text.split("\r\n\r\n", 1)[0].split("\r\n")
        kept = [line for line in lines if re.match(r"(via|from|call-id|cseq)\s*:", line, re.I)]
        to = next(line for line in lines if re.match(r"to\s*:", line, re.I))
        if "tag=" not in to:
            to += f";tag={self.name}"
        busy = self.mood == "busy"
        body = "" if busy or method != "INVITE" else _SDP.format(address=self.address)
        head = [f"SIP/2.0 {'503 Service Unavailable' if busy else '200 OK'}", *kept, to]
        if busy and self.retry_after:
            head.append(f"Retry-After: {self.retry_after}")
        transport = ";transport=tcp" if self.tcp else ""
        head.append(f"Contact: <sip:{self.name}@{self.address}:{self.port}{transport}>")
        if body:
            head.append("Content-Type: application/sdp")
        head.append(f"Server: {self.name}")
        return "\r\n".join([*head, f"Content-Length: {len(body)}", "", body])
