"""Captures by tcpdump, and what can be read from them: flows, SIP messages, a ladder."""

import collections
import os
import struct

from .net import LabError

Packet = collections.namedtuple("Packet", "time protocol source destination payload")
SipMessage = collections.namedtuple(
    "SipMessage", "time source destination first_line call_id cseq to_tag"
)


class Capture:
    """tcpdump on one interface of a host, from start() to stop()."""

    def __init__(self, programs, host, interface, name, what=""):
        self.path = programs.directory / f"{name}.pcap"
        argv = [
            "tcpdump",
            "-i",
            interface,
            "-w",
            str(self.path),
            "-U",
            "-n",
            "--immediate-mode",
            "-s",
            "2000",
            "-B",
            "8192",
        ]
        if os.geteuid() == 0:
            argv += ["-Z", "root"]  # it may write where root may
        self.program = programs.start(host, name, argv + what.split())
        self.program.wait_output("listening on", 10)

    def stop(self):
        self.program.stop()

    def packets(self):
        return list(read_pcap(self.path))


def read_pcap(path):
    """Packets of a pcap file; IPv4 only is taken apart, all else keeps protocol 'other'."""
    with open(path, "rb") as file:
        data = file.read()
    if len(data) < 24 or data[:4] != b"\xd4\xc3\xb2\xa1":
        raise LabError(f"{path} is not a capture")
    link_type = struct.unpack_from("<I", data, 20)[0] & 0xFFFF
    position = 24
    while position + 16 <= len(data):
        seconds, fraction, length, _ = struct.unpack_from("<IIII", data, position)
        frame = data[position + 16 : position + 16 + length]
        position += 16 + length
        if len(frame) == length:
            yield _packet(seconds + fraction / 1e6, link_type, frame)


def _packet(time, link_type, frame):
    if link_type == 1:  # Ethernet
        kind, start = struct.unpack_from(">H", frame, 12)[0], 14
    elif link_type == 113:  # Linux cooked
        kind, start = struct.unpack_from(">H", frame, 14)[0], 16
    elif link_type == 276:  # Linux cooked, version 2
        kind, start = struct.unpack_from(">H", frame, 0)[0], 20
    else:
        raise LabError(f"capture of link type {link_type} is not known")
    if kind != 0x0800:
        return Packet(time, f"ethertype {kind:#06x}", None, None, b"")
    ip = frame[start:]
    header = (ip[0] & 15) * 4
    total = struct.unpack_from(">H", ip, 2)[0]
    protocol = {1: "icmp", 6: "tcp", 17: "udp"}.get(ip[9], f"ip {ip[9]}")
    source, destination = (".".join(map(str, ip[n : n + 4])) for n in (12, 16))
    if struct.unpack_from(">H", ip, 6)[0] & 0x1FFF:  # a later fragment has no ports
        return Packet(time, protocol, (source, 0), (destination, 0), ip[header:total])
    body = ip[header:total]
    ports = struct.unpack_from(">HH", body) if protocol in ("tcp", "udp") else (0, 0)
    start = 8 if protocol == "udp" else (body[12] >> 4) * 4 if protocol == "tcp" else 0
    return Packet(time, protocol, (source, ports[0]), (destination, ports[1]), body[start:])


def flows(packets):
    """(protocol, one end, other end) → [packets, bytes of payload], both directions together."""
    table = {}
    for packet in packets:
        ends = tuple(sorted([packet.source, packet.destination])) if packet.source else ()
        count = table.setdefault((packet.protocol, *ends), [0, 0])
        count[0] += 1
        count[1] += len(packet.payload)
    return table


def sip_messages(packets):
    """The SIP messages among the packets, retransmissions included, by time."""
    found = []
    for packet in packets:
        if packet.protocol != "udp" or b"SIP/2.0" not in packet.payload.split(b"\r\n", 1)[0]:
            continue
        head = packet.payload.split(b"\r\n\r\n", 1)[0].decode(errors="replace").split("\r\n")
        headers = {}
        for line in head[1:]:
            name, _, value = line.partition(":")
            headers.setdefault(name.strip().lower(), value.strip())
        found.append(
            SipMessage(
                packet.time,
                packet.source,
                packet.destination,
                head[0],
                headers.get("call-id", headers.get("i", "")),
                headers.get("cseq", ""),
                ";tag=" in headers.get("to", headers.get("t", "")),
            )
        )
    return sorted(found, key=lambda message: message.time)


def _label(message):
    if message.first_line.startswith("SIP/2.0"):
        return message.first_line[8:] + (
            f" ({message.cseq.split()[-1]})"
            if message.cseq and "INVITE" not in message.cseq
            else ""
        )
    return message.first_line.split(" ", 1)[0]


def _shortened(text, width):
    return text.split(" --")[0][:width].rstrip()


def ladder(columns, messages, media=(), width=21):
    """Lines of text.

    columns   (title, set of addresses or (address, port) pairs), left to right
    messages  SIP messages by time
    media     (left column, right column, text) drawn after the first ACK
    """
    places = [width * n + width // 2 for n in range(len(columns))]
    total = width * len(columns)
    lines = ["".join(title.center(width) for title, _ in columns).rstrip()]

    def rail():
        row = [" "] * total
        for place in places:
            row[place] = "|"
        return row

    def arrow(left, right, text, head_left, fill="-"):
        row = rail()
        start, end = places[left] + 1, places[right]
        row[start:end] = fill * (end - start)
        if head_left is None:
            row[start], row[end - 1] = "<", ">"
        elif head_left:
            row[start] = "<"
        else:
            row[end - 1] = ">"
        text = f" {_shortened(text, end - start - 4)} "
        at = (start + end - len(text)) // 2
        row[at : at + len(text)] = text
        return "".join(row).rstrip()

    def column(end):
        for index, (_, members) in enumerate(columns):
            if end in members or end[0] in members:
                return index
        return None

    first = messages[0].time if messages else 0
    media_drawn = False
    for message in messages:
        source, destination = column(message.source), column(message.destination)
        if source is None or destination is None or source == destination:
            continue
        left, right = min(source, destination), max(source, destination)
        stamp = f"{1000 * (message.time - first):7.0f} ms"
        drawn = arrow(left, right, _label(message), source > destination)
        lines.append(f"{drawn:<{total}}{stamp}")
        if _label(message) == "ACK" and not media_drawn and _answered(messages, message):
            lines += [arrow(a, b, text, None, "=") for a, b, text in media]
            media_drawn = True
    return lines


def _answered(messages, ack):
    """Whether this ACK confirms a call (and not a refusal, RFC 3261 §17.1.1.3)."""
    number = ack.cseq.split()[0]
    return any(
        m.first_line.startswith("SIP/2.0 2")
        and m.cseq.split() == [number, "INVITE"]
        and m.time <= ack.time
        for m in messages
        if m.call_id == ack.call_id
    )
