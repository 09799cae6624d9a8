"""What the scenes with Asterisk share: Asterisk, gateways in the three registration modes, phones."""

import pathlib
import re
import sys
import time

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "interop"))
# pylint: disable=wrong-import-position
import support  # noqa: E402
from lab import capture  # noqa: E402
from lab.asterisk import Asterisk, version_of  # noqa: E402
from lab.net import LabError  # noqa: E402
from lab.sip_stream import Authority  # noqa: E402
from lab.softphone import Message, Softphone  # noqa: E402

DOMAIN = support.DOMAIN
CONFIGURATION = pathlib.Path(__file__).resolve().parent / "conf"
# Who has an account, and what is particular of it.
PHONES = {
    "1001": "mailboxes=1001@default",
    "1002": "",
    "1003": "",
    "1011": "direct_media=yes",
    "1012": "direct_media=yes",
    "1021": "timers=always\ntimers_min_se=90\ntimers_sess_expires=90",
    "1022": "timers=yes",
    "1031": "100rel=required",
    "1041": "dtmf_mode=info",
    "1051": "callerid=Sales <1051>\nsend_connected_line=yes\nsend_rpid=no",
    "1061": "rewrite_contact=yes",
    "1062": "rewrite_contact=yes",
    "2001": "",
}


def password(user):
    return f"secret-of-{user}"


SHA256 = ("1002", "2001")  # who is asked for SHA-256 (RFC 8760), where Asterisk knows it


def _phone(user, more, sha256):
    own = [line for line in more.splitlines() if not line.startswith("mailboxes")]
    mailboxes = [line for line in more.splitlines() if line.startswith("mailboxes")]
    return "\n".join(
        [f"[{user}](phone)", f"auth={user}", f"aors={user}", *own, *mailboxes]
        + [f"[{user}](login)", f"username={user}", f"password={password(user)}"]
        + (["supported_algorithms_uas=SHA-256"] if sha256 and user in SHA256 else [])
        + [f"[{user}](place)", *mailboxes]
    )


# Of chan_sip: 30xx in place of 10xx.
OLD_PHONES = {
    "3001": "directmedia=no\nmailbox=1001@default",
    "3002": "directmedia=no",
    "3003": "directmedia=no",
    "3011": "directmedia=yes",
    "3012": "directmedia=yes",
    "3041": "directmedia=no\ndtmfmode=info",
}


def _old_phone(user, more):
    own = f"type=friend\nhost=dynamic\nsecret={password(user)}\ncontext=phones\nqualify=yes"
    return f"[{user}]\n{own}\n{more}"


