"""linphonec from Debian, unchanged and headless: files in place of a sound card, commands by a pipe."""

import shutil
import subprocess
import time

from .net import LabError

_CONFIGURATION = """[sip]
sip_port={port}
auto_net_state_mon=0
guess_hostname=0
contact="{user}" <sip:{user}@{address}>
inc_timeout=30
use_ipv6=0
register_only_when_network_is_up=0
default_proxy=0
[proxy_0]
reg_proxy=<sip:{proxy}>
reg_route=<sip:{proxy};lr>
reg_identity=sip:{user}@{domain}
reg_expires=600
reg_sendregister=1
publish=0
[auth_info_0]
username={user}
passwd={password}
realm={domain}
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
    """One phone with one account."""

    def __init__(self, programs, host, name, address, user, domain, password, proxy, play, port):
        program = shutil.which("linphonec")
        if not program:
            raise LabError("linphonec is not installed")
        self.name, self.user, self.domain = name, user, domain
        home = programs.directory / name
        (home / ".local/share/linphone").mkdir(parents=True)
        self.heard = home / "heard.wav"
        configuration = home / "linphonerc"
        configuration.write_text(
            _CONFIGURATION.format(
                port=port,
                rtp_port=port + 2000,
                user=user,
                domain=domain,
                password=password,
                proxy=proxy,
                address=address,
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
        self.command(f"record {self.heard}")
        self.command(f"play {play}")

    def command(self, line):
        self.program.process.stdin.write(f"{line}\n".encode())
        self.program.process.stdin.flush()
        time.sleep(0.1)  # it takes one line at a time

    def wait_registered(self, seconds=10):
        self.program.wait_output("Registration on", seconds)

    def auto_answer(self):
        self.command("autoanswer enable")

    def dial(self, uri, seconds=10):
        self.command(f"call {uri}")
        self.program.wait_output("connected", seconds)

    def hang_up(self):
        self.command("terminate")
