"""A SIP phone by hand: registers, calls and is called, holds, transfers, subscribes, and sends a tone of its
own in PCMU, PCMA, or packets in any other codec. Every step is the test's, and every message is kept."""

import hashlib
import re
import secrets
import socket
import threading
import time

from .net import LabError, wait_until
from .tones import Media, close_datagram_socket

_HASHES = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}
_ALLOW = "INVITE, ACK, BYE, CANCEL, OPTIONS, PRACK, UPDATE, INFO, REFER, NOTIFY, SUBSCRIBE, MESSAGE"


class Message:
    """A request or response, taken apart."""

    def __init__(self, text):
        self.text = text
        head, _, self.body = text.partition("\r\n\r\n")
        self.start, *lines = head.split("\r\n")
        pairs = (line.partition(":") for line in lines)
        self.headers = [(name.strip().lower(), value.strip()) for name, _, value in pairs]
        words = self.start.split(" ", 2)
        self.status = int(words[1]) if words[0] == "SIP/2.0" else None
        self.uri = None if self.status else words[1]
        self.number, self.method = self.get("cseq").split(" ", 1)
        self.branch = re.search(r"branch=([^;,\s]+)", self.get("via"))[1]
        self.sdp = self.body if "application/sdp" in self.get("content-type") else ""

    def get(self, name):
        return next((value for key, value in self.headers if key == name), "")

    def all(self, name):
        return [value for key, value in self.headers if key == name]

    def target(self):
        return re.search(r"<([^>]+)>", self.get("contact"))[1]


def tag_of(value):
    found = re.search(r";tag=([^;,\s]+)", value)
    return found[1] if found else ""


def answer_challenge(challenge, user, password, method, uri, count=1):
    """The credentials for one challenge (RFC 7616), with qop=auth where it is offered."""
    realm, nonce = (re.search(rf'{name}="([^"]*)"', challenge)[1] for name in ("realm", "nonce"))
    algorithm = (re.search(r"algorithm=\"?([\w-]+)", challenge) or [0, "MD5"])[1].upper()
    opaque = re.search(r'opaque="([^"]*)"', challenge)

    def digest(text):
        return _HASHES[algorithm](text.encode()).hexdigest()

    secret, request = digest(f"{user}:{realm}:{password}"), digest(f"{method}:{uri}")
    parts = (
        f'username="{user}", realm="{realm}", nonce="{nonce}", uri="{uri}", algorithm={algorithm}'
    )
    if "qop" in challenge:
        response = digest(f"{secret}:{nonce}:{count:08x}:lab:auth:{request}")
        parts += f', qop=auth, nc={count:08x}, cnonce="lab"'
    else:
        response = digest(f"{secret}:{nonce}:{request}")
    return f'Digest {parts}, response="{response}"' + (f', opaque="{opaque[1]}"' if opaque else "")


