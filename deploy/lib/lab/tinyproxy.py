"""tinyproxy from Debian: an HTTP proxy that opens tunnels to some ports, for who knows the password."""

import shutil

from .net import LabError, wait_until

_CONFIGURATION = """Listen {address}
Port {port}
Timeout 600
LogLevel Info
MaxClients 100
Allow 0.0.0.0/0
BasicAuth {user} {password}
{connect_ports}
DisableViaHeader Yes
"""


class Tinyproxy:
    """Listens on host at address:port; CONNECT is for the given ports alone."""

    def __init__(self, programs, host, address, port, user, password, connect_ports):
        if shutil.which("tinyproxy") is None:
            raise LabError("tinyproxy is not installed")
        self.address, self.port = address, port
        self.user, self.password = user, password
        self._programs, self._host = programs, host
        self._starts = 0
        self._configuration = programs.directory / "tinyproxy.conf"
        self._configuration.write_text(
            _CONFIGURATION.format(
                address=address,
                port=port,
                user=user,
                password=password,
                connect_ports="\n".join(f"ConnectPort {each}" for each in connect_ports),
            ),
            encoding="utf-8",
        )
        self.start()

    def start(self):
        self._starts += 1
        self.program = self._programs.start(
            self._host,
            f"tinyproxy-{self._starts}",
            ["tinyproxy", "-d", "-c", self._configuration],
        )
        wait_until(self._listens, 10, "tinyproxy does not listen")

    def stop(self):
        self.program.stop()

    def url(self, user=None, password=None):
        return f"http://{user or self.user}:{password or self.password}@{self.address}:{self.port}"

    def tunnels(self):
        """How many CONNECTs its log shows, refused ones included."""
        return self.program.output().count(": CONNECT ")

    def _listens(self):
        try:
            self._host.connect(self.address, self.port).close()
            return True
        except OSError:
            return False
