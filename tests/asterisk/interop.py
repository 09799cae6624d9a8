#!/usr/bin/env python3
"""A real Asterisk as provider and PBX: registration in all three modes, calls with sound both ways, direct media
and its glare, hold, transfers, subscriptions, texts, session timers, TCP, TLS and IPv6, and its restart.

    tests/asterisk.sh                                          makes the root directories, and runs this in each
    tests/asterisk/interop.py [BUILD_DIRECTORY] [--asterisk-root DIRECTORY] [--only PATTERN]

Without --asterisk-root it is the Asterisk that is installed."""

import re
import shutil

from stage import Stage, support  # first: it knows where the others are

import accounts
import calls
import presence
import transfers
import transports
from timers import Timers

SCENES = (
    ("registration passes through, refreshes do not", accounts.passed_through),
    ("echo in three codecs, and a late offer", calls.echo),
    ("a phone calls a phone", calls.between_phones),
    ("speech of isthmus-phone", calls.speech_of_isthmus_phone),
    ("Opus from end to end", calls.opus_from_end_to_end),
    ("Asterisk calls", calls.from_asterisk),
    ("refusals and CANCEL", calls.refusals),
    ("redirections both ways", calls.redirections),
    ("early media", calls.early_media),
    ("reliable provisional responses", calls.reliable_responses),
    ("hold and resume", calls.hold),
    ("hold and resume with direct media", calls.direct_media),
    ("glare with direct media", calls.crossing),
    ("digits", calls.digits),
    ("blind transfer", transfers.blind),
    ("attended transfer", transfers.attended),
    ("Asterisk transfers by REFER", transfers.by_asterisk),
    ("Asterisk moves a call", transfers.redirected),
    ("Asterisk moves a call with direct media", transfers.redirected_direct),
    ("busy lamp", presence.lamp),
    ("presence", presence.presence),
    ("waiting messages", presence.waiting_messages),
    ("texts", presence.texts),
    ("who is connected", presence.identities),
    ("who diverted", presence.diversion),
    ("TCP", transports.tcp),
    ("TLS", transports.tls),
    ("TLS by connections of the gateway alone", transports.tls_of_the_gateway_alone),
    ("IPv6", transports.ipv6),
    ("the gateway as a trunk", accounts.trunk),
)
OLD_SCENES = (
    calls.echo, calls.between_phones, calls.from_asterisk, calls.redirections, calls.early_media, calls.hold,
    calls.direct_media, calls.crossing, calls.digits, transfers.blind, transfers.attended,
    transfers.by_asterisk, transfers.redirected, transfers.redirected_direct, presence.lamp,
    presence.waiting_messages,
)  # fmt: skip
HIDDEN_SCENES = (
    calls.between_phones, calls.refusals, calls.redirections, calls.reliable_responses, calls.direct_media,
    calls.crossing, transfers.blind, transfers.attended, transfers.by_asterisk, transfers.redirected_direct,
    presence.lamp, presence.texts, presence.identities, presence.diversion,
)  # fmt: skip
LAST = "accounts, and Asterisk restarts"
TIMERS = "session timers"


def again(stage, wanted, world, scenes, use):
    """Some of the scenes in another world, if any of them is wanted there."""
    titled = [(f"{world}: {title}", scene) for title, scene in SCENES if scene in scenes]
    titled = [(title, scene) for title, scene in titled if wanted.search(title)]
    if titled:
        use()
    for title, scene in titled:
        stage.play(title, scene)


def run(test):
    if not test.arguments.asterisk_root and not shutil.which("asterisk"):
        raise support.Skip("no --asterisk-root, and no asterisk installed")
    wanted = re.compile(test.arguments.only or "")
    stage = Stage(test)
    print(f"   Asterisk {stage.asterisk.version}")
    timers = Timers(stage) if wanted.search(TIMERS) else None
    for title, scene in SCENES:
        if wanted.search(title):
            stage.play(title, scene)
    if timers:
        with support.scene(TIMERS):
            timers.finish()
    if wanted.search(LAST):
        stage.play(LAST, accounts.account)
    again(stage, wanted, "hidden", HIDDEN_SCENES, stage.use_hidden)
    if stage.asterisk.has_module("chan_sip.so"):
        again(stage, wanted, "chan_sip", OLD_SCENES, stage.use_old)
    stage.wait_for_remains()
    stage.baseline.expect_clean()


if __name__ == "__main__":
    support.main(
        run,
        __doc__.split("\n\n", maxsplit=1)[0],
        isolated=True,
        needs=("tcpdump", "openssl", "espeak-ng", support.PHONE),
        options=(
            (("--asterisk-root",), {"help": "root directory of a Debian with Asterisk"}),
            (("--only",), {"metavar": "PATTERN", "help": "scenes whose title has it"}),
        ),
    )
