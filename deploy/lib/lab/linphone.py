"""linphonec from Debian, unchanged and headless: files in place of a sound card, commands by a pipe."""

import re
import shutil
import subprocess
import time

from .net import LabError, wait_until

_CONFIGURATION = """[sip]
sip_port={udp_port}
sip_tcp_port={tcp_port}
sip_tls_port={tls_port}
root_ca={root_ca}
verify_server_certs=1
verify_server_cn=1
auto_net_state_mon=0
guess_hostname=0
contact="{user}" <sip:{user}@{address}>
inc_timeout=30
use_ipv6={ipv6}
register_only_when_network_is_up=0
default_proxy=0
[proxy_0]
reg_proxy=<sip:{proxy};transport={transport}>
reg_route=<sip:{proxy};transport={transport};lr>
reg_identity=sip:{user}@{domain}
realm={realm}
reg_expires=600
reg_sendregister=1
publish=0
[auth_info_0]
username={user}
passwd={password}
realm={realm}
[rtp]
audio_rtp_port={rtp_port}
[net]
nat_policy_ref=
[sound]
echocancellation=0
[misc]
version_check_url_root=
log_collection_upload_server_url=
"""


class Linphone:
    """One phone with one account. `address` may be of IPv6; `root_ca`: whom it believes over TLS."""

    def __init__(
        self,
        programs,
        host,
        name,
        address,
        user,
        domain,
        password,
        proxy,
        play,
        port,
        transport="udp",
        root_ca="",
        realm=None,
    ):
        program = shutil.which("linphonec")
        if not program:
            raise LabError("linphonec is not installed")
        self.name, self.user, self.domain = name, user, domain
        home = programs.directory / name
        (home / ".local/share/linphone").mkdir(parents=True)
        self._home, self._recordings = home, 0
        configuration = home / "linphonerc"
        configuration.write_text(
            _CONFIGURATION.format(
                # 0: no such listener.
                udp_port=port if transport == "udp" else 0,
                tcp_port=port if transport == "tcp" else 0,
                tls_port=port if transport == "tls" else 0,
                transport=transport,
                root_ca=root_ca,
                ipv6=int(":" in address),
                rtp_port=port + 2000,
                user=user,
                domain=domain,
                realm=realm or domain,
                password=password,
                proxy=proxy,
                address=f"[{address}]" if ":" in address else address,
            ),
            encoding="utf-8",
        )
        self.program = programs.start(
            host,
            name,
            [program, "-c", configuration, "-d", "0"],
            subprocess.PIPE,
            {"HOME": str(home), "TERM": "dumb"},
        )
        self.program.wait_output("linphonec>", 15)
        self.command("soundcard use files")
        self.record_anew()
        self.command(f"play {play}")

    def record_anew(self):
        """The next call is recorded in a file of its own, `heard`."""
        self._recordings += 1
        self.heard = self._home / f"heard-{self._recordings}.wav"
        self.command(f"record {self.heard}")

    def wait_recorded(self, seconds=5):
        """The file gets its header at the end of the call."""
        wait_until(
            lambda: self.heard.exists() and self.heard.read_bytes()[:4] == b"RIFF",
            seconds,
            f"{self.name} has written no recording",
        )

    def command(self, line):
        self.program.process.stdin.write(f"{line}\n".encode())
        self.program.process.stdin.flush()
        time.sleep(0.1)  # it takes one line at a time

    def wait_registered(self, seconds=10):
        self.program.wait_output("Registration on", seconds)

    def wait_said(self, text, seconds=10, times=1):
        """Waits until its output has that text so often."""
        wait_until(
            lambda: self.program.output().count(text) >= times,
            seconds,
            f"{self.name}: no {text!r} ({times} times) in {self.program.log}",
        )

    def said(self, text):
        return self.program.output().count(text)

    def call_ids(self):
        """Its own numbers of the calls that it has, oldest first."""
        before = len(self.program.output())
        self.command("calls")
        time.sleep(0.3)
        listed = self.program.output()[before:]
        return [int(number) for number in re.findall(r"(?m)^\s*(\d+)\s*\|", listed)]

    def auto_answer(self):
        self.command("autoanswer enable")

    def dial(self, uri, seconds=10):
        before = self.said(" connected.")
        self.command(f"call {uri}")
        self.wait_said(" connected.", seconds, before + 1)

    def hang_up(self):
        self.command("terminate")
