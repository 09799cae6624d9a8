"""Asterisk as the provider or PBX: in a root directory of its own (another Debian's) or as installed."""

import pathlib
import re
import shutil
import socket
import subprocess

from .net import LabError, wait_until

_DIRECTORIES = """[directories]
astetcdir => {inside}/etc
astmoddir => {modules}
astvarlibdir => {inside}/var
astdbdir => {inside}/var
astkeydir => {inside}/var
astdatadir => /usr/share/asterisk
astagidir => {inside}/var
astspooldir => {inside}/spool
astrundir => {inside}/run
astlogdir => {inside}/log
astcachedir => {inside}/var

[options]
verbose = 4
nofork = yes
highpriority = no
dumpcore = no
transmit_silence = yes
"""
_MANAGER = """[general]
enabled = yes
bindaddr = 127.0.0.1
port = {port}

[lab]
secret = lab
read = all
write = all
"""
# Of the root directory, in a mount namespace that ends with Asterisk: nothing is written into it.
_ENTER = """mount --bind "$2" "$1/mnt" && mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" &&
shift 2 && exec chroot "$@"
"""


def version_of(root):
    """The number of its major version."""
    command = ["chroot", root, "asterisk", "-V"] if root else ["asterisk", "-V"]
    try:
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        raise LabError(f"no Asterisk in {root or 'this system'}") from None
    return int(re.search(r"Asterisk (\d+)", text)[1])


def modules_of(root):
    """Where its modules are, as it sees them."""
    places = sorted(pathlib.Path(root).glob("usr/lib/*/asterisk/modules"))
    places += [pathlib.Path(root) / "usr/lib/asterisk/modules"]
    for place in places:
        if (place / "chan_pjsip.so").exists():
            return "/" + str(place.relative_to(root))
    raise LabError(f"no Asterisk with chan_pjsip in {root}")


class Asterisk:
    """Runs on the host. `configuration`: a directory of templates, where @NAME@ stands for the value of
    that name in `values`; @INSIDE@ is the directory that Asterisk shares with the lab (`shared`).
    """

    def __init__(self, programs, host, root, configuration, values, name="asterisk"):
        self.host, self.root, self.name = host, root and pathlib.Path(root), name
        self.shared = programs.directory / name
        inside = "/mnt" if root else str(self.shared)
        for part in ("etc", "var", "spool", "run", "log", "sounds", "heard"):
            (self.shared / part).mkdir(parents=True, exist_ok=True)
        etc = self.shared / "etc"
        values = {**values, "INSIDE": inside}
        for template in pathlib.Path(configuration).glob("*.conf"):
            text = template.read_text(encoding="utf-8")
            text = re.sub(r"@([A-Z0-9_]+)@", lambda found: str(values[found[1]]), text)
            (etc / template.name).write_text(text, encoding="utf-8")
        self.major, self.version = version_of(root), ""
        self._manager_port = host.port(5038)
        for file, text in (
            ("asterisk.conf", _DIRECTORIES.format(inside=inside, modules=modules_of(root or "/"))),
            ("manager.conf", _MANAGER.format(port=self._manager_port)),
        ):
            (etc / file).write_text(text, encoding="utf-8")
        if not root and not shutil.which("asterisk"):
            raise LabError("asterisk is not installed")
        run = ["asterisk", "-f", "-C", f"{inside}/etc/asterisk.conf"]
        enter = ["unshare", "-m", "sh", "-c", _ENTER, "sh", self.root, self.shared, self.root]
        self._programs, self._command = programs, [*enter, *run] if root else run
        self.start()

    def start(self):
        self.program = self._programs.start(self.host, self.name, self._command)
        wait_until(self._booted, 40, f"{self.name} is not fully booted; see {self.program.log}")

    def stop(self, forget=False):
        """Ends it; `forget`: with all that it remembers of registrations and subscriptions."""
        self.program.stop()
        for database in (self.shared / "var").glob("astdb*") if forget else ():
            database.unlink()

    def _booted(self):
        if not self.program.running():
            raise LabError(f"{self.name} ended; see {self.program.log} and {self.shared}/log")
        try:
            if "fully booted" not in self.cli("core waitfullybooted"):
                return False
            self.version = self.cli("core show version").split()[1]  # that command comes late
            return True
        except (OSError, LabError):
            return False

    def action(self, action, **fields):
        """One action of the manager interface, on a connection of its own; its answer."""
        with self.host.connect("127.0.0.1", self._manager_port) as connection:
            login = {"Username": "lab", "Secret": "lab", "Events": "off"}
            self._exchange(connection, "Login", login)
            answer = self._exchange(connection, action, fields)
        if answer.startswith("Response: Error"):
            raise LabError(f"{self.name}: {action} {fields}: {answer}")
        return answer

    @staticmethod
    def _exchange(connection, action, fields):
        lines = [f"Action: {action}", *(f"{name}: {value}" for name, value in fields.items())]
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        text = ""
        while not re.search(r"(?s)Response: .*\r\n\r\n", text):
            try:
                data = connection.recv(65536)
            except socket.timeout:
                raise LabError(f"Asterisk does not answer {action}") from None
            if not data:
                raise LabError(f"Asterisk closed its manager connection at {action}")
            text += data.decode(errors="replace")
        return text[text.index("Response:") :]

    def cli(self, command):
        """What a command of its console prints."""
        answer = self.action("Command", Command=command)
        return "\n".join(re.findall(r"(?m)^Output: ?(.*?)\r?$", answer))

    def originate(self, user, extension, **more):
        """Calls a phone, which then gets to that extension."""
        place = {"Context": "phones", "Exten": extension, "Priority": 1}
        driver = "SIP" if user.startswith("3") else "PJSIP"
        self.action("Originate", Channel=f"{driver}/{user}", Async="true", **{**place, **more})

    def hang_up(self, channels):
        for channel in channels:
            self.action("Hangup", Channel=channel)

    def leave_message(self, mailbox):
        """A message in a voice mailbox, as if somebody had spoken it; `pollfreq` finds it."""
        box = self.shared / "spool" / "voicemail" / "default" / mailbox / "INBOX"
        box.mkdir(parents=True, exist_ok=True)
        message = box / f"msg{len(list(box.glob('*.txt'))):04}.txt"
        message.write_text(f"[message]\norigmailbox={mailbox}\n", encoding="utf-8")

    def has_module(self, name):
        return f"{name} " in self.cli(f"module show like {name}")

    def channels(self):
        """Names of the channels that it has."""
        lines = self.cli("core show channels concise").splitlines()
        return [line.split("!", 1)[0] for line in lines if "!" in line]

    def log(self):
        path = self.shared / "log" / "full"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def contacts(self, aor):
        """Lines of the contacts that are bound to an address."""
        return [
            line
            for line in self.cli("pjsip show contacts").splitlines()
            if re.search(rf"Contact:\s+{re.escape(aor)}/", line)
        ]
