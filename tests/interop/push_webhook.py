#!/usr/bin/env python3
"""Webhooks that do not work: an untrusted certificate, a certificate of another name, a server that
hangs, one that fails, one that redirects, none at all. Each time the log says why, and the call that
waited for its user is answered 480 when its time is up, and no later."""

import concurrent.futures
import http.server
import socket
import ssl
import threading
import time

import support
from lab.sip_stream import Authority
from lab.sipp import SipSocket

WAIT_S, TIMEOUT_S = 4, 1
SDP = "v=0\r\no=- 1 1 IN IP4 {0}\r\ns=-\r\nc=IN IP4 {0}\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n"


class Server:
    """An HTTP or HTTPS server that answers every POST with one status."""

    def __init__(self, host, port, status, certificate=None, location=None):
        self.posts = 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):  # pylint: disable=invalid-name
                outer.posts += 1
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(status)
                if location:
                    self.send_header("Location", location)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler, False)
        self.server.socket.close()
        self.server.socket = listening(host, port)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            # The handshake in the connection's thread, not in accept().
            self.server.socket = context.wrap_socket(
                self.server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.server.handle_error = lambda *_: None
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def listening(host, port):
    made = host.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("127.0.0.1", port))
    made.listen()
    return made


def call(test, gateway, port):
    """@return (status, seconds) of a call from the provider to bob, who is nowhere."""
    site = test.site
    caller = SipSocket(site.provider, site.provider_address, port)
    text = caller.request(
        "INVITE",
        f"sip:bob@{gateway.sip_address}:{gateway.sip_port}",
        "sip:+49301@trunk.example",
        body=SDP.format(site.provider_address),
    )
    started = time.monotonic()
    status, _, answer = caller.ask(text, gateway.sip_address, gateway.sip_port, seconds=WAIT_S + 5)
    caller.close()
    return status, time.monotonic() - started, "Retry-After" in answer


def run(test):
    site = test.site
    trusted, stranger = Authority(test.directory), test.directory / "stranger"
    stranger.mkdir()
    good = trusted.issue("good", "IP:127.0.0.1")
    of_another = trusted.issue("another", "IP:127.0.0.2")
    untrusted = Authority(stranger).issue("untrusted", "IP:127.0.0.1")
    host = site.gateway
    silent = listening(host, 9103)  # takes the connection and says nothing
    cases = {
        # name: (server, URL, POSTs that are made, words of the log)
        "untrusted": (
            Server(host, 9101, 204, untrusted),
            "https://127.0.0.1:9101/",
            0,
            "the server's certificate is not acceptable: unable to get local issuer certificate",
        ),
        "of_another": (
            Server(host, 9102, 204, of_another),
            "https://127.0.0.1:9102/",
            0,
            "the server's certificate is not acceptable: IP address mismatch",
        ),
        "hangs": (None, "http://127.0.0.1:9103/", 0, "no answer in time"),
        "fails": (Server(host, 9104, 500, good), "https://127.0.0.1:9104/", 2, "the server failed"),
        "redirects": (
            Server(host, 9105, 302, location="http://127.0.0.1:9104/"),
            "http://127.0.0.1:9105/",
            1,
            "the server redirects, which is not followed",
        ),
        "refuses": (
            Server(host, 9106, 403), "http://127.0.0.1:9106/", 1, "the server refused"
        ),
        "nobody": (None, "http://127.0.0.1:9107/", 0, "Connection refused"),
    }  # fmt: skip
    gateways = {}
    for number, (name, (_, url, _, _)) in enumerate(cases.items()):
        gateways[name] = test.gateway(
            {
                "providers": [
                    {
                        "name": "trunk",
                        "target": f"sip:{site.provider_address}:5062",
                        "domains": ["trunk.example"],
                    }
                ],
                "users": [
                    {
                        "name": "bob",
                        "password_hash": test.build.hash_password("bob-pw"),
                        "aors": ["bob"],
                    }
                ],
                "media": {
                    "address": site.gateway_address,
                    "ports": f"{20000 + 100 * number}-{20099 + 100 * number}",
                },
                "push": {
                    "wait_s": WAIT_S,
                    "timeout_s": TIMEOUT_S,
                    "url": url,
                    "ca_file": str(trusted.ca_file),
                },
            },
            name=f"gateway-{name}",
            port_offset=10 * number,
        )
    with concurrent.futures.ThreadPoolExecutor(max_workers=len(cases)) as pool:
        jobs = {
            name: pool.submit(call, test, gateway, 5070 + number)
            for number, (name, gateway) in enumerate(gateways.items())
        }
    for name, (server, url, posts, words) in cases.items():
        with support.scene(f"{name}: {url}"):
            status, seconds, retry_after = jobs[name].result()
            test.equal((status, retry_after), (480, True), "the call, with Retry-After")
            test.check(
                WAIT_S - 0.5 <= seconds <= WAIT_S + 1.5, f"when its time was up: {seconds:.1f} s"
            )
            gateway = gateways[name]
            lines = [
                line for line in gateway.program.output().splitlines() if " push_failed " in line
            ]
            test.equal(len(lines), 1, "one line in the log")
            test.check(words in "".join(lines), f"which says {words!r}: {''.join(lines)[25:]}")
            test.equal(
                int(gateway.metrics()['isthmus_push_total{result="failed"}']), 1, "and is counted"
            )
            if server:
                test.equal(server.posts, posts, "POSTs at the server")
    silent.close()


if __name__ == "__main__":
    support.main(run, __doc__, isolated=True, needs=("openssl",))
