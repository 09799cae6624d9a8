#!/usr/bin/env python3
"""Fails when a pure library uses what only the I/O rooms may use. See CMakeLists.txt beside it."""
import argparse
import pathlib
import re
import subprocess
import sys

# Demangled undefined symbols that a pure archive must not need.
FORBIDDEN_SYMBOLS = re.compile(
    r"boost::asio|boost::beast|std::chrono::_V2::\w+_clock::now|std::thread|std::random_device"
    r"|std::basic_[io]?f(ile)?stream"
    r"|^(socket|bind|listen|accept4?|connect|send(to|msg|mmsg)?|recv(from|msg|mmsg)?|poll|epoll_\w+|select"
    r"|clock_gettime|gettimeofday|time|nanosleep|usleep|sleep|pthread_create|open(64|at)?|fopen(64)?|getaddrinfo"
    r"|getenv|RAND_bytes)(@|$)")

PURE_FOLDERS = ["proto/src", "gateway/src/call", "gateway/src/session", "gateway/src/provider", "client-sdk/src/ua"]
FORBIDDEN_INCLUDES = re.compile(
    r'^\s*#\s*include\s*[<"](boost/(asio|beast)|sys/(socket|epoll)|netinet/|unistd\.h|poll\.h|thread>|fstream>'
    r'|filesystem>|sqlite3\.h|net/|link/|transport/|media/|ops/|store/|app/|connector/)')
CLOCKS = re.compile(r"\b(steady_clock|system_clock|high_resolution_clock)::now\s*\(")


def symbol_faults(nm, archive):
    listing = subprocess.run([nm, "-C", "--undefined-only", archive], capture_output=True, text=True, check=True)
    for line in listing.stdout.splitlines():
        symbol = line.strip().removeprefix("U ").strip()
        if FORBIDDEN_SYMBOLS.search(symbol):
            yield f"{pathlib.Path(archive).name} needs {symbol}"


def source_faults(root):
    for folder in PURE_FOLDERS:
        for path in sorted((root / folder).rglob("*.[hc]pp")):
            # The SDK's shell around its pure user agent may use sockets; its name says so.
            if "client_impl" in path.name or path.name.startswith(("client", "raw_link")):
                continue
            for number, line in enumerate(path.read_text().splitlines(), 1):
                if FORBIDDEN_INCLUDES.match(line) or CLOCKS.search(line):
                    yield f"{path.relative_to(root)}:{number}: {line.strip()}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--nm", default="nm")
    parser.add_argument("--source", type=pathlib.Path, required=True)
    parser.add_argument("archives", nargs="+")
    arguments = parser.parse_args()
    faults = [fault for archive in arguments.archives for fault in symbol_faults(arguments.nm, archive)]
    faults += source_faults(arguments.source)
    for fault in faults:
        print("layering:", fault)
    print(f"{len(arguments.archives)} libraries checked, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
