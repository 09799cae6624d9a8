"""RTP that can be told apart by ear: each end sends a tone of its own, and says which tones it hears."""

import collections
import math
import re
import socket
import struct
import threading
import time

RATE = 8000
TONES = (350, 440, 550, 660, 770, 880, 990)
CODECS = {"PCMU": 0, "PCMA": 8, "G722": 9}
EVENT_TYPE = 101
_DIGITS = "0123456789*#ABCD"
_FRAME = 160
Packet = collections.namedtuple("Packet", "time kind source payload timestamp ssrc")


def _to_ulaw(sample):
    sign, value = (0x80, -sample) if sample < 0 else (0, sample)
    value = min(value, 32635) + 132
    exponent = max(0, value.bit_length() - 8)
    return ~(sign | exponent << 4 | (value >> (exponent + 3)) & 15) & 0xFF


def _from_ulaw(byte):
    byte = ~byte & 0xFF
    value = (((byte & 15) << 3) + 132 << (byte >> 4 & 7)) - 132
    return -value if byte & 0x80 else value


def _from_alaw(byte):
    byte ^= 0x55
    exponent, value = byte >> 4 & 7, (byte & 15) << 4
    value = value + 8 if exponent == 0 else (value + 264) << (exponent - 1)
    return value if byte & 0x80 else -value


_FROM = {0: [_from_ulaw(byte) for byte in range(256)], 8: [_from_alaw(byte) for byte in range(256)]}


def _to_alaw(sample):
    # Nearest of the 256: tables are made once for each tone, so this may be slow.
    return min(range(256), key=lambda byte: abs(_FROM[8][byte] - sample))


def _tone(hertz, codec):
    """One second of a tone in the codec; of others than G.711, bytes that count."""
    samples = [int(8000 * math.sin(2 * math.pi * hertz * n / RATE)) for n in range(RATE)]
    if codec == "PCMU":
        return bytes(map(_to_ulaw, samples))
    if codec == "PCMA":
        return bytes(map(_to_alaw, samples))
    return bytes((n * 7 + hertz) & 0xFF for n in range(RATE))


def _strength(samples, hertz):
    """Share of the power that lies at that frequency (Goertzel)."""
    factor = 2 * math.cos(2 * math.pi * hertz / RATE)
    before = last = power = 0.0
    for sample in samples:
        before, last = last, sample + factor * last - before
        power += sample * sample
    found = last * last + before * before - factor * last * before
    return 2 * found / (len(samples) * power) if power else 0.0


def close_datagram_socket(closing):
    """Closes it, and wakes whoever waits on it in another thread."""
    try:
        closing.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # it says that it is not connected, and has woken them
    closing.close()


class Media:
    """One RTP socket that sends its tone every 20 ms, as the last description allows, and keeps what comes."""

    def __init__(self, host, address, tone, codec="PCMU"):
        self.address, self.tone, self.codec = address, tone, codec
        self.socket = host.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, 0))
        self.port = self.socket.getsockname()[1]
        self.packets, self.to, self.sending, self.version = [], None, True, 0
        self.muted, self._digits, self._open = False, collections.deque(), True
        self._sound = _tone(tone, codec)
        for work in (self._listen, self._speak):
            threading.Thread(target=work, daemon=True).start()

    def description(self, direction="sendrecv"):
        self.version += 1
        kind = CODECS[self.codec]
        return (
            f"v=0\r\no=- 7 {self.version} IN IP4 {self.address}\r\ns=-\r\n"
            f"c=IN IP4 {self.address}\r\nt=0 0\r\nm=audio {self.port} RTP/AVP {kind} {EVENT_TYPE}\r\n"
            f"a=rtpmap:{kind} {self.codec}/8000\r\na=rtpmap:{EVENT_TYPE} telephone-event/8000\r\n"
            f"a=fmtp:{EVENT_TYPE} 0-16\r\na=ptime:20\r\na={direction}\r\n"
        )

    def agreed(self, sdp):
        """Follows the other side's description."""
        address = re.search(r"(?m)^c=IN IP4 (\S+)", sdp)[1]
        port = int(re.search(r"(?m)^m=audio (\d+)", sdp)[1])
        direction = re.search(r"(?m)^a=(sendrecv|sendonly|recvonly|inactive)", sdp)
        self.sending = not direction or direction[1] in ("sendrecv", "recvonly")
        self.to = (address, port) if port and address != "0.0.0.0" else None
        return direction[1] if direction else "sendrecv"

    def answer(self, sdp):
        """The answer to an offer."""
        mirrored = {"sendonly": "recvonly", "recvonly": "sendonly"}
        direction = self.agreed(sdp)
        return self.description(mirrored.get(direction, direction))

    def press(self, digits):
        """Sends digits as telephone events (RFC 4733), one after the other."""
        self._digits.extend(digits)

    def _speak(self):
        sequence, at, stamp = 1, time.monotonic(), 0
        while self._open:
            at += 0.02
            time.sleep(max(0.0, at - time.monotonic()))
            if self._digits and self.to:
                sequence, stamp = self._play_digit(self._digits.popleft(), sequence, stamp)
                at = time.monotonic()
                continue
            start = stamp % RATE
            stamp += _FRAME
            if self.to and self.sending and not self.muted:
                payload = self._sound[start : start + _FRAME]
                self._packet(CODECS[self.codec], sequence, stamp, payload)
                sequence += 1

    def _play_digit(self, digit, sequence, stamp):
        stamp += _FRAME
        for step in range(1, 9):
            end = 0x80 if step > 5 else 0
            payload = bytes([_DIGITS.index(digit), end | 10]) + struct.pack(
                ">H", min(step, 6) * 160
            )
            self._packet(EVENT_TYPE | (0x80 if step == 1 else 0), sequence, stamp, payload)
            sequence += 1
            time.sleep(0.02)
        return sequence, stamp + 8 * _FRAME

    def _packet(self, kind, sequence, stamp, payload):
        head = struct.pack(">BBHII", 0x80, kind, sequence & 0xFFFF, stamp, 0x1000 + self.tone)
        try:
            self.socket.sendto(head + payload, self.to)
        except OSError:
            pass  # closed, or an ICMP error of before

    def _listen(self):
        while self._open:
            try:
                data, source = self.socket.recvfrom(2048)
            except OSError:
                return
            if len(data) > 12 and data[0] & 0xC0 == 0x80:
                stamp, ssrc = struct.unpack(">II", data[4:12])
                kind = data[1] & 0x7F
                self.packets.append(Packet(time.monotonic(), kind, source, data[12:], stamp, ssrc))

    def hears(self, seconds=0.4):
        """The tones in what came last; None when nothing comes."""
        since = time.monotonic() - seconds
        recent = [one for one in self.packets[-100:] if one.time > since and one.kind in _FROM]
        samples = [_FROM[one.kind][byte] for one in recent for byte in one.payload]
        if len(samples) < 5 * _FRAME:
            return None
        return [tone for tone in TONES if _strength(samples, tone) > 0.2]

    def sent(self, payload):
        """Whether that is what this end sends."""
        return payload in self._sound + self._sound

    def digits(self):
        """Digits of telephone events that came."""
        seen = {}
        for one in self.packets:
            if one.kind == EVENT_TYPE and len(one.payload) >= 4:
                seen[one.ssrc, one.timestamp] = _DIGITS[one.payload[0]]
        return "".join(seen.values())

    def received(self, kind, seconds=1.0):
        since = time.monotonic() - seconds
        return [one for one in self.packets if one.kind == kind and one.time > since]

    def close(self):
        self._open = False
        close_datagram_socket(self.socket)