class Dialog:
    """A call or a subscription, from the phone's side."""

    def __init__(self, phone, local, remote, target, call_id, media=None):
        self.phone, self.local, self.remote, self.target = phone, local, remote, target
        self.call_id, self.media, self.cseq, self.routes = call_id, media, 0, []
        self.state, self.events, self.invite, self.pracks = "new", [], None, set()

    def established(self):
        return self.state == "established"

    def request(self, method, headers="", body="", content="application/sdp", seconds=8):
        """Sends a request of the dialog, and its answer to a challenge; returns the final response."""
        transaction = self.phone.transact(self, method, self.target, headers, body, content)
        return transaction.final(seconds)

    def offer(self, direction, method="INVITE", headers="", seconds=8):
        """A re-INVITE or UPDATE with that direction; returns the final response."""
        body = self.media.description(direction)
        answer = self.request(method, headers, body, seconds=seconds)
        if answer.status < 300 and answer.sdp:
            self.media.agreed(answer.sdp)
        return answer

    def hold(self, method="INVITE"):
        """Sends no sound meanwhile, as phones without music do."""
        self.media.muted = True
        return self.offer("sendonly", method)

    def resume(self, method="INVITE"):
        self.media.muted = False
        return self.offer("sendrecv", method)

    def bye(self, seconds=8):
        answer = self.request("BYE", seconds=seconds)
        self.ended()
        return answer

    def ended(self):
        self.state = "ended"
        if self.media:
            self.media.close()

    def refer(self, uri, headers=""):
        return self.request("REFER", f"Refer-To: <{uri}>\r\n{headers}")

    def replaces(self):
        """Value of a Replaces that names this dialog to the other end, escaped for a URI."""
        value = f"{self.call_id};to-tag={tag_of(self.remote)};from-tag={tag_of(self.local)}"
        return value.replace(";", "%3B").replace("=", "%3D").replace("@", "%40")

    def requests(self, method):
        return [one for one in self.events if one.status is None and one.method == method]

    def refer_status(self):
        """The last status that a NOTIFY told of a transfer."""
        told = [
            one.body.split(" ")[1]
            for one in self.requests("NOTIFY")
            if one.body.startswith("SIP/2.0 ")
        ]
        return int(told[-1]) if told else None


class Transaction:
    """A client transaction, and its repetition with credentials; `responses` as they come."""

    def __init__(self, dialog, uri):
        self.dialog, self.uri, self.text = dialog, uri, ""
        self.responses, self.challenged, self.send_again = [], 0, None

    def final(self, seconds):
        try:
            return wait_until(self._final, seconds, "no final response", 0.01)
        except LabError:
            seen = [one.start for one in self.responses]
            raise LabError(f"no final response within {seconds} s, but {seen}") from None

    def _final(self):
        return next((one for one in self.responses if one.status >= 200), None)

    def wait(self, status, seconds):
        """The first response of that status."""
        return wait_until(
            lambda: next((one for one in self.responses if one.status == status), None),
            seconds,
            f"no {status}, but {[one.start for one in self.responses]}",
            0.01,
        )


