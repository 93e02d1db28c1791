"""Programs that read a log once and end: what they cost."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

from daemons import environment

PARSER = Path("/usr/libexec/sshguard/sshg-parser")
_SSHD_WORDS = (
    "Failed |[iI](?:nvalid|llegal) user|uthentication (?:failure|error|failed)|LOGIN REFUSED|not allowed because"
    "|refused connect|Received disconnect|Disconnect(?:ing|ed)|Connection (?:closed|reset|from)|Accepted "
    "|User not known|maximum authentication attempts"
)
_MAIL_WORDS = "reject: |auth(?:entication)? fail|unknown user|[Pp]assword mismatch|Aborted login|improper command"


@dataclass(frozen=True, slots=True)
class Tool:
    """The word LOG in `command` stands for the log, which also is its standard input; `wants` must be installed."""

    name: str
    command: Sequence[str]
    wants: str

    def cost(self, log: Path) -> tuple[float, float] | None:
        """CPU seconds, less those for an empty log, and peak resident MB; None where the program is not installed."""
        if not shutil.which(self.wants):
            return None
        with NamedTemporaryFile() as empty:
            start, _ = self._run(Path(empty.name))
        cpu, memory = self._run(log)
        return cpu - start, memory

    def _run(self, log: Path) -> tuple[float, float]:
        command = [str(log) if word == "LOG" else word for word in self.command]
        with log.open("rb") as file:
            process = subprocess.Popen(
                command, stdin=file, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment()
            )
            _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in (0, 1):
            raise RuntimeError(f"{self.name} ended with {process.returncode}")
        return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def tools(filter_name: str, config: Path) -> list[Tool]:
    """Those that can be compared on a log for this filter."""
    words = _MAIL_WORDS if filter_name in ("postfix", "dovecot") else _SSHD_WORDS
    ours = [sys.executable, "-m", "guardhooks", "test", "-c", str(config), "LOG", filter_name]
    return [
        Tool("guardhooks test", ours, sys.executable),
        Tool("fail2ban-regex", ["fail2ban-regex", "-c", str(config), "LOG", filter_name], "fail2ban-regex"),
        Tool("sshg-parser", [str(PARSER)], str(PARSER)),
        Tool("rg -c", ["rg", "-c", words, "LOG"], "rg"),
        Tool("wc -l", ["wc", "-l", "LOG"], "wc"),
    ]
