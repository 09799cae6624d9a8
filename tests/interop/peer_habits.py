#!/usr/bin/env python3
"""What phones and providers do though they should not, and datagrams that get lost, by hand over
real sockets: a phone behind the connector on one side, a provider of the gateway on the other."""

import re
import time

import support
from lab.net import LabError
from lab.sipp import SipSocket

DOMAIN = "habits.example.net"
CALLER = "203.0.113.77"


class Message:
    """Text of a message, with what the test asks for."""

    def __init__(self, text, source):
        self.text, self.source = text, source
        self.start = text.split("\r\n", 1)[0]
        self.status = int(self.start[8:11]) if self.start.startswith("SIP/2.0 ") else 0
        self.method = self["CSeq"].split(" ")[-1]

    def __getitem__(self, name):
        found = re.search(rf"(?im)^{name}[ \t]*:[ \t]*(.*?)\r?$", self.text)
        return found.group(1) if found else ""

    def tag(self, name):
        return self[name].partition("tag=")[2]

    def target(self):
        return re.search(r"<([^>]*)>", self["Contact"]).group(1)


class Party(SipSocket):
    """One end of calls. What comes and is not asked for yet is kept."""

    def __init__(self, host, address, port, peer):
        super().__init__(host, address, port)
        self.peer, self.kept = peer, []

    def tell(self, text):
        self.send(text, *self.peer)

    def expect(self, method, status=0, seconds=4):
        """The next request of that method, or response of that status to one."""
        ends = time.monotonic() + seconds
        while True:
            for message in self.kept:
                if message.method == method and message.status == status:
                    self.kept.remove(message)
                    return message
            self.socket.settimeout(max(0.01, ends - time.monotonic()))
            try:
                data, source = self.socket.recvfrom(65536)
            except OSError:
                raise LabError(f"no {method} {status or ''} within {seconds} s") from None
            self.kept.append(Message(data.decode(), source))

    def sees(self, method, status=0, seconds=1.0):
        try:
            return self.expect(method, status, seconds)
        except LabError:
            return None

    def answer(self, request, status, tag="", headers="", contact=True, body=""):
        """Sends a response; @return its text, to send again."""
        vias = "".join(
            f"Via: {via}\r\n" for via in re.findall(r"(?im)^Via: (.*?)\r$", request.text)
        )
        to = request["To"] + (f";tag={tag}" if tag and ";tag=" not in request["To"] else "")
        if contact and status < 300:
            headers += f"Contact: <sip:party@{self.address}:{self.port}>\r\n"
        if body:
            headers += "Content-Type: application/sdp\r\n"
        text = (
            f"SIP/2.0 {status} Said\r\n{vias}From: {request['From']}\r\nTo: {to}\r\n"
            f"Call-ID: {request['Call-ID']}\r\nCSeq: {request['CSeq']}\r\n{headers}"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        )
        self.send(text, *request.source)
        return text

    def sdp(self):
        return (
            f"v=0\r\no=- 1 1 IN IP4 {self.address}\r\ns=-\r\nc=IN IP4 {self.address}\r\nt=0 0\r\n"
            "m=audio 40000 RTP/AVP 0\r\n"
        )

    def within(self, method, number, target, own, other, call_id, headers=""):
        self.tell(
            self.request(
                method,
                target,
                "",
                headers=headers,
                from_=own,
                to=other,
                call_id=call_id,
                cseq=f"{number} {method}",
            )
        )