class Softphone:
    """Speaks UDP to `hop`. What it does with an INVITE is in `on_invite`: "answer", "ring", or the status
    and more headers of a refusal."""

    def __init__(self, host, address, user, domain, hop, password="", tone=440, codec="PCMU"):
        self.host, self.address, self.user, self.domain, self.hop = host, address, user, domain, hop
        self.password, self.tone, self.codec = password, tone, codec
        self.socket = host.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, 0))
        self.port = self.socket.getsockname()[1]
        self.uri = f"sip:{user}@{domain}"
        self.contact = f"<sip:{user}@{address}:{self.port}>"
        self.on_invite, self.supported, self.answer_headers = "answer", "replaces, timer", ""
        self.on_message = 200
        self.calls, self.messages, self.outside, self.ringing = {}, [], [], []
        self._transactions, self._answered, self._registration = {}, {}, None
        self._lock = threading.RLock()
        threading.Thread(target=self._receive, daemon=True).start()

    # -- what the test asks for

    def register(self, expires_s=300, headers=""):
        """Registers; returns the final response."""
        if not self._registration:
            self._registration = self._outgoing(self.uri)
            self._registration.target = f"sip:{self.domain}"
        more = f"Contact: {self.contact}\r\nExpires: {expires_s}\r\n{headers}"
        return self._registration.request("REGISTER", more)

    def call(self, uri, headers="", late=False, user=None):
        """Begins a call; returns (dialog, transaction)."""
        dialog = self._outgoing(uri, user)
        dialog.media = Media(self.host, self.address, self.tone, self.codec)
        dialog.state = "calling"
        body = "" if late else dialog.media.description()
        transaction = self.transact(dialog, "INVITE", uri, headers, body)
        return dialog, transaction

    def connect(self, uri, headers="", seconds=8, late=False):
        """A call that is answered; its dialog."""
        dialog, transaction = self.call(uri, headers, late)
        answer = transaction.final(seconds)
        if answer.status != 200:
            raise LabError(f"{self.user} calls {uri}: {answer.start}")
        return dialog

    def cancel(self, transaction):
        """Cancels an INVITE that has no final response yet."""
        text = transaction.text
        head = re.sub(r"^INVITE", "CANCEL", text.split("\r\n\r\n")[0])
        kept = [
            line.replace("INVITE", "CANCEL") if line.lower().startswith("cseq") else line
            for line in head.split("\r\n")
            if not re.match(r"(?i)(content|contact|supported|require|allow|session|min-se)", line)
        ]
        self._send("\r\n".join([*kept, "Content-Length: 0", "", ""]))

    def send(self, method, uri, headers="", body="", content="text/plain", seconds=8):
        """A request outside of dialogs; the final response."""
        return self.transact(self._outgoing(uri), method, uri, headers, body, content).final(
            seconds
        )

    def subscribe(self, uri, event, accept, expires_s=300):
        """A subscription, whose NOTIFYs are among the events of its dialog; (dialog, response)."""
        dialog = self._outgoing(uri)
        dialog.state = "subscribed"
        headers = f"Event: {event}\r\nAccept: {accept}\r\nExpires: {expires_s}\r\n"
        return dialog, dialog.request("SUBSCRIBE", headers)

    def active(self):
        return [one for one in self.calls.values() if one.established()]

    def wait_call(self, seconds=8):
        """The call that is established."""
        return wait_until(
            lambda: next(iter(self.active()), None), seconds, f"{self.user} has no call"
        )

    def answer(self, request, status=200, headers="", body=""):
        """Answers a request that came, a ringing INVITE among them."""
        kept = [
            line
            for line in request.text.split("\r\n\r\n")[0].split("\r\n")[1:]
            if re.match(r"(?i)(via|from|call-id|cseq|record-route)\s*:", line)
        ]
        to = request.get("to")
        if not tag_of(to):
            dialog = self.calls.get(request.get("call-id"))
            to += f";tag={tag_of(dialog.local) if dialog else 'of-' + self.user}"
        content = "Content-Type: application/sdp\r\n" if body else ""
        own = "" if "Contact:" in headers else f"Contact: {self.contact}\r\n"
        text = (
            f"SIP/2.0 {status} As-Asked\r\n" + "\r\n".join(kept) + f"\r\nTo: {to}\r\n"
            f"{own}Allow: {_ALLOW}\r\nSupported: {self.supported}\r\n{headers}"
            f"{content}Content-Length: {len(body.encode())}\r\n\r\n{body}"
        )
        if status >= 200:
            self._answered[request.branch, request.method] = text
        self._send(text)

    def pick_up(self, request, headers=""):
        """Answers an INVITE of `ringing` with 200."""
        dialog = self.calls[request.get("call-id")]
        body = dialog.media.answer(request.sdp) if request.sdp else dialog.media.description()
        dialog.state = "established"
        self.answer(request, 200, self.answer_headers + headers, body)
        return dialog

    def leave(self):
        """Ends its calls, takes its registration off, and is gone."""
        try:
            for dialog in self.active():
                dialog.bye(3)
            if self._registration:
                self.register(0)
        except LabError:
            pass  # what it leaves behind, the test sees elsewhere
        self.close()

    def close(self):
        for dialog in self.calls.values():
            if dialog.media:
                dialog.media.close()
        close_datagram_socket(self.socket)

    # -- requests of ours

    def _outgoing(self, uri, user=None):
        local = f"<sip:{user or self.user}@{self.domain}>;tag={secrets.token_hex(4)}"
        dialog = Dialog(self, local, f"<{uri}>", uri, f"{secrets.token_hex(6)}@{self.user}")
        self.calls[dialog.call_id] = dialog
        return dialog

    def transact(self, dialog, method, uri, headers="", body="", content="application/sdp"):
        """Sends a request, and answers challenges to it."""
        transaction = Transaction(dialog, uri)

        def send(credentials=""):
            dialog.cseq += 1
            branch = "z9hG4bK" + secrets.token_hex(6)
            kind = f"Content-Type: {content}\r\n" if body else ""
            routes = "".join(f"Route: {route}\r\n" for route in dialog.routes)
            own = "" if "Contact:" in headers else f"Contact: {self.contact}\r\n"
            text = (
                f"{method} {uri} SIP/2.0\r\n"
                f"Via: SIP/2.0/UDP {self.address}:{self.port};branch={branch};rport\r\n{routes}"
                f"From: {dialog.local}\r\nTo: {dialog.remote}\r\nCall-ID: {dialog.call_id}\r\n"
                f"CSeq: {dialog.cseq} {method}\r\nMax-Forwards: 70\r\n{own}{headers}{credentials}"
                f"Allow: {_ALLOW}\r\nSupported: {self.supported}\r\n"
                f"User-Agent: softphone\r\n{kind}Content-Length: {len(body.encode())}\r\n\r\n{body}"
            )
            transaction.text = text
            self._transactions[branch] = transaction
            self._send(text)

        transaction.send_again = send
        send()
        return transaction

    def _send(self, text):
        try:
            self.socket.sendto(text.encode(), self.hop)
        except OSError:
            pass  # the phone is closed, or the network is gone for a moment

    # -- what comes

    def _receive(self):
        while True:
            try:
                data = self.socket.recv(65536)
            except OSError:
                return
            if len(data) < 20:
                continue
            message = Message(data.decode(errors="replace"))
            with self._lock:
                self.messages.append((time.monotonic(), message))
                (self._on_response if message.status else self._on_request)(message)

    def _on_response(self, message):
        transaction = self._transactions.get(message.branch)
        if not transaction:
            return
        if message.method == "CANCEL":
            return  # its answer has the INVITE's branch
        dialog = transaction.dialog
        if message.method == "INVITE" and message.status >= 300:
            self._acknowledge(transaction.text, message)
        if message.status in (401, 407) and transaction.challenged < 2 and self.password:
            transaction.challenged += 1
            transaction.send_again(self._credentials(message, transaction.uri))
            return
        if message.method == "INVITE" and message.status < 300:
            self._on_invite_response(transaction, message)
        elif message.status < 300 and message.method == "SUBSCRIBE":
            dialog.remote = message.get("to")
            dialog.target = message.target() if message.get("contact") else dialog.target
        dialog.events.append(message)
        transaction.responses.append(message)

    def _credentials(self, message, uri):
        kind = "www" if message.status == 401 else "proxy"
        name = "Authorization" if kind == "www" else "Proxy-Authorization"
        challenges = message.all(f"{kind}-authenticate")
        value = answer_challenge(challenges[0], self.user, self.password, message.method, uri)
        return f"{name}: {value}\r\n"

    def _on_invite_response(self, transaction, message):
        dialog = transaction.dialog
        if message.sdp and dialog.media:
            dialog.media.agreed(message.sdp)
        if message.status == 100 or not tag_of(message.get("to")):
            return
        if dialog.state in ("calling", "early"):
            dialog.remote, dialog.state = message.get("to"), "early"
            if message.get("contact"):
                dialog.target = message.target()
            dialog.routes = list(reversed(message.all("record-route")))
        if message.get("rseq") and message.status < 200:
            rack = f"RAck: {message.get('rseq')} {message.get('cseq')}\r\n"
            if rack not in dialog.pracks:
                dialog.pracks.add(rack)
                self.transact(dialog, "PRACK", dialog.target, rack)
        if message.status >= 200:
            dialog.state, dialog.target = "established", message.target()
            late = not transaction.text.partition("\r\n\r\n")[2] and message.sdp
            body = dialog.media.answer(message.sdp) if late else ""
            kind = "Content-Type: application/sdp\r\n" if body else ""
            routes = "".join(f"Route: {route}\r\n" for route in dialog.routes)
            self._send(
                f"ACK {dialog.target} SIP/2.0\r\nVia: SIP/2.0/UDP {self.address}:{self.port};"
                f"branch=z9hG4bK{secrets.token_hex(6)};rport\r\n{routes}From: {dialog.local}\r\n"
                f"To: {dialog.remote}\r\nCall-ID: {dialog.call_id}\r\nCSeq: {message.number} ACK\r\n"
                f"Max-Forwards: 70\r\n{kind}Content-Length: {len(body)}\r\n\r\n{body}"
            )

    def _acknowledge(self, invite, response):
        head = invite.split("\r\n\r\n")[0].split("\r\n")
        kept = [line for line in head[1:] if re.match(r"(?i)(via|from|call-id|route)\s*:", line)]
        self._send(
            "\r\n".join(
                [
                    head[0].replace("INVITE", "ACK", 1),
                    *kept,
                    f"To: {response.get('to')}",
                    f"CSeq: {response.number} ACK",
                    "Max-Forwards: 70",
                    "Content-Length: 0",
                    "",
                    "",
                ]
            )
        )

    def _on_request(self, request):
        if request.method != "ACK" and (request.branch, request.method) in self._answered:
            self._send(self._answered[request.branch, request.method])
            return
        dialog = self.calls.get(request.get("call-id"))
        if not tag_of(request.get("to")):
            if request.method == "INVITE":
                self._on_new_call(request)
            elif request.method == "CANCEL":
                self._on_cancel(request, dialog)
            else:
                self.outside.append(request)
                self.answer(request, self.on_message if request.method == "MESSAGE" else 200)
            return
        if not dialog or dialog.state in ("ended", "new"):
            if request.method != "ACK":
                self.answer(request, 481)
            return
        dialog.events.append(request)
        self._on_request_inside(dialog, request)

    def _on_request_inside(self, dialog, request):
        if request.method == "ACK":
            if request.sdp:
                dialog.media.agreed(request.sdp)
        elif request.method == "BYE":
            self.answer(request)
            dialog.ended()
        elif request.method in ("INVITE", "UPDATE"):
            body = ""
            if request.sdp:
                body = dialog.media.answer(request.sdp)
            elif request.method == "INVITE":
                body = dialog.media.description()
            self.answer(request, 200, self._timer_of(request), body)
        elif request.method == "REFER":
            self.answer(request, 202)
        else:
            self.answer(request)

    @staticmethod
    def _timer_of(request):
        asked = request.get("session-expires")
        if not asked:
            return ""
        value = asked if "refresher" in asked else f"{asked};refresher=uac"
        return f"Require: timer\r\nSession-Expires: {value}\r\n"

    def _on_new_call(self, request):
        local = f"{request.get('to')};tag={secrets.token_hex(4)}"
        dialog = Dialog(self, local, request.get("from"), request.target(), request.get("call-id"))
        dialog.media = Media(self.host, self.address, self.tone, self.codec)
        dialog.routes, dialog.invite, dialog.state = request.all("record-route"), request, "ringing"
        dialog.events.append(request)
        self.calls[dialog.call_id] = dialog
        if isinstance(self.on_invite, tuple):
            dialog.state = "ended"
            self.answer(request, *self.on_invite)
            dialog.media.close()
            return
        self.answer(request, 180)
        if self.on_invite == "answer":
            self.pick_up(request, self._timer_of(request))
        else:
            self.ringing.append(request)

    def _on_cancel(self, request, dialog):
        self.answer(request)
        if dialog and dialog.state == "ringing":
            dialog.ended()
            self.ringing = [one for one in self.ringing if one is not dialog.invite]
            self.answer(dialog.invite, 487)
