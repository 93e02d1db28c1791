"""This very machine as a host: for daemons that observe, which need neither root nor a network.

As root each runs in a network namespace of its own: two that may change the firewall of one would have to have names of
their own.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import ClassVar

from tests.e2e.range import environment


class Here:
    """Runs commands where the tests run, with some environment variables of their own."""

    apart: ClassVar[bool] = True

    def __init__(self, **variables: str) -> None:
        self._variables = [f"{name}={value}" for name, value in variables.items()]

    def command(self, *argv: str | Path) -> list[str]:
        """The command line that runs `argv`; each of these becomes the next, so the process id is the command's."""
        apart = ["unshare", "--net"] if self.apart and os.geteuid() == 0 else []
        return [*apart, "env", *self._variables, *map(str, argv)]

    def run(self, *argv: str | Path, check: bool = True, timeout: float = 20.0) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        done = subprocess.run(
            self.command(*argv), capture_output=True, text=True, check=False, timeout=timeout, env=environment()
        )
        if check and done.returncode:
            raise AssertionError(f"{' '.join(map(str, argv))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done
