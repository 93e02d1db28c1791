"""This machine as it looks to a daemon without privileges: permissions count, and the firewall is out of reach."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from subprocess import CompletedProcess
from typing import ClassVar, Final

from tests.e2e.here import Here

_DROP: Final = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")
"""Root without any capability: files of others and modes hold it up as they do any user."""


class Unprivileged(Here):
    """Runs commands without capabilities; those that root starts keep its uid."""

    apart: ClassVar[bool] = False

    def command(self, *argv: str | Path) -> list[str]:
        return [*(_DROP if os.geteuid() == 0 else ()), *super().command(*argv)]

    def guardhooks(self, *argv: str | Path) -> CompletedProcess[str]:
        """The `guardhooks` command, to its end."""
        return self.run(sys.executable, "-m", "guardhooks", *argv, check=False)


def the_one_line(stderr: str) -> str:
    """The error that a command ended with, which must be the only one, and no traceback."""
    assert "Traceback" not in stderr, stderr
    errors = [line for line in stderr.splitlines() if line.startswith("guardhooks: error: ")]
    assert len(errors) == 1, stderr
    return errors[0].removeprefix("guardhooks: error: ")
