"""The table of what calls noticed of what was done to their networks."""

import json
import pathlib

COLUMNS = (
    ("what happens in a call", "{:34}", "name"),
    ("gap up", "{:>7}", "up_ms"),
    ("down, ms", "{:>9}", "down_ms"),
    ("limit", "{:>6}", "limit_ms"),
    ("sent", "{:>5}", "sent"),
    ("lost up", "{:>8}", "lost_up"),
    ("down", "{:>5}", "lost_down"),
    ("  link at the end", "  {}", "link"),
)


def show(rows):
    """Prints the rows: dictionaries with the keys of COLUMNS."""
    print("   " + " ".join(form.format(title.strip()) for title, form, _ in COLUMNS))
    for row in rows:
        cells = (row[key] for _, _, key in COLUMNS)
        texts = (f"{cell:.0f}" if isinstance(cell, float) else str(cell) for cell in cells)
        print("   " + " ".join(form.format(text) for (_, form, _), text in zip(COLUMNS, texts)))


def save(rows, path):
    """For whoever joins the tables of several programs."""
    pathlib.Path(path).write_text(json.dumps(rows), encoding="utf-8")


def load(path):
    return json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
