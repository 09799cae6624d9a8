#!/usr/bin/env python3
"""A user-space NAT for one client: relays UDP between it and a server, and forgets the mapping on
SIGUSR1: from then on the server sees another source port, and the old one takes nothing any more.

    udp_relay.py LISTEN_PORT SERVER_ADDRESS SERVER_PORT [--no-media | --cut-after SECONDS]

With --no-media only QUIC passes (by the first byte, RFC 9443: SRTP has 128 to 191); with --cut-after every socket
of the client is served for so long, and then no more. Prints "flow" for each such socket and, after each such change, for how long nothing came from the server.
"""

import select
import signal
import socket
import sys
import time


def main():
    listen_port, server = int(sys.argv[1]), (sys.argv[2], int(sys.argv[3]))
    mode = sys.argv[4] if len(sys.argv) > 4 else ""
    cut_after = float(sys.argv[5]) if mode == "--cut-after" else None
    began = {}

    def passes(data, of):
        if of not in began:
            began[of] = time.monotonic()
            print(f"flow {len(began)}", flush=True)
        if mode == "--no-media" and 128 <= data[0] <= 191:
            return False
        return cut_after is None or time.monotonic() - began[of] < cut_after

    inside = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    inside.bind(("127.0.0.1", listen_port))
    outside = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    wanted = []
    signal.signal(signal.SIGUSR1, lambda *_: wanted.append(True))
    client, last_down, changed = None, None, None
    print("relaying", flush=True)
    while True:
        ready, _, _ = select.select([inside, outside], [], [], 0.02)
        if wanted:
            wanted.clear()
            old = outside.getsockname()[1]
            outside.close()
            outside = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            outside.bind(("0.0.0.0", 0))
            changed = last_down
            print(f"rebound from {old} to {outside.getsockname()[1]}", flush=True)
            continue
        if inside in ready:
            data, client = inside.recvfrom(65536)
            if data and passes(data, client):
                outside.sendto(data, server)
        if outside in ready and client:
            data, _ = outside.recvfrom(65536)
            now = time.monotonic()
            if changed is not None:
                print(f"gap {(now - changed) * 1000:.1f} ms", flush=True)
                changed = None
            last_down = now
            if data and passes(data, client):
                inside.sendto(data, client)


if __name__ == "__main__":
    main()
