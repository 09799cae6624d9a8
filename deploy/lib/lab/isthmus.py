"""The gateway and the connector: their configurations, their admin pages, their start and end."""

import json
import pathlib
import subprocess

from .net import LabError, own_address, wait_until


class Build:
    """Where the programs are."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory).resolve()
        self.gateway = self._find("gateway/src/app/isthmus-gateway")
        self.connector = self._find("gateway/src/connector/isthmus-connector")
        phone = self.directory / "client-sdk/phone/isthmus-phone"
        self.phone = phone if phone.exists() else None

    def _find(self, name):
        path = self.directory / name
        if not path.exists():
            raise LabError(f"{path} does not exist: build first")
        return path

    def hash_password(self, password):
        return subprocess.run(
            [self.gateway, "hash-password"],
            input=password + "\n",
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()

    def mint_token(self, user, key_file, life_s, *more):
        return subprocess.run(
            [
                self.gateway,
                "mint-token",
                "--user",
                user,
                "--key-file",
                key_file,
                "--life",
                str(life_s),
                *more,
            ],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()


def _yaml(value):
    # JSON is YAML.
    return json.dumps(value, indent=2) + "\n"


class _Service:
    """What gateway and connector have in common."""

    def __init__(self, programs, host, name, binary, configuration, admin_port):
        self.host, self.name, self.admin_port = host, name, admin_port
        self.configuration = programs.directory / f"{name}.yaml"
        self.configuration.write_text(_yaml(configuration), encoding="utf-8")
        self.state = programs.directory / f"{name}-state"
        self.state.mkdir(exist_ok=True)
        self._programs, self._binary = programs, binary
        self.start()

    def start(self):
        self.program = self._programs.start(
            self.host, self.name, [self._binary, "--config", self.configuration]
        )

    def get(self, path):
        """A JSON answer of the admin server."""
        status, body = self.host.http_get("127.0.0.1", self.admin_port, path)
        if status != 200:
            raise LabError(f"{self.name}: {path} answered {status}")
        return json.loads(body)

    def status(self):
        return self.get("/api/v1/status")

    def calls(self):
        return self.get("/api/v1/calls")

    def metrics(self):
        """Name (with labels) → value."""
        status, body = self.host.http_get("127.0.0.1", self.admin_port, "/metrics")
        if status != 200:
            raise LabError(f"{self.name}: /metrics answered {status}")
        lines = (line.rsplit(" ", 1) for line in body.splitlines() if line and line[0] != "#")
        return {name: float(value) for name, value in lines}

    def answers(self):
        try:
            self.status()
            return True
        except (OSError, LabError):
            if not self.program.running():
                raise LabError(f"{self.name} ended; see {self.program.log}") from None
            return False

    def wait_ready(self, seconds=10):
        wait_until(self.answers, seconds, f"{self.name} does not answer on its admin port")


class Gateway(_Service):
    """A gateway; `users` is name → password (any address of record), `extra` more configuration.

    A second one on the same host needs a port_offset.
    """

    def __init__(
        self, programs, build, host, sip_address, users, extra=None, name="gateway", port_offset=0
    ):
        self.websocket_port = host.port(8443 + port_offset)
        self.sip_port = host.port(5060 + port_offset)
        self.sip_address = sip_address
        admin_port = host.port(8080 + port_offset)
        configuration = {
            "domain": "gateway.example.net",
            "state_dir": str(programs.directory / f"{name}-state"),
            "listen": {"websocket": {"port": self.websocket_port}},
            "sip": {"udp": {"address": sip_address, "port": self.sip_port}},
            "media": {"address": sip_address},
            "users": [
                {"name": user, "password_hash": build.hash_password(password), "aors": ["*"]}
                for user, password in users.items()
            ],
            "admin": {"port": admin_port},
            "log": {"level": "debug", "redact": False},
        }
        configuration.update(extra or {})
        self.domain = configuration["domain"]
        super().__init__(programs, host, name, build.gateway, configuration, admin_port)
        self.wait_ready()
        self.pin = self.read_pin()

    def read_pin(self):
        line = self.program.wait_output("certificate_self_signed")
        return line.split('pin="')[1].split('"')[0]


class Connector(_Service):
    """A connector with one link to the gateway at url; `gateway` is more configuration of that."""

    def __init__(
        self,
        programs,
        build,
        host,
        lan_address,
        url,
        user,
        password,
        pin,
        extra=None,
        name="connector",
        port_offset=0,
        gateway=None,
    ):
        self.sip_address, self.sip_port = lan_address, host.port(5060 + port_offset)
        admin_port = host.port(8081 + port_offset)
        configuration = {
            "state_dir": str(programs.directory / f"{name}-state"),
            "gateway": {
                "url": url,
                "user": user,
                "password": password,
                "trust": {"pin": pin},
                **(gateway or {}),
            },
            "sip": {"udp": {"address": lan_address, "port": self.sip_port}},
            "media": {"address": lan_address, "ports": "16000-17999"},
            "allow": [
                "127.0.0.0/8",
                "192.168.0.0/16",
                f"{lan_address if host.network.isolated else own_address()}/32",
            ],
            "admin": {"port": admin_port},
            "log": {"level": "debug", "redact": False},
        }
        configuration.update(extra or {})
        super().__init__(programs, host, name, build.connector, configuration, admin_port)
        self.wait_ready()

    def wait_link(self, seconds=10):
        wait_until(
            lambda: self.status()["link_up"],
            seconds,
            f"{self.name}: no link to the gateway; see {self.program.log}",
        )
