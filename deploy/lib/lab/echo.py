"""Ends of audio that note when packets came: an echo of RTP, and an ear on a host's cables."""

import socket
import struct
import threading
import time

_ETH_P_IP = 0x0800
_OUTGOING = 4


class Arrivals:
    """Times at which packets came, and the longest silence between them."""

    def __init__(self):
        self.times = []

    def gap_ms(self, since, until=None):
        """The longest silence after `since`, the one before the first packet included."""
        until = until or time.monotonic()
        times = [since, *[at for at in self.times if since < at < until], until]
        return max((b - a) * 1000 for a, b in zip(times, times[1:]))


class RtpEcho(Arrivals):
    """Sends every packet back to where it came from."""

    def __init__(self, host, address, port):
        super().__init__()
        self._socket = host.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, port))
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            try:
                data, source = self._socket.recvfrom(2048)
                self.times.append(time.monotonic())
                self._socket.sendto(data, source)
            except OSError:
                return

    def close(self):
        self._socket.close()


class Ear(Arrivals):
    """Packets of at least so many bytes that reach a host on any of its cables: audio on its way to
    a client, whatever protects it."""

    def __init__(self, host, least_bytes=150):
        super().__init__()
        self._least = least_bytes
        self._socket = host.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_IP))
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            try:
                data, source = self._socket.recvfrom(2048)
            except OSError:
                return
            if source[2] != _OUTGOING and source[0] != "lo" and len(data) > 20:
                if struct.unpack_from("!H", data, 2)[0] >= self._least:
                    self.times.append(time.monotonic())

    def close(self):
        self._socket.close()
