#!/usr/bin/env python3
"""What idle sessions cost a gateway: seconds to accept them, memory, processor time at rest.

    tests/bench/idle_sessions.py [BUILD_DIRECTORY] [--sessions N] [--rest SECONDS]

The gateway program, and one program with N clients of its own on another host of the lab: each has
a TCP connection with TLS and WebSocket, or a UDP socket with QUIC, and a session that it was given
for a bearer token. Passwords would add a scrypt each, which is meant to be slow. Gateway and clients
share this machine, so the seconds are what both need together; the processor time is the gateway's.
"""

import base64
import hashlib
import hmac
import json
import pathlib
import resource
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "interop"))
# pylint: disable=wrong-import-position
import support  # noqa: E402

OPTIONS = (
    (("--sessions",), {"type": int, "default": 10_000, "help": "how many (10000)"}),
    (("--rest",), {"type": float, "default": 30.0, "help": "seconds of rest measured (30)"}),
    (
        ("--limit-kb",),
        {"type": float, "default": 0.0, "help": "fail above so much memory a session (0: never)"},
    ),
)
SPARE = 1000  # descriptors of the gateway beside its links


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(secret):
    """A bearer token (JWT, HS256) that is good for an hour."""
    head = encoded(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
    claims = {"sub": "office", "exp": int(time.time()) + 3600}
    signed = f"{head}.{encoded(json.dumps(claims).encode())}"
    return signed + "." + encoded(hmac.new(secret, signed.encode(), hashlib.sha256).digest())


def memory_kb(pid):
    """What the process has in memory of its own (RssAnon): its heap, not its code."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1])
    raise ValueError("no RssAnon")


def threads_s(pid):
    """Time that each thread of the process ran, user and kernel."""
    tasks = pathlib.Path(f"/proc/{pid}/task").iterdir()
    return {
        t.name: int((t / "schedstat").read_text(encoding="ascii").split()[0]) / 1e9 for t in tasks
    }


def processor_s(pid):
    return sum(threads_s(pid).values())


def measure(test, scheme, secret):
    count, rest = test.arguments.sessions, test.arguments.rest
    gateway = test.gateway(
        {
            "tokens": {"hmac_secrets": [encoded(secret)]},
            "listen": {"websocket": {"port": 8443, "max_connections": count + SPARE}},
            "limits": {"sessions": count + SPARE},
            "log": {"level": "warning"},
        },
        name=f"gateway-{scheme}",
    )
    pid = gateway.program.pid
    url = test.site.url(gateway, test.site.mobile)
    before, ran = memory_kb(pid), threads_s(pid)
    clients = test.programs.start(
        test.site.mobile,
        f"clients-{scheme}",
        [
            test.build.directory / "tests/bench/idle_clients", scheme + url[url.index("://") :],
            gateway.pin, token(secret), count,
        ],
        stdin=subprocess.PIPE,
    )  # fmt: skip
    took = float(clients.wait_output("connected ", 60 + count / 10).split()[2])
    handshakes = [now - ran.get(thread, 0) for thread, now in threads_s(pid).items()]
    time.sleep(min(3.0, rest))  # what handshakes leave behind is given back
    ran, at = processor_s(pid), time.monotonic()
    time.sleep(rest)
    share = (processor_s(pid) - ran) / (time.monotonic() - at)
    used = memory_kb(pid) - before
    test.equal(gateway.status()["sessions"], count, f"{scheme}: sessions that stand")
    retries = gateway.metrics().get('isthmus_udp_answered_total{with="retry"}', 0)
    test.check(clients.running(), f"{scheme}: no client lost its link")
    clients.process.stdin.close()
    test.equal(clients.wait(30), 0, f"{scheme}: exit code of the clients")
    gateway.program.stop(30)
    return {
        "seconds": took,
        "accept_ms": sum(handshakes) / count * 1000,
        "busiest_ms": max(handshakes) / count * 1000,
        "kb": used / count,
        "rest": share * 100,
        "retries": int(retries),
    }


def run(test):
    count = test.arguments.sessions
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < count + SPARE:
        raise support.Skip(f"{count} sessions need {count + SPARE} descriptors, {hard} are allowed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count + SPARE), hard))
    if not (test.build.directory / "tests/bench/idle_clients").exists():
        raise support.Skip("idle_clients is not built (-DISTHMUS_BENCH=ON)")
    secret = hashlib.sha256(str(test.directory).encode()).digest()
    rows = {scheme: measure(test, scheme, secret) for scheme in ("wss", "udp")}
    print(f"   {count} idle sessions: seconds until all stand; the gateway's processor time for each, and")
    print("   that of its busiest thread; its memory for each (RssAnon); share of one processor while they rest, one Ping each")
    print("   in 15 s; how many were asked by QUIC's Retry to show where they are")
    print(f"   {'link':6} {'seconds':>9} {'ms each':>9} {'busiest':>9} {'KiB each':>9} {'% at rest':>10} {'Retry':>7}")
    for scheme, row in rows.items():
        name = "TLS" if scheme == "wss" else "UDP"
        print(
            f"   {name:6} {row['seconds']:9.1f} {row['accept_ms']:9.2f}"
            f" {row['busiest_ms']:9.2f} {row['kb']:9.1f}"
            f" {row['rest']:10.2f} {row['retries']:7}"
        )
        if test.arguments.limit_kb:
            test.check(
                row["kb"] < test.arguments.limit_kb,
                f"{name}: below {test.arguments.limit_kb:.0f} KiB a session",
            )


if __name__ == "__main__":
    support.main(run, __doc__, isolated=True, options=OPTIONS)