class Scene:
    def __init__(self, test):
        self.test = test
        site = test.site
        gateway = test.gateway(
            {
                "providers": [
                    {
                        "name": "habits",
                        "target": f"sip:{site.provider_address}:{site.provider.port(5062)}",
                        "domains": [DOMAIN],
                    }
                ]
            }
        )
        self.gateway = gateway
        connector = test.connector(gateway)
        self.before = support.Baseline(test, gateway, connector)
        self.phone = Party(
            site.desk, site.desk_address, 0, (connector.sip_address, connector.sip_port)
        )
        self.provider = Party(
            site.provider,
            site.provider_address,
            site.provider.port(5062),
            (gateway.sip_address, gateway.sip_port),
        )

    def ask(self, method="INVITE", headers="", more_sdp=""):
        """The phone sends a first request; @return it as the provider gets it."""
        body = self.phone.sdp() + more_sdp if method == "INVITE" else ""
        uri = f"sip:bob@{DOMAIN}"
        self.phone.tell(
            self.phone.request(method, uri, f"sip:desk@{DOMAIN}", headers=headers, body=body)
        )
        return self.provider.expect(method)

    def answered(self, **how):
        """@return the INVITE as the provider got it, the 200 as the phone got it."""
        invite = self.ask()
        self.provider.answer(invite, 200, "bob", body=self.provider.sdp(), **how)
        return invite, self.phone.expect("INVITE", 200)

    def by_phone(self, ok, method, number, **changed):
        words = {"own": ok["From"], "other": ok["To"], "call_id": ok["Call-ID"], **changed}
        self.phone.within(method, number, ok.target(), **words)

    def by_provider(self, invite, method, number, tag="bob", **changed):
        words = {
            "own": f"{invite['To']};tag={tag}",
            "other": invite["From"],
            "call_id": invite["Call-ID"],
            **changed,
        }
        self.provider.within(method, number, invite.target(), **words)

    def hang_up(self, ok, number=9):
        self.by_phone(ok, "BYE", number)
        self.provider.answer(self.provider.expect("BYE"), 200)
        self.phone.expect("BYE", 200)


def wrong_tags(scene):
    invite, ok = scene.answered()
    scene.by_phone(ok, "ACK", 1)
    scene.provider.expect("ACK")
    wrong = ok["From"].replace(ok.tag("From"), "wrong")
    scene.by_provider(invite, "BYE", 1, other=wrong)
    scene.test.check(scene.provider.sees("BYE", 481), "provider's BYE with a wrong To tag: 481")
    scene.by_phone(ok, "BYE", 2, own=wrong)
    scene.test.check(scene.phone.sees("BYE", 481), "phone's BYE with a wrong From tag: 481")
    scene.hang_up(ok)


def bye_in_place_of_ack(scene):
    _, ok = scene.answered()
    scene.hang_up(ok)
    scene.test.check(scene.provider.sees("ACK"), "BYE in place of ACK: the provider gets an ACK")


def no_contact_in_the_answer(scene):
    invite, ok = scene.answered(contact=False)
    scene.by_phone(ok, "ACK", 1)
    ack = scene.provider.expect("ACK")
    scene.test.equal(
        ack.start.split(" ")[1], invite.start.split(" ")[1], "2xx without Contact: the ACK goes to"
    )
    scene.hang_up(ok)


def an_answer_that_cannot_be_read(scene):
    invite = scene.ask()
    text = scene.provider.answer(invite, 200, "bob", "Contact: <sip:party@\r\n", contact=False)
    refusal = scene.phone.sees("INVITE", 502)
    scene.test.check(
        refusal and "Malformed Contact" in refusal.start,
        "2xx with a broken Contact: 502 for the phone, which names the fault",
    )
    scene.test.check(scene.provider.sees("ACK"), "and an ACK for the provider")
    bye = scene.provider.sees("BYE")
    if scene.test.check(bye, "and a BYE"):
        scene.provider.answer(bye, 200)
    scene.provider.tell(text)
    scene.test.check(scene.provider.sees("ACK"), "which is acknowledged again when it repeats it")
    bye = scene.provider.sees("BYE", 0, 0.3)
    if bye:
        scene.provider.answer(bye, 200)


