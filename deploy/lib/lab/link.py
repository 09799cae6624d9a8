"""A client of the Isthmus protocol, written from proto/PROTOCOL.md with Python's library alone.

For tests that must misbehave in ways that the SDK does not allow.
"""

import base64
import os
import socket
import ssl
import struct

CONTROL, SIP = 0, 1


class LinkClosed(Exception):
    """The gateway ended the link; `status` is WebSocket's, or None when TCP or TLS just ended."""

    def __init__(self, status):
        super().__init__(f"WebSocket status {status}")
        self.status = status


def _varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _field(number, value):
    """A protobuf field: integers and bytes."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def parse_fields(data):
    """Field number → list of values, of one protobuf message."""
    fields, position = {}, 0

    def read_varint():
        nonlocal position
        value = shift = 0
        while True:
            byte = data[position]
            position += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while position < len(data):
        key = read_varint()
        if key & 7 == 0:
            value = read_varint()
        elif key & 7 == 2:
            size = read_varint()
            value = data[position : position + size]
            position += size
        else:
            raise ValueError(f"wire type {key & 7}")
        fields.setdefault(key >> 3, []).append(value)
    return fields


def hello(user=None, password=None, token=None, versions=(1, 1)):
    """A control frame with Hello."""
    body = _field(1, versions[0]) + _field(2, versions[1]) + _field(3, "isthmus-lab/1")
    if token is not None:
        body += _field(4, token)
    elif user is not None:
        body += _field(5, _field(1, user) + _field(2, password))
    return bytes([CONTROL]) + _field(1, body)


def acknowledgement(sip_frames):
    """A control frame with Ack: so many SIP frames have come since Welcome."""
    return bytes([CONTROL]) + _field(6, _field(1, sip_frames))


class Link:
    """One WebSocket-over-TLS connection from a lab host. `upgrade=False` stops after TLS."""

    def __init__(self, host, address, port, upgrade=True, timeout=10):
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self.socket = context.wrap_socket(host.connect(address, port, timeout))
        self.socket.settimeout(timeout)
        self._buffer = b""
        if upgrade:
            self._upgrade(address, port)

    def _upgrade(self, address, port):
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            (
                f"GET /isthmus/v1 HTTP/1.1\r\nHost: {address}:{port}\r\nUpgrade: websocket\r\n"
                f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
                "Sec-WebSocket-Protocol: isthmus.v1\r\n\r\n"
            ).encode()
        )
        while b"\r\n\r\n" not in self._buffer:
            self._more()
        head, self._buffer = self._buffer.split(b"\r\n\r\n", 1)
        if not head.startswith(b"HTTP/1.1 101"):
            raise ConnectionError(head.split(b"\r\n", 1)[0].decode())

    def _more(self):
        try:
            data = self.socket.recv(65536)
        except (ConnectionError, ssl.SSLError):
            data = b""
        if not data:
            raise LinkClosed(None)
        self._buffer += data

    def _take(self, size):
        while len(self._buffer) < size:
            self._more()
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken

    def send(self, message, opcode=2):
        """One WebSocket message of any length, with a mask of zeros (RFC 6455 §5.3)."""
        size = len(message)
        if size < 126:
            head = struct.pack(">BB", 0x80 | opcode, 0x80 | size)
        elif size < 65536:
            head = struct.pack(">BBH", 0x80 | opcode, 0x80 | 126, size)
        else:
            head = struct.pack(">BBQ", 0x80 | opcode, 0x80 | 127, size)
        self.socket.sendall(head + b"\0\0\0\0" + message)

    def receive(self, seconds=10):
        """The next binary message. Raises LinkClosed, or socket.timeout."""
        self.socket.settimeout(seconds)
        while True:
            first, second = self._take(2)
            size = second & 0x7F
            if size == 126:
                size = struct.unpack(">H", self._take(2))[0]
            elif size == 127:
                size = struct.unpack(">Q", self._take(8))[0]
            payload = self._take(size)
            if first & 15 == 8:
                raise LinkClosed(struct.unpack(">H", payload[:2])[0] if payload else 1005)
            if first & 15 == 2:
                return payload

    def log_in(self, **credentials):
        """Sends Hello; returns ("welcome" | "reject", fields of the answer)."""
        self.send(hello(**credentials))
        answer = parse_fields(self.receive()[1:])
        if 2 in answer:
            return "welcome", parse_fields(answer[2][0])
        return "reject", parse_fields(answer[3][0])

    def sip(self, text):
        """Sends a SIP message; returns the next SIP message from the gateway."""
        self.send(bytes([SIP]) + (text if isinstance(text, bytes) else text.encode()))
        while True:
            message = self.receive()
            if message[0] == SIP:
                return message[1:].decode(errors="replace")

    def wait_closed(self, seconds=15):
        """Reads until the end. Returns (the reasons that Reject or Close gave, WebSocket's status).

        Raises socket.timeout when it stays open.
        """
        reasons = []
        while True:
            try:
                message = self.receive(seconds)
            except LinkClosed as closed:
                return reasons, closed.status
            if message[:1] == bytes([CONTROL]):
                for number, values in parse_fields(message[1:]).items():
                    if number in (3, 14):  # Reject, Close
                        reasons += [
                            parse_fields(value).get(2, [b""])[0].decode() for value in values
                        ]

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()
