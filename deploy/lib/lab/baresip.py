"""baresip from Debian, unchanged: a phone that plays one WAV file and records what it hears."""

import glob
import json
import queue
import shutil
import socket
import subprocess
import threading
import time

from .net import LabError, own_address, wait_until

_CONFIGURATION = """poll_method epoll
sip_listen {address}:{sip_port}
call_local_timeout 60
call_max_calls 8
audio_player nil,nil
audio_source aufile,{play}
audio_alert nil,nil
ausrc_srate 8000
auplay_srate 8000
ausrc_channels 1
auplay_channels 1
audio_buffer 20-160
rtp_ports {rtp_ports}
rtp_stats yes
jitter_buffer_delay 2-6
{interface}
module_path {modules}
module stdio.so
module g711.so
module sndfile.so
module aufile.so
module_tmp uuid.so
module_tmp account.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen 127.0.0.1:{control_port}
snd_path {recordings}
ringback_disabled yes
statmode_default off
"""


def _module_directory():
    found = glob.glob("/usr/lib/baresip/modules") + glob.glob("/usr/lib/*/baresip/modules")
    if not found:
        raise LabError("baresip's modules are not installed")
    return found[0]


def _netstring(data):
    return str(len(data)).encode() + b":" + data + b","


class Baresip:
    """One phone with one account. Registers at once when `register` is set."""

    def __init__(
        self,
        programs,
        host,
        name,
        interface,
        user,
        domain,
        password,
        proxy,
        play,
        sip_port=5060,
        control_port=4444,
        register=True,
        answer="auto",
        rtp="10000-14999",
    ):
        if not shutil.which("baresip"):
            raise LabError("baresip is not installed")
        isolated = host.network.isolated
        self.address = host.address(interface) if isolated else own_address()
        self.sip_port, self.name, self.user, self.domain = host.port(sip_port), name, user, domain
        self.control_port = host.port(control_port)
        self.directory = programs.directory / name
        self.recordings = self.directory / "recordings"
        self.recordings.mkdir(parents=True, exist_ok=True)
        (self.directory / "config").write_text(
            _CONFIGURATION.format(
                address=self.address,
                sip_port=self.sip_port,
                play=play,
                rtp_ports=rtp,
                interface=f"net_interface {interface}" if isolated else "",
                modules=_module_directory(),
                control_port=self.control_port,
                recordings=self.recordings,
            ),
            encoding="utf-8",
        )
        (self.directory / "accounts").write_text(
            f"<sip:{user}@{domain}>;auth_user={user};auth_pass={password};answermode={answer}"
            f';regint={60 if register else 0};outbound="sip:{proxy};transport=udp"\n',
            encoding="utf-8",
        )
        (self.directory / "contacts").write_text("", encoding="utf-8")
        # stdio.so wants a terminal or a pipe that stays open.
        self.program = programs.start(
            host, name, ["baresip", "-f", self.directory, "-4", "-s"], subprocess.PIPE
        )
        self._events = queue.Queue()
        self._control = wait_until(self._open_control, 10, f"{name} has no control port")
        threading.Thread(target=self._read, daemon=True).start()

    def _open_control(self):
        if not self.program.running():
            raise LabError(f"{self.name} ended; see {self.program.log}")
        try:
            connection = self.program.host.connect("127.0.0.1", self.control_port)
        except OSError:
            return None
        connection.settimeout(None)
        return connection

    def _read(self):
        buffer = b""
        while True:
            try:
                data = self._control.recv(65536)
            except OSError:
                return
            if not data:
                return
            buffer += data
            while b":" in buffer:
                length, rest = buffer.split(b":", 1)
                size = int(length)
                if len(rest) < size + 1:
                    break
                self._events.put((time.monotonic(), json.loads(rest[:size])))
                buffer = rest[size + 1 :]

    def command(self, command, parameters=""):
        self._control.sendall(
            _netstring(
                json.dumps({"command": command, "params": parameters, "token": "lab"}).encode()
            )
        )

    def wait_event(self, *types, seconds=10):
        """The next event of one of the types: (time, event). Others are skipped."""
        deadline = time.monotonic() + seconds
        seen = []
        while True:
            try:
                when, event = self._events.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                raise LabError(
                    f"{self.name}: no {' or '.join(types)} within {seconds} s"
                    f" (seen: {', '.join(seen) or 'nothing'}); see {self.program.log}"
                ) from None
            if event.get("type") in types:
                return when, event
            seen.append(str(event.get("type") or event.get("data", ""))[:60])

    def forget_events(self):
        while not self._events.empty():
            self._events.get_nowait()

    def wait_registered(self, seconds=10):
        # Often done before the control port is open, so the log is asked and not the events.
        self.program.wait_output("registered successfully", seconds)

    def dial(self, uri, seconds=10):
        """Places a call and waits until it is answered. Returns the seconds that took."""
        self.forget_events()
        started = time.monotonic()
        self.command("dial", uri)
        when, event = self.wait_event("CALL_ESTABLISHED", "CALL_CLOSED", seconds=seconds)
        if event["type"] == "CALL_CLOSED":
            raise LabError(f"{self.name}: call to {uri} failed: {event.get('param')}")
        return when - started

    def hang_up(self, seconds=5):
        self.command("hangup")
        self.wait_event("CALL_CLOSED", seconds=seconds)

    def wait_closed(self, seconds=10):
        return self.wait_event("CALL_CLOSED", seconds=seconds)[1]

    def recorded(self, direction="dec"):
        """Recordings of what was heard (dec) or said (enc), oldest first."""
        return sorted(
            self.recordings.glob(f"dump-*-{direction}.wav"), key=lambda path: path.stat().st_mtime
        )

    def close(self):
        try:
            self._control.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._control.close()
