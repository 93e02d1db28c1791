"""Tries TCP connects from the attacker's host. Runs there as a script: asked on stdin, answers on stdout.

Each line `SOURCE TARGET PORT SECONDS` is answered by `open` or `closed`. With a fifth word `loop` it tries again and
again until stdin ends, and then says how often, and how often it got through: `TRIES OPEN`.
"""

from __future__ import annotations

import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

_HOW_LONG: Final = 0.5
"""Seconds that a connect over the range's wire, which takes microseconds, gets at first."""
_SECOND_TRY: Final = 1.0
"""Seconds that it gets once more before it counts as shut out: on a busy machine the first may just be late."""


def _connects_at_last(source: str, target: str, port: int, seconds: float) -> bool:
    """Two tries, unless the first was refused at once."""
    begun = time.monotonic()
    if _connects(source, target, port, seconds):
        return True
    return time.monotonic() - begun >= seconds and _connects(source, target, port, _SECOND_TRY)


def _connects(source: str, target: str, port: int, seconds: float) -> bool:
    family = socket.AF_INET6 if ":" in target else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as client:
        client.settimeout(seconds)
        client.bind((source, 0))
        try:
            client.connect((target, port))
        except OSError:
            return False
    return True


def main() -> None:
    """Answer until stdin ends."""
    for line in sys.stdin:
        source, target, port, seconds, *loop = line.split()
        if not loop:
            print("open" if _connects_at_last(source, target, int(port), float(seconds)) else "closed", flush=True)
            continue
        tries = through = 0
        while not select.select([sys.stdin], [], [], 0)[0]:
            tries += 1
            through += _connects(source, target, int(port), float(seconds))
        print(tries, through, flush=True)
        return


@dataclass
class Tally:
    """What a loop of connects saw; filled in when it has ended."""

    tries: int = 0
    through: int = 0


class Prober:
    """The test's side: a prober that runs on a host until it is closed."""

    def __init__(self, command: list[str]) -> None:
        self._command = command
        self._process = self._start()

    def _start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def can_connect(self, source: str, target: str, port: int) -> bool:
        """Whether a TCP connect from `source` succeeds."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{source} {target} {port} {_HOW_LONG}\n")
        answer = self._process.stdout.readline()
        assert answer, "the prober has died"
        return answer == "open\n"

    @contextmanager
    def loop(self, source: str, target: str, port: int) -> Iterator[Tally]:
        """Connect again and again from `source` while the block runs; the tally is known behind it."""
        tally = Tally()
        process = self._start()
        try:
            assert process.stdin is not None
            process.stdin.write(f"{source} {target} {port} 0.05 loop\n")
            process.stdin.flush()
            yield tally
            answer, _ = process.communicate(timeout=10)
            tally.tries, tally.through = map(int, answer.split())
        finally:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                assert stream is not None
                stream.close()

    def close(self) -> None:
        """End the prober."""
        self._process.communicate(timeout=10)


if __name__ == "__main__":
    main()
