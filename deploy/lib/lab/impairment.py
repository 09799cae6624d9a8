"""A bad network in user space: relays UDP and TCP to a gateway, loses datagrams and takes its time."""

import collections
import heapq
import itertools
import random
import selectors
import socket
import threading
import time

_IDLE_S = 0.05  # how long a change of settings may take to be noticed


class Impairment:
    """Relays address:port of `host`, UDP and TCP, to `target`; settings may change at any time.

    loss         share of UDP datagrams that are lost, each way (0 to 1). What is a stream cannot be
                 harmed so from here: nftables does that (lab.nat)
    one_way_s    how long everything takes, each way
    lost, passed UDP datagrams so far, both ways

    One thread; close() ends it and everything that is open.
    """

    def __init__(self, host, address, port, target, seed=1):
        self.host, self.address, self.port, self.target = host, address, port, target
        self.loss, self.one_way_s = 0.0, 0.0
        self.lost = self.passed = 0
        self._random = random.Random(seed)
        self._selector = selectors.DefaultSelector()
        self._due, self._order = [], itertools.count()
        self._clients = {}
        self._shut_out, self._began, self._spoke = set(), {}, {}
        self._running = True
        self._inside = self._udp((address, port))
        self._watch(self._inside, self._from_client)
        self._listener = host.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((address, port))
        self._listener.listen()
        self._listener.setblocking(False)
        self._watch(self._listener, self._accept)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self):
        self._running = False
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()
        self._selector.close()

    def shut_out(self):
        """The UDP clients of this moment reach nobody any more from the addresses that they have."""
        self._shut_out.update(self._clients)

    def first_media_s(self):
        """Of the UDP client that came last: from its first datagram to its first media packet."""
        client = list(self._began)[-1]
        return self._spoke[client] - self._began[client] if client in self._spoke else None

    def _run(self):
        while self._running:
            wait = _IDLE_S if not self._due else min(_IDLE_S, self._due[0][0] - time.monotonic())
            for key, _ in self._selector.select(max(0.0, wait)):
                try:
                    key.data()
                except OSError:
                    self._forget(key.fileobj)
            now = time.monotonic()
            while self._due and self._due[0][0] <= now:
                _, _, deliver = heapq.heappop(self._due)
                try:
                    deliver()
                except OSError:
                    pass  # whoever it was for is gone

    def _later(self, deliver):
        heapq.heappush(self._due, (time.monotonic() + self.one_way_s, next(self._order), deliver))

    def _watch(self, sock, on_readable):
        self._selector.register(sock, selectors.EVENT_READ, on_readable)

    def _forget(self, sock):
        if sock.fileno() >= 0 and sock not in (self._inside, self._listener):
            self._selector.unregister(sock)
            sock.close()

    # UDP: a socket toward the gateway for each client, as a NAT has a mapping.

    def _udp(self, bound):
        sock = self.host.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(bound)
        sock.setblocking(False)
        return sock

    def _from_client(self):
        data, client = self._inside.recvfrom(65536)
        if client in self._shut_out:
            return
        now = time.monotonic()
        self._began.setdefault(client, now)
        if 128 <= data[0] < 192:  # RFC 9443: neither QUIC nor anything else
            self._spoke.setdefault(client, now)
        if client not in self._clients:
            outside = self._udp(("0.0.0.0", 0))
            self._clients[client] = outside
            self._watch(outside, lambda: self._from_gateway(outside, client))
        outside = self._clients[client]
        self._datagram(lambda: outside.sendto(data, self.target))

    def _from_gateway(self, outside, client):
        data = outside.recv(65536)
        if client in self._shut_out:
            return
        self._datagram(lambda: self._inside.sendto(data, client))

    def _datagram(self, send):
        if self._random.random() < self.loss:
            self.lost += 1
            return
        self.passed += 1
        self._later(send)

    # TCP: two connections, and what is on its way between them.

    def _accept(self):
        near, _ = self._listener.accept()
        try:
            far = self.host.connect(*self.target)
        except OSError:
            near.close()
            return
        for sock in (near, far):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setblocking(False)
        for source, sink in ((near, far), (far, near)):
            backlog = collections.deque()
            self._watch(source, lambda s=source, k=sink, b=backlog: self._stream(s, k, b))

    def _stream(self, source, sink, backlog):
        data = source.recv(65536)
        if not data:
            self._selector.unregister(source)
            self._later(lambda: (self._drain(sink, backlog), sink.shutdown(socket.SHUT_WR)))
            return
        self._later(lambda: (backlog.append(data), self._drain(sink, backlog)))

    def _drain(self, sink, backlog):
        while backlog:
            try:
                sent = sink.send(backlog[0])
            except BlockingIOError:
                self._later(lambda: self._drain(sink, backlog))
                return
            if sent < len(backlog[0]):
                backlog[0] = backlog[0][sent:]
            else:
                backlog.popleft()