def a_contact_over_tcp_where_nobody_listens(scene):
    invite = scene.ask()
    place = f"{scene.provider.address}:{scene.provider.port}"
    text = scene.provider.answer(
        invite,
        200,
        "bob",
        f"Contact: <sip:bob@{place};transport=tcp>\r\n",
        contact=False,
        body=scene.provider.sdp(),
    )
    ok = scene.phone.expect("INVITE", 200)
    scene.by_phone(ok, "ACK", 1)
    time.sleep(0.3)  # the connection is refused meanwhile
    scene.provider.tell(text)
    scene.test.check(scene.provider.sees("ACK"), "no TCP at the Contact: the ACK comes by UDP")
    scene.by_phone(ok, "BYE", 2)
    bye = scene.provider.sees("BYE")
    if scene.test.check(bye, "and the BYE"):
        scene.provider.answer(bye, 200)
    scene.test.check(scene.phone.sees("BYE", 200), "whose 200 the phone gets")


def an_answer_with_other_lines_than_the_offer(scene):
    video = "m=video 40002 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
    invite = scene.ask(more_sdp=video)
    scene.provider.answer(invite, 200, "bob", body=scene.provider.sdp())
    ok = scene.phone.expect("INVITE", 200)
    scene.test.check("m=video 0 RTP/AVP 96" in ok.text, "answer without its video line: refused")
    scene.by_phone(ok, "ACK", 1)
    scene.provider.expect("ACK")
    scene.hang_up(ok)
    invite = scene.ask()
    scene.provider.answer(
        invite, 200, "bob", body=scene.provider.sdp().replace("m=audio", "m=video")
    )
    scene.test.check(scene.phone.sees("INVITE", 502), "answer with video for audio: 502")
    scene.test.check(scene.provider.sees("ACK"), "and an ACK for the provider")
    scene.provider.answer(scene.provider.expect("BYE"), 200)


def reliable_ringing_that_overtakes(scene):
    invite = scene.ask(headers="Supported: 100rel\r\n")

    def ring(number):
        scene.provider.answer(invite, 180, "bob", f"Require: 100rel\r\nRSeq: {number}\r\n")

    def acknowledge(number, cseq):
        ringing = scene.phone.sees("INVITE", 180)
        if not ringing or ringing["RSeq"] != str(number):
            return False
        scene.by_phone(ringing, "PRACK", cseq, headers=f"RAck: {number} 1 INVITE\r\n")
        scene.provider.answer(scene.provider.expect("PRACK"), 200)
        scene.phone.expect("PRACK", 200)
        return True

    ring(3)
    in_order = acknowledge(3, 2)
    ring(5)
    scene.test.check(not scene.phone.sees("INVITE", 180, 0.4), "180 that overtook another waits")
    ring(4)
    in_order = in_order and acknowledge(4, 3)
    ring(3)  # a late copy
    ring(5)
    scene.test.check(in_order and acknowledge(5, 4), "and all three come in their order")
    scene.provider.answer(invite, 486, "bob", contact=False)
    scene.phone.expect("INVITE", 486)


def reliable_ringing_lost_at_the_phone(scene):
    invite = scene.ask(headers="Supported: 100rel\r\n")
    scene.provider.answer(invite, 180, "bob", "Require: 100rel\r\nRSeq: 7\r\n")
    scene.phone.expect("INVITE", 180)  # let this one be lost
    again = scene.phone.sees("INVITE", 180, 2)
    if not scene.test.check(again, "reliable 180 that the phone did not get comes again"):
        return
    scene.by_phone(again, "PRACK", 2, headers="RAck: 7 1 INVITE\r\n")
    scene.provider.answer(scene.provider.expect("PRACK"), 200)
    scene.phone.expect("PRACK", 200)
    scene.test.check(not scene.phone.sees("INVITE", 180, 2.2), "and no more after its PRACK")
    scene.provider.answer(invite, 200, "bob", body=scene.provider.sdp())
    ok = scene.phone.expect("INVITE", 200)
    scene.by_phone(ok, "ACK", 1)
    scene.provider.expect("ACK")
    scene.hang_up(ok)


