"""SIP over TCP and TLS, by hand: a socket that cuts messages by Content-Length, and a peer that
answers calls on UDP, TCP and TLS and remembers how each request came."""

import re
import socket
import ssl
import subprocess
import threading

from .net import LabError


class StreamSocket:
    """One connection that carries SIP."""

    def __init__(self, connection):
        self.socket = connection
        self._received = b""

    @classmethod
    def connect(cls, host, address, port, tls=None):
        connection = host.connect(address, port)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return cls(tls.wrap_socket(connection) if tls else connection)

    def local(self):
        return self.socket.getsockname()[:2]

    def send(self, text):
        self.socket.sendall(text.encode())

    def message(self, seconds=10):
        """The next message; None when the other side has closed."""
        self.socket.settimeout(seconds)
        while True:
            self._received = self._received.lstrip(b"\r\n")
            head, found, rest = self._received.partition(b"\r\n\r\n")
            if found:
                length = int(re.search(rb"(?im)^(?:content-length|l)\s*:\s*(\d+)", head).group(1))
                if len(rest) >= length:
                    self._received = rest[length:]
                    return (head + found + rest[:length]).decode()
            try:
                data = self.socket.recv(65536)
            except socket.timeout:
                raise LabError(f"no SIP message within {seconds} s") from None
            except OSError:
                return None
            if not data:
                return None
            self._received += data

    def final(self, seconds=10):
        """The next final response: (status, whole text)."""
        while True:
            text = self.message(seconds)
            if text is None:
                raise LabError("the connection was closed in place of an answer")
            if text.startswith("SIP/2.0 ") and text[8] != "1":
                return int(text[8:11]), text

    def close(self):
        self.socket.close()


def header(text, name):
    found = re.search(rf"(?im)^{name}\s*:\s*(.*?)\s*$", text)
    return found.group(1) if found else ""


class AnsweringPeer:
    """Answers whatever comes on one port; `requests` has (transport, text) of each request."""

    def __init__(self, host, address, port, transports, tls=None):
        self.address, self.port, self.requests = address, port, []
        self._sockets = []
        for transport in transports:
            kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
            listening = host.socket(socket.AF_INET, kind)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((address, port))
            self._sockets.append(listening)
            if transport == "udp":
                self._start(self._serve_datagrams, listening)
            else:
                listening.listen()
                self._start(self._accept, listening, transport, tls)

    def of_method(self, method):
        return [entry for entry in self.requests if entry[1].startswith(method + " ")]

    @staticmethod
    def _start(target, *arguments):
        threading.Thread(target=target, args=arguments, daemon=True).start()

    def _serve_datagrams(self, listening):
        while True:
            try:
                data, source = listening.recvfrom(65536)
            except OSError:
                return
            answer = self._answer("udp", data.decode())
            if answer:
                listening.sendto(answer.encode(), source)

    def _accept(self, listening, transport, tls):
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            self._start(self._serve, connection, transport, tls)

    def _serve(self, connection, transport, tls):
        try:
            stream = StreamSocket(
                tls.wrap_socket(connection, server_side=True) if tls else connection
            )
            while True:
                text = stream.message(600)
                if text is None:
                    return
                answer = self._answer(transport, text)
                if answer:
                    stream.send(answer)
        except (OSError, LabError):
            connection.close()

    def _answer(self, transport, text):
        if text.startswith("SIP/2.0"):
            return None
        self.requests.append((transport, text))
        if text.startswith("ACK "):
            return None
        vias = "".join(f"Via: {via}\r\n" for via in re.findall(r"(?im)^Via\s*:\s*(.*?)\s*$", text))
        to = header(text, "To")
        to += "" if ";tag=" in to else ";tag=peer"
        body = ""
        if text.startswith("INVITE "):
            body = (
                f"v=0\r\no=- 1 1 IN IP4 {self.address}\r\ns=-\r\nc=IN IP4 {self.address}\r\n"
                "t=0 0\r\nm=audio 41000 RTP/AVP 0\r\n"
            )
        kind = "Content-Type: application/sdp\r\n" if body else ""
        return (
            f"SIP/2.0 200 OK\r\n{vias}From: {header(text, 'From')}\r\nTo: {to}\r\n"
            f"Call-ID: {header(text, 'Call-ID')}\r\nCSeq: {header(text, 'CSeq')}\r\n"
            f"Contact: <sip:peer@{self.address}:{self.port};transport={transport}>\r\n"
            f"{kind}Content-Length: {len(body)}\r\n\r\n{body}"
        )

    def close(self):
        for listening in self._sockets:
            listening.close()


class Authority:
    """A certificate authority of one test, by the openssl program."""

    def __init__(self, directory):
        self.directory = directory
        self.ca_file = directory / "ca.pem"
        self._openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-days", "2", "-subj", "/CN=Laboratory", "-keyout", directory / "ca.key",
            "-out", self.ca_file,
        )  # fmt: skip

    def issue(self, name, alternative):
        """Certificate and key files for a subjectAltName as "DNS:example.net"."""
        base = self.directory / name
        extensions = self.directory / f"{name}.ext"
        extensions.write_text(f"subjectAltName={alternative}\n", encoding="ascii")
        self._openssl(
            "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-subj", f"/CN={name}", "-keyout", f"{base}.key", "-out", f"{base}.csr",
        )  # fmt: skip
        self._openssl(
            "x509", "-req", "-in", f"{base}.csr", "-CA", self.ca_file, "-CAkey",
            self.directory / "ca.key", "-days", "2", "-extfile", extensions, "-out", f"{base}.pem",
        )  # fmt: skip
        return f"{base}.pem", f"{base}.key"

    @staticmethod
    def server_context(certificate, key):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        return context

    def client_context(self):
        context = ssl.create_default_context(cafile=str(self.ca_file))
        context.check_hostname = False
        return context

    @staticmethod
    def _openssl(*argv):
        subprocess.run(["openssl", *argv], check=True, capture_output=True)
