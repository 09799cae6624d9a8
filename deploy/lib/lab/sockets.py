"""What sockets a program has, from the kernel's tables (ss, of iproute2)."""

import collections
import re

Socket = collections.namedtuple("Socket", "protocol state local remote")


def sockets_of(program):
    """Every TCP and UDP socket of the program."""
    found = []
    for line in program.host.run("ss", "-Htunap").stdout.splitlines():
        if re.search(rf"\bpid={program.pid},", line):
            protocol, state, _, _, local, remote, *_ = line.split()
            found.append(Socket(protocol, state, local, remote))
    return found


def beyond(sockets, own_side):
    """Those that reach, or could reach, hosts outside: connected ones, and those bound to any
    address that is not one of `own_side` (loopback and the local network of phones)."""
    return [
        s
        for s in sockets
        if not s.remote.endswith(":*") or s.local.rsplit(":", 1)[0].split("%")[0] not in own_side
    ]
