"""A PNG of waveforms, drawn without a library."""

import struct
import zlib

# fmt: off
_GLYPHS = {  # 3 by 5 dots, rows from the top, one octal digit a row
    "A": "25755", "B": "65656", "C": "34443", "D": "65556", "E": "74647", "F": "74644",
    "G": "34553", "H": "55755", "I": "72227", "J": "11152", "K": "55655", "L": "44447",
    "M": "57755", "N": "65555", "O": "25552", "P": "65644", "Q": "25573", "R": "65655",
    "S": "34216", "T": "72222", "U": "55557", "V": "55552", "W": "55775", "X": "55255",
    "Y": "55222", "Z": "71247", "0": "75557", "1": "26227", "2": "61247", "3": "61216",
    "4": "55711", "5": "74616", "6": "34757", "7": "71222", "8": "75757", "9": "75716",
    ".": "00002", ",": "00024", ":": "02020", "-": "00700", ">": "42124", "/": "11244",
    "(": "12221", ")": "42224", "=": "07070", "%": "51245", "+": "02720",
}
# fmt: on


class Picture:
    """An RGB image to draw on."""

    def __init__(self, width, height, background=(255, 255, 255)):
        self.width, self.height = width, height
        self._rows = [bytearray(bytes(background) * width) for _ in range(height)]

    def bar(self, x, top, bottom, colour):
        for y in range(max(0, top), min(self.height, bottom + 1)):
            self._rows[y][3 * x : 3 * x + 3] = bytes(colour)

    def line(self, y, left, right, colour):
        self._rows[y][3 * left : 3 * right] = bytes(colour) * (right - left)

    def text(self, x, y, text, colour=(40, 40, 40), scale=2):
        for letter in text.upper():
            for row, digit in enumerate(_GLYPHS.get(letter, "00000")):
                for column in range(3):
                    if int(digit) & (4 >> column):
                        for dx in range(scale):
                            if 0 <= x + column * scale + dx < self.width:
                                self.bar(
                                    x + column * scale + dx,
                                    y + row * scale,
                                    y + row * scale + scale - 1,
                                    colour,
                                )
            x += 4 * scale

    def wave(self, x, y, width, height, samples, colour):
        """Peaks of the samples, scaled to the box."""
        self.line(y + height // 2, x, x + width, (220, 220, 220))
        loudest = max((abs(value) for value in samples), default=0) or 1
        for column in range(width):
            part = samples[column * len(samples) // width : (column + 1) * len(samples) // width]
            if part:
                middle, half = y + height / 2, height / 2 - 1
                self.bar(
                    x + column,
                    int(middle - max(part) / loudest * half),
                    int(middle - min(part) / loudest * half),
                    colour,
                )

    def save(self, path):
        def chunk(kind, data):
            body = kind + data
            return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

        header = struct.pack(">IIBBBBB", self.width, self.height, 8, 2, 0, 0, 0)
        pixels = zlib.compress(b"".join(b"\0" + bytes(row) for row in self._rows), 9)
        with open(path, "wb") as file:
            file.write(
                b"\x89PNG\r\n\x1a\n"
                + chunk(b"IHDR", header)
                + chunk(b"IDAT", pixels)
                + chunk(b"IEND", b"")
            )


def draw_calls(path, rows):
    """rows: (title, samples sent, samples received and aligned). One pair of waves for each."""
    width, row_height = 900, 150
    picture = Picture(width, 14 + row_height * len(rows))
    for index, (title, sent, received) in enumerate(rows):
        y = 10 + index * row_height
        picture.text(10, y, title)
        picture.text(10, y + 38, "sent", (30, 90, 170))
        picture.text(10, y + 98, "heard", (190, 80, 20))
        picture.wave(70, y + 16, width - 80, 58, sent, (30, 90, 170))
        picture.wave(70, y + 78, width - 80, 58, received, (190, 80, 20))
    picture.save(path)
