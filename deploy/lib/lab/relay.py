"""A TCP relay that loses connections in the ways that networks do."""

import socket
import struct
import threading


class TcpRelay:
    """Passes connections on from host:port to a target. Threads of its own; close() ends them.

    cut() resets what is open, freeze() lets it stand and passes nothing more on it; `refuses` makes
    new connections fail.
    """

    def __init__(self, host, port, target):
        self.host, self.port, self.target = host, port, target
        self.refuses = False
        self.accepted = 0
        self._pairs = []
        self._listener = host.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", port))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self):
        """Every open connection ends with a reset, at both ends."""
        pairs, self._pairs = self._pairs, []
        for pair in pairs:
            pair["open"] = False
            for sock in pair["sockets"]:
                _reset(sock)

    def freeze(self):
        """What is open stays so, and nothing passes on it any more."""
        for pair in self._pairs:
            pair["frozen"] = True

    def close(self):
        self._listener.close()
        self.cut()

    def _accept(self):
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self.refuses:
                _reset(near)
                continue
            try:
                far = self.host.connect(*self.target)
            except OSError:
                _reset(near)
                continue
            self.accepted += 1
            pair = {"sockets": (near, far), "open": True, "frozen": False}
            self._pairs.append(pair)
            for source, sink in ((near, far), (far, near)):
                source.settimeout(None)
                source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=_pass_on, args=(pair, source, sink), daemon=True).start()


def _reset(sock):
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.shutdown(socket.SHUT_RD)
    except OSError:
        pass
    sock.close()


def _pass_on(pair, source, sink):
    while pair["open"]:
        try:
            data = source.recv(65536)
            if pair["frozen"]:
                continue
            if not data:
                sink.shutdown(socket.SHUT_WR)
                return
            sink.sendall(data)
        except OSError:
            return