def notify_that_nobody_wants(scene):
    subscribe = scene.ask("SUBSCRIBE", "Event: presence\r\nExpires: 3600\r\n")
    scene.provider.answer(subscribe, 200, "bob", "Expires: 3600\r\n")
    scene.phone.expect("SUBSCRIBE", 200)
    state = "Event: presence\r\nSubscription-State: active\r\n"
    scene.by_provider(subscribe, "NOTIFY", 1, headers=state)
    scene.phone.answer(scene.phone.expect("NOTIFY"), 481)
    scene.test.check(scene.provider.sees("NOTIFY", 481), "a 481 to a NOTIFY passes")


def a_response_that_was_meant_for_somebody_else(scene):
    """With a status that no other case has: its repetitions are not taken for this one's."""
    invite = scene.ask()
    vias = "Via: SIP/2.0/UDP 203.0.113.9;branch=z9hG4bKother\r\n"
    scene.provider.answer(invite, 603, "bob", vias, contact=False)
    scene.test.check(not scene.phone.sees("INVITE", 603, 0.4), "a 603 with two Vias is dropped")
    ours = invite.text
    invite.text = ours.replace(f"UDP {scene.provider.peer[0]}:", "UDP 203.0.113.9:", 1)
    scene.provider.answer(invite, 603, "bob", contact=False)
    scene.test.check(not scene.phone.sees("INVITE", 603, 0.4), "and one with another's alone")
    invite.text = ours
    scene.provider.answer(invite, 603, "bob", contact=False)
    scene.test.check(scene.phone.sees("INVITE", 603), "and one with ours alone passes")


def subscriptions_that_share_a_dialog(scene):
    subscribe = scene.ask("SUBSCRIBE", "Event: presence\r\nExpires: 3600\r\n")
    scene.provider.answer(subscribe, 200, "bob", "Expires: 3600\r\n")
    ok = scene.phone.expect("SUBSCRIBE", 200)
    scene.by_phone(ok, "SUBSCRIBE", 2, headers="Event: dialog\r\nExpires: 3600\r\n")
    scene.provider.answer(scene.provider.expect("SUBSCRIBE"), 200, "", "Expires: 3600\r\n")
    scene.phone.expect("SUBSCRIBE", 200)

    def notify(number, event, state):
        words = f"Event: {event}\r\nSubscription-State: {state}\r\n"
        scene.by_provider(subscribe, "NOTIFY", number, headers=words)
        seen = scene.phone.sees("NOTIFY")
        if seen:
            scene.phone.answer(seen, 200)
            scene.provider.expect("NOTIFY", 200)
        return seen

    notify(1, "dialog", "terminated")
    scene.by_phone(ok, "BYE", 3)
    scene.provider.answer(scene.provider.expect("BYE"), 481)
    scene.test.check(
        scene.phone.sees("BYE", 481), "a BYE without a call is the notifier's to refuse"
    )
    scene.test.check(
        notify(2, "presence", "active;expires=60"), "one subscription outlives another, and a BYE"
    )
    notify(3, "presence", "terminated")
    scene.by_provider(subscribe, "NOTIFY", 4, headers="Event: presence\r\n")
    scene.test.check(scene.provider.sees("NOTIFY", 481), "after the last one the dialog is over")


def lines_that_end_badly(scene):
    text = scene.phone.request("OPTIONS", f"sip:bob@{DOMAIN}", f"sip:desk@{DOMAIN}")
    scene.phone.tell(text.replace("\r\n", "\n"))
    seen = scene.provider.expect("OPTIONS")
    bare = re.search(r"(?<!\r)\n", seen.text)
    scene.test.check(not bare, "header lines that end in LF alone leave with CRLF")
    scene.provider.answer(seen, 200, "bob")
    scene.phone.expect("OPTIONS", 200)
    scene.phone.tell(text.replace("OPTIONS", "OPT/IONS").replace("branch=", "branch=z9hG4bKx"))
    scene.test.check(scene.phone.sees("OPT/IONS", 400), "a method that is no token: 400")


