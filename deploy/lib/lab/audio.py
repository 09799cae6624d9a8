"""Speech to send, and the proof that what arrived is what was spoken."""

import array
import math
import operator
import pathlib
import shutil
import struct
import subprocess
import sys
import wave

RATE = 8000  # G.711's, and that of every comparison


def read_wav(path):
    """Mono samples at RATE, as floats from -1 to 1."""
    # By hand: Python's module does not read the extensible form (0xFFFE) that some programs write.
    data = pathlib.Path(path).read_bytes()
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise ValueError(f"{path} is not a WAV file")
    chunks, position = {}, 12
    while position + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, position)
        chunks[name] = data[position + 8 : position + 8 + size]
        position += 8 + size + size % 2
    form, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", chunks[b"fmt "])
    if form not in (1, 0xFFFE) or bits != 16:
        raise ValueError(f"{path}: format {form:#x} with {bits} bits, expected PCM with 16")
    samples = array.array("h", chunks[b"data"][: len(chunks[b"data"]) // 2 * 2])
    if sys.byteorder == "big":
        samples.byteswap()
    mono = [value / 32768 for value in samples[::channels]]
    return resample(mono, rate, RATE)


def write_wav(path, samples):
    clipped = array.array("h", (int(max(-1.0, min(1.0, value)) * 32767) for value in samples))
    if sys.byteorder == "big":
        clipped.byteswap()
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(clipped.tobytes())


def resample(samples, rate, to_rate, half_width=12):
    """Band-limited: a Hann-windowed sinc around every output sample, one filter per phase."""
    if rate == to_rate:
        return list(samples)
    divisor = math.gcd(rate, to_rate)
    up, down = to_rate // divisor, rate // divisor
    cutoff = min(1.0, to_rate / rate) * 0.95
    reach = math.ceil(half_width / cutoff)
    filters = []
    for phase in range(up):
        offset = phase / up
        taps = []
        for k in range(-reach + 1, reach + 1):
            x = k - offset
            sinc = cutoff if x == 0 else math.sin(math.pi * cutoff * x) / (math.pi * x)
            taps.append(sinc * (0.5 + 0.5 * math.cos(math.pi * x / (reach + 1))))
        filters.append(taps)
    padded = [0.0] * reach + list(samples) + [0.0] * (reach + 1)
    result = []
    for n in range(len(samples) * up // down):
        position = n * down
        base, phase = divmod(position, up)
        result.append(
            sum(map(operator.mul, filters[phase], padded[base + 1 : base + 1 + 2 * reach]))
        )
    return result


def speak(path, text, voice="en", total_s=12.0, lead_s=1.0):
    """Writes speech at RATE: some silence (in which jitter buffers settle), the text, more silence.

    Returns the samples of the text alone. The phones play a file to its end and then hang up, so
    the total must be longer than the call.
    """
    program = shutil.which("espeak-ng")
    if program:
        raw = str(path) + ".raw.wav"
        subprocess.run([program, "-v", voice, "-s", "165", "-w", raw, text], check=True)
        speech = read_wav(raw)
    else:
        speech = _syllables(text)
    peak = max(map(abs, speech))
    speech = [value * 0.6 / peak for value in speech]
    tail = max(0, int(total_s * RATE) - int(lead_s * RATE) - len(speech))
    write_wav(path, [0.0] * int(lead_s * RATE) + speech + [0.0] * tail)
    return speech


def _syllables(text):
    """Without a synthesiser: vowel-like sounds whose pitch and formants follow the text."""
    result = []
    for index, letter in enumerate(text.lower()):
        if not letter.isalpha():
            result += [0.0] * int(0.04 * RATE)
            continue
        code = ord(letter) - ord("a")
        pitch, first, second = (
            95 + 7 * (code % 9) + index % 5,
            300 + 55 * (code % 10),
            900 + 70 * code,
        )
        length = int(0.075 * RATE)
        for n in range(length):
            t = n / RATE
            voice = sum(
                math.sin(2 * math.pi * pitch * h * t) / (1 + ((pitch * h - first) / 90) ** 2)
                + math.sin(2 * math.pi * pitch * h * t + h)
                / (1 + ((pitch * h - second) / 120) ** 2)
                for h in range(1, 24)
            )
            result.append(voice * math.sin(math.pi * n / length))
    return result


class Comparison:
    """How well a recording holds a reference.

    score   normalised cross-correlation, 0 to 1, each quarter second at its own best delay
    offset  where in the recording the reference begins, in samples
    windows how many quarter seconds of speech were compared; matched: how many reached 0.8
    """

    def __init__(self, score, offset, windows, matched):
        self.score, self.offset, self.windows, self.matched = score, offset, windows, matched


def _envelope(samples, step):
    return [sum(map(abs, samples[n : n + step])) for n in range(0, len(samples) - step + 1, step)]


def _best_offset(reference, recording):
    """Coarse alignment: the correlation of the loudness curves, 5 ms a step."""
    step = RATE // 200
    short, long = _envelope(reference, step), _envelope(recording, step)
    mean = sum(short) / len(short)
    short = [value - mean for value in short]
    long = [0.0] * (len(short) // 2) + long + [0.0] * len(short)
    squares = [0.0]
    for value in long:
        squares.append(squares[-1] + value * value)
    best, best_lag = -1.0, 0
    for lag in range(len(long) - len(short)):
        energy = squares[lag + len(short)] - squares[lag]
        if energy <= 0:
            continue
        value = sum(map(operator.mul, short, long[lag : lag + len(short)])) / math.sqrt(energy)
        if value > best:
            best, best_lag = value, lag
    return (best_lag - len(short) // 2) * step


def compare(reference, recording):
    """Searches the reference in the recording.

    A phone's jitter buffer may insert or drop a packet within a call, after which everything is
    20 ms off; so the delay is searched again for each quarter second, near the last one.
    """
    if not recording or max(map(abs, recording)) == 0:
        return Comparison(0.0, 0, 0, 0)
    width, reach = RATE // 4, int(0.045 * RATE)
    offset = _best_offset(reference, recording)
    margin = len(reference)
    padded = [0.0] * margin + list(recording) + [0.0] * margin
    peak_power = max(
        sum(v * v for v in reference[n : n + width])
        for n in range(0, len(reference) - width + 1, width)
    )
    dot_sum = reference_sum = heard_sum = 0.0
    windows = matched = 0
    lag, first = offset, None
    for start in range(0, len(reference) - width + 1, width):
        piece = reference[start : start + width]
        power = sum(v * v for v in piece)
        if power < peak_power / 300:
            continue  # a pause: nothing to compare
        best, best_lag, best_dot, best_energy = -2.0, lag, 0.0, 0.0
        for candidate in range(lag - reach, lag + reach + 1):
            base = margin + start + candidate
            if base < 0 or base + width > len(padded):
                continue
            heard = padded[base : base + width]
            dot = sum(map(operator.mul, piece, heard))
            if dot <= 0:
                continue
            energy = sum(map(operator.mul, heard, heard))
            value = dot / math.sqrt(power * energy)
            if value > best:
                best, best_lag, best_dot, best_energy = value, candidate, dot, energy
        windows += 1
        matched += best >= 0.8
        dot_sum += best_dot
        reference_sum += power
        heard_sum += best_energy if best > -2 else power
        if best >= 0.8:
            lag = best_lag
            first = best_lag if first is None else first
    score = dot_sum / math.sqrt(reference_sum * heard_sum) if windows and heard_sum > 0 else 0.0
    return Comparison(score, offset if first is None else first, windows, matched)