class Stage:
    """Asterisk is the provider of three gateways: passthrough, account, trunk."""

    def __init__(self, test):
        self.test, site = test, test.site
        self.ipv6 = site.add_ipv6()
        self.authority = Authority(test.directory)
        self.asterisk = self._asterisk()
        self.address = f"{site.provider_address}:5060"
        self.wire = capture.Capture(test.programs, site.gateway, "prov0", "wire")
        self.gateway = self.make_gateway("gateway", client_refresh_s=5, probe_interval_s=2)
        self.connector = test.connector(self.gateway)
        self.hop = (self.connector.sip_address, self.connector.sip_port)
        self._services, self.old = (self.gateway, self.connector), False
        self.baseline = support.Baseline(test, self.gateway, self.connector)
        self._phones, self.lasting = [], set()  # channels of calls that outlive a scene
        self._remaining = []  # when subscriptions that nobody ended are over at last

    def _asterisk(self):
        test, site = self.test, self.test.site
        shared = test.directory / "asterisk" / "etc"
        shared.mkdir(parents=True)
        certificate, key = self.authority.issue("asterisk", "DNS:asterisk.example.net")
        for source, name in (
            (certificate, "asterisk.pem"),
            (key, "asterisk.key"),
            (self.authority.ca_file, "authority.pem"),
        ):
            (shared / name).write_bytes(pathlib.Path(source).read_bytes())
        _, _, gateway6, address6 = self.ipv6
        sha256 = version_of(test.arguments.asterisk_root) >= 22
        return Asterisk(
            test.programs,
            site.provider,
            test.arguments.asterisk_root,
            CONFIGURATION,
            {
                "ADDRESS": site.provider_address,
                "ADDRESS6": address6,
                "GATEWAY": site.gateway_address,
                "GATEWAY6": gateway6,
                "DOMAIN": DOMAIN,
                "PHONES": "\n\n".join(_phone(*each, sha256) for each in PHONES.items()),
                "OLD_PHONES": "\n\n".join(_old_phone(*each) for each in OLD_PHONES.items()),
                "HINTS": "\n".join(
                    [f"exten => {user},hint,PJSIP/{user}" for user in PHONES]
                    + [f"exten => {user},hint,SIP/{user}" for user in OLD_PHONES]
                ),
            },
        )

    def provider(self, target=None, **more):
        return {
            "name": "asterisk",
            "target": target or f"sip:{self.address}",
            "domains": [DOMAIN],
            **more,
        }

    def make_gateway(self, name, offset=0, extra=None, users=None, **provider):
        configuration = {"providers": [self.provider(**provider)], **(extra or {})}
        return self.test.gateway(configuration, users, name, offset)

    def use_old(self):
        """From now on phones are those of chan_sip; their numbers in the scenes are translated."""
        self._use("old", 800, target=f"sip:{self.test.site.provider_address}:5070")
        self.old = True

    def use_hidden(self):
        """From now on phones are at a gateway that hides each side from the other."""
        extra = {"links": {"topology_hiding": True}}
        self._use("hidden", 900, extra, topology_hiding=True)

    def _use(self, name, offset, extra=None, **provider):
        gateway = self.make_gateway(name, offset, extra, client_refresh_s=5, **provider)
        connector = self.test.connector(gateway, name=f"connector-{name}", port_offset=offset)
        self.hop, self._services = (connector.sip_address, connector.sip_port), (gateway, connector)

    def number(self, user):
        """A scene's number, or what begins with letters and ends with one, as chan_sip has it."""
        return re.sub(r"(^|-)1(0\d\d)$", r"\g<1>3\2", user) if self.old else user

    def phone(self, user, tone=440, codec="PCMU", hop=None, domain=DOMAIN, registered=True):
        """A phone behind the connector. Those of passthrough register once, and stay."""
        site, user = self.test.site, self.number(user)
        phone = Softphone(
            site.desk, site.desk_address, user, domain, hop or self.hop, password(user), tone, codec
        )
        self._phones.append(phone)
        if registered:
            answer = phone.register()
            if answer.status != 200:
                self.test.check(False, f"{user} registers: {answer.start}")
        return phone

    def forget_phones(self):
        """Those of now outlive the scene."""
        self._phones = []

    def phones(self, *users):
        """Registered phones with a tone each, for one scene."""
        return [self.phone(user, tone) for user, tone in zip(users, (440, 660, 880))]

    def uri(self, user):
        return f"sip:{self.number(user)}@{DOMAIN}"

    def sip_at_asterisk(self, call_id=None):
        """The SIP that crossed the cable between gateway and Asterisk so far: (source, message)."""
        found = []
        for packet in self.wire.packets():
            if packet.protocol == "udp" and b"SIP/2.0" in packet.payload.split(b"\r\n", 1)[0]:
                message = Message(packet.payload.decode(errors="replace"))
                if call_id in (None, message.get("call-id")):
                    found.append((packet.source[0], message))
        return found

    def play(self, title, scene):
        """One scene; what it leaves behind is taken away."""
        with support.scene(title):
            try:
                scene(self)
            except LabError as error:
                self.test.check(False, str(error))
            for phone in self._phones:
                phone.leave()
            self._phones = []
            self._quiet()

    def remains(self, seconds):
        """The gateway will keep a subscription of the scene for so long."""
        self._remaining.append(time.monotonic() + seconds)

    def wait_for_remains(self):
        time.sleep(max([0, *(until - time.monotonic() for until in self._remaining)]))

    def _quiet(self, seconds=4):
        """No call is left at the gateway, the connector and Asterisk."""
        remaining = sum(until > time.monotonic() for until in self._remaining)
        most = bool(self.lasting) + remaining
        for service in self._services:
            self.test.soon(
                lambda s=service: s.status()["calls"] <= most,
                seconds,
                f"{service.name}: no call left",
            )
        if not self.test.soon(lambda: not self.channels(), seconds, "Asterisk: no channel left"):
            print(f"      {self.channels()}")
            self.asterisk.hang_up(self.channels())

    def channels(self):
        """Asterisk's, without those that outlive the scene."""
        return [
            name
            for name in self.asterisk.channels()
            if name not in self.lasting and not name.startswith("Message/")
        ]

    def each_hears(self, title, *expected, seconds=4):
        """(media, tones): each hears exactly those."""
        for media, tones in expected:
            until = time.monotonic() + seconds * support.BUSY
            while media.hears() != tones and time.monotonic() < until:
                time.sleep(0.1)
            self.test.equal(media.hears(), tones, f"{title}: {media.tone} Hz hears")
