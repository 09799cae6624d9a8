#!/usr/bin/env python3
"""One table of what a call notices when its network is changed, blocked or bad: the scenes of
tests/interop/nat_moves.py and impaired.py, one after the other.

    tests/bench/call_survival.py [BUILD_DIRECTORY]
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "deploy" / "lib"))
# pylint: disable=wrong-import-position
from lab import table  # noqa: E402

SCENES = ("nat_moves", "impaired")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("build", nargs="?", default=ROOT / "build" / "release")
    arguments = parser.parse_args()
    rows, code = [], 0
    with tempfile.TemporaryDirectory() as directory:
        for name in SCENES:
            file = pathlib.Path(directory) / name
            script = ROOT / "tests" / "interop" / f"{name}.py"
            print(f"{name}...", flush=True)
            done = subprocess.run(
                [sys.executable, script, arguments.build, "--rows", file],
                stdout=subprocess.PIPE, text=True, check=False,
            )  # fmt: skip
            if done.returncode != 0:
                print(done.stdout)
                code = done.returncode
            if file.exists():
                rows += table.load(file)
    table.show(rows)
    return code


if __name__ == "__main__":
    sys.exit(main())
