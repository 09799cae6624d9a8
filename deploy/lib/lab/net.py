"""Hosts and cables: network namespaces where the kernel lets us, loopback addresses where not.

A namespace lives as long as the process that holds it, so nothing is left behind when the lab ends,
however it ends. Without the right to make namespaces (a container without CAP_SYS_ADMIN) every
host is an address in 127.0.0.0/8 and takes free ports in place of the usual ones.
"""

import ctypes
import http.client
import os
import shutil
import socket
import subprocess
import sys
import time

_LIBC = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000
_PR_SET_PDEATHSIG = 1
_SIGKILL = 9


def die_with_parent():
    """For preexec_fn: the kernel ends the process when the lab goes, even by SIGKILL."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, _SIGKILL)


def namespaces_possible():
    """Whether this process may make network namespaces and the cables between them."""
    if not (shutil.which("nsenter") and shutil.which("ip")):
        return False
    probe = [
        "unshare",
        "-n",
        "ip",
        "link",
        "add",
        "probe0",
        "type",
        "veth",
        "peer",
        "name",
        "probe1",
    ]
    try:
        return subprocess.run(probe, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def enter_user_namespace():
    """Runs the program again in a user namespace of its own, when only that is allowed.

    Returns when it is not needed or not possible. The user stays who it is (tcpdump would otherwise
    want to become another), with the capabilities that hosts and cables need.
    """
    if os.environ.get("ISTHMUS_LAB_USERNS") or namespaces_possible():
        return
    enter = ["unshare", "-U", "--map-current-user", "--keep-caps", "-n"]
    probe = ["ip", "link", "add", "probe0", "type", "veth", "peer", "name", "probe1"]
    try:
        if subprocess.run(enter + probe, capture_output=True, check=False).returncode != 0:
            return
    except FileNotFoundError:
        return
    os.environ["ISTHMUS_LAB_USERNS"] = "1"
    os.execvp("unshare", [*enter, sys.executable, *sys.argv])


class Host:
    """One machine of the lab. Programs run on it; sockets of the lab itself can be opened on it."""

    def __init__(self, network, name, loopback):
        self.network = network
        self.name = name
        self.loopback = loopback  # its address when there are no namespaces
        self.holder = None
        self.addresses = {}
        self._ports = {}
        if network.isolated:
            self.holder = subprocess.Popen(
                ["unshare", "-n", "--", "sh", "-c", "echo; exec sleep 86400"],
                stdout=subprocess.PIPE,
                preexec_fn=die_with_parent,
                start_new_session=True,
            )
            self.holder.stdout.readline()
            # Only what the lab sends shall be seen: no IPv6 neighbour or router discovery.
            self.run(
                "sh",
                "-c",
                "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6; "
                "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6",
                check=False,
            )
            self.run("ip", "link", "set", "lo", "up")

    def address(self, interface):
        return self.addresses[interface]

    def port(self, usual):
        """The usual port, or in a shared namespace a free one that stands for it."""
        if self.network.isolated:
            return usual
        if usual not in self._ports:
            self._ports[usual] = free_port()
        return self._ports[usual]

    def command(self, *argv):
        """argv as it runs on this host."""
        if self.network.isolated:
            return ["nsenter", "-t", str(self.holder.pid), "-n", "--", *argv]
        return list(argv)

    def run(self, *argv, check=True, **options):
        return subprocess.run(
            self.command(*argv), check=check, capture_output=True, text=True, **options
        )

    def socket(self, *arguments):
        """A socket of this host's network."""
        if not self.network.isolated:
            return socket.socket(*arguments)
        with open("/proc/thread-self/ns/net", "rb") as here, open(
            f"/proc/{self.holder.pid}/ns/net", "rb"
        ) as there:
            if _LIBC.setns(there.fileno(), _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
            try:
                return socket.socket(*arguments)
            finally:
                _LIBC.setns(here.fileno(), _CLONE_NEWNET)

    def connect(self, address, port, timeout=5):
        """A TCP connection from this host."""
        connection = self.socket(socket.AF_INET, socket.SOCK_STREAM)
        connection.settimeout(timeout)
        try:
            connection.connect((address, port))
        except OSError:
            connection.close()
            raise
        return connection

    def http_get(self, address, port, path, timeout=5):
        """Status and body of a GET from this host."""
        client = http.client.HTTPConnection(address, port, timeout=timeout)
        client.sock = self.connect(address, port, timeout)
        try:
            client.request("GET", path)
            answer = client.getresponse()
            return answer.status, answer.read().decode()
        finally:
            client.close()

    def udp_is_bound(self, port):
        return self._proc_net_has("udp", port)

    def _proc_net_has(self, table, port):
        base = f"/proc/{self.holder.pid}/net" if self.network.isolated else "/proc/net"
        with open(f"{base}/{table}", encoding="ascii") as lines:
            next(lines)
            return any(int(line.split()[1].split(":")[1], 16) == port for line in lines)

    def wait_listening(self, table, port, seconds=10):
        """Waits for a socket of "tcp", "tcp6" or "udp6" on that port."""
        wait_until(
            lambda: self._proc_net_has(table, port),
            seconds,
            f"{self.name}: nothing bound {table} {port}",
        )

    def wait_udp(self, port, seconds=10):
        wait_until(
            lambda: self.udp_is_bound(port), seconds, f"{self.name}: nothing bound UDP {port}"
        )


class Network:
    """Owns the hosts. Close it, or use it in a with statement."""

    def __init__(self, isolated=None):
        self.isolated = namespaces_possible() if isolated is None else isolated
        self.hosts = []
        self._third_octet = os.getpid() % 254 + 1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def host(self, name):
        host = Host(self, name, f"127.77.{self._third_octet}.{len(self.hosts) + 1}")
        self.hosts.append(host)
        return host

    def cable(self, left, left_name, left_address, right, right_name, right_address):
        """Joins two hosts. Addresses with their prefix length."""
        ends = [(left, left_name, left_address), (right, right_name, right_address)]
        for host, name, address in ends:
            host.addresses[name] = address.split("/")[0] if self.isolated else host.loopback
        if not self.isolated:
            return
        left.run(
            "ip",
            "link",
            "add",
            left_name,
            "type",
            "veth",
            "peer",
            "name",
            right_name,
            "netns",
            str(right.holder.pid),
        )
        for host, name, address in ends:
            host.run("ip", "address", "add", address, "dev", name)
            host.run("ip", "link", "set", name, "up")
        # Neighbours are told to each other, so that a capture is free of ARP.
        macs = [_mac_of(host, name) for host, name, _ in ends]
        for (host, name, _), (other, other_name, _), mac in (
            (ends[0], ends[1], macs[1]),
            (ends[1], ends[0], macs[0]),
        ):
            host.run(
                "ip",
                "neigh",
                "replace",
                other.addresses[other_name],
                "lladdr",
                mac,
                "dev",
                name,
                "nud",
                "permanent",
            )

    def close(self):
        for host in self.hosts:
            if host.holder:
                host.holder.kill()
                host.holder.wait()
        self.hosts = []


def _mac_of(host, interface):
    words = host.run("ip", "-o", "link", "show", interface).stdout.split()
    return words[words.index("link/ether") + 1]


def own_address():
    """The address from which this machine reaches others; baresip uses no loopback interface."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # nothing is sent
        except OSError:
            raise LabError(
                "neither network namespaces nor an interface with a route are here;"
                " baresip needs one of them"
            ) from None
        return probe.getsockname()[0]


_taken = set()


def free_port():
    """A port that is free for UDP and TCP on every address now."""
    for _ in range(200):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp:
            tcp.bind(("", 0))
            port = tcp.getsockname()[1]
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
                try:
                    udp.bind(("", port))
                except OSError:
                    continue
            if port not in _taken:
                _taken.add(port)
                return port
    raise OSError("no free port")


class LabError(Exception):
    """Something in the lab did not come about; the text says what."""


def wait_until(condition, seconds, what, interval=0.05):
    """Returns the condition's first true value; LabError(what) after that many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise LabError(what)
        time.sleep(interval)
