"""Starts programs on hosts, keeps their output in files, ends them by their pids."""

import os
import pathlib
import signal
import subprocess
import time

from .net import LabError, die_with_parent, wait_until


class Program:
    """A running program, its host and its log."""

    def __init__(self, host, name, process, log):
        self.host = host
        self.name = name
        self.process = process
        self.log = log

    @property
    def pid(self):
        return self.process.pid  # nsenter becomes the program, so this is its own

    def running(self):
        return self.process.poll() is None

    def output(self):
        return self.log.read_text(encoding="utf-8", errors="replace")

    def wait_output(self, text, seconds=10):
        """Waits until the log holds the text; returns the first line that has it."""

        def line_with_text():
            for line in self.output().splitlines():
                if text in line:
                    return line
            if not self.running():
                raise LabError(
                    f"{self.name} ended with code {self.process.returncode}; see {self.log}"
                )
            return None

        return wait_until(line_with_text, seconds, f"{self.name}: no {text!r} in {self.log}")

    def wait(self, seconds):
        """Its exit code."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise LabError(f"{self.name} did not end within {seconds} s; see {self.log}") from None

    def stop(self, seconds=5):
        """Asks it to end, and makes it. Its children (Kamailio has some) go with it."""
        if self.running():
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        return self.process.wait()


# Reads process groups, one a line; kills them when its input ends without "done".
_GUARD = """
groups=
while read -r word; do
  if [ "$word" = done ]; then exit; fi
  groups="$groups -$word"
done
[ -z "$groups" ] || kill -KILL $groups 2>/dev/null
"""


class Programs:
    """Every program of a lab; ends them in reverse order."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.started = []
        # A process that dies with the lab does not take its own children along (Kamailio has),
        # so this one outlives the lab, when that is killed, by the moment it takes to end them.
        self._guard = subprocess.Popen(
            ["sh", "-c", _GUARD], stdin=subprocess.PIPE, text=True, start_new_session=True
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def start(self, host, name, argv, stdin=None, environment=None):
        """Starts argv on the host; standard output and error go to NAME.log."""
        log = self.directory / f"{name}.log"
        with open(log, "wb") as output:
            process = subprocess.Popen(
                host.command(*[str(word) for word in argv]),
                stdin=stdin or subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                preexec_fn=die_with_parent,
                start_new_session=True,
                cwd=self.directory,
                env={**os.environ, **(environment or {})},
            )
        self._guard.stdin.write(f"{process.pid}\n")
        self._guard.stdin.flush()
        program = Program(host, name, process, log)
        self.started.append(program)
        return program

    def stop(self):
        """Ends all that still run: asked together, then one after the other."""
        programs = list(reversed(self.started))
        for program in programs:
            if program.running():
                program.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 6
        for program in programs:
            program.stop(max(0.1, deadline - time.monotonic()))
        self.started = []

    def close(self):
        """Ends all, for good."""
        self.stop()
        self._guard.communicate("done\n")