def a_caller_behind_a_proxy_that_records_no_route(scene):
    """Its INVITE comes from the provider, its ACK and BYE come from itself."""
    site = scene.test.site
    site.provider.run("ip", "address", "add", f"{CALLER}/24", "dev", "eth0")
    caller = Party(site.provider, CALLER, 0, scene.provider.peer)
    desk = f"sip:desk@{scene.gateway.domain}"
    register = {"from_": f"<{desk}>;tag=desk", "to": f"<{desk}>", "headers": "Expires: 60\r\n"}
    uri = f"sip:{scene.gateway.domain}"
    scene.phone.tell(scene.phone.request("REGISTER", uri, desk, **register))
    scene.phone.expect("REGISTER", 200)
    contact = f"<sip:caller@{CALLER}:5062>"  # and it sends from another port
    scene.provider.tell(
        scene.provider.request(
            "INVITE", desk, f"sip:bob@{DOMAIN}", body=scene.provider.sdp(), contact=contact
        )
    )
    scene.phone.answer(scene.phone.expect("INVITE"), 200, "desk", body=scene.phone.sdp())
    ok = scene.provider.expect("INVITE", 200)
    words = {"own": ok["From"], "other": ok["To"], "call_id": ok["Call-ID"]}
    caller.within("ACK", 1, ok.target(), **words)
    scene.test.check(scene.phone.sees("ACK"), "ACK from the caller's own address crosses")
    caller.within("BYE", 2, ok.target(), **words)
    bye = scene.phone.sees("BYE")
    if scene.test.check(bye, "and its BYE"):
        scene.phone.answer(bye, 200)
    register["headers"] = "Expires: 0\r\n"
    scene.phone.tell(scene.phone.request("REGISTER", uri, desk, **register))
    scene.phone.expect("REGISTER", 200)
    caller.close()


def a_caller_of_the_echo_service_behind_such_a_proxy(scene):
    caller = Party(scene.test.site.provider, CALLER, 0, scene.provider.peer)
    uri = f"sip:echo@{scene.gateway.domain}"
    scene.provider.tell(
        scene.provider.request(
            "INVITE",
            uri,
            f"sip:bob@{DOMAIN}",
            body=scene.provider.sdp(),
            contact=f"<sip:caller@{CALLER}:5062>",
        )
    )
    ok = scene.provider.expect("INVITE", 200)
    words = {"own": ok["From"], "other": ok["To"], "call_id": ok["Call-ID"]}
    caller.within("ACK", 1, ok.target(), **words)
    while scene.provider.sees("INVITE", 200, 0.3):  # those that were on their way
        pass
    scene.test.check(
        not scene.provider.sees("INVITE", 200, 2.2), "ACK to the echo service is heard: no more 200"
    )
    caller.within("BYE", 2, ok.target(), **words)
    scene.test.check(caller.sees("BYE", 200), "and the BYE answered")
    caller.close()


def run(test):
    scene = Scene(test)
    for case in (
        wrong_tags,
        bye_in_place_of_ack,
        no_contact_in_the_answer,
        an_answer_that_cannot_be_read,
        a_contact_over_tcp_where_nobody_listens,
        an_answer_with_other_lines_than_the_offer,
        reliable_ringing_that_overtakes,
        reliable_ringing_lost_at_the_phone,
        notify_that_nobody_wants,
        a_response_that_was_meant_for_somebody_else,
        subscriptions_that_share_a_dialog,
        lines_that_end_badly,
        a_caller_behind_a_proxy_that_records_no_route,
        a_caller_of_the_echo_service_behind_such_a_proxy,
    ):
        with support.scene(case.__name__.replace("_", " ")):
            scene.phone.kept.clear()
            scene.provider.kept.clear()
            case(scene)
    scene.before.expect_same()


if __name__ == "__main__":
    support.main(run, __doc__, isolated=True)
