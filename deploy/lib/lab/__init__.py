"""A small telephone network on one machine: hosts, programs, phones, speech, captures.

Used by deploy/quickstart.sh and tests/interop. Python's standard library only.
"""
