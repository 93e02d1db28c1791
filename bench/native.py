#!/usr/bin/env python3
"""The daemon with its native core, with a plain plugin of the site, without the core, and fail2ban, on the same logs.

CPU microseconds a line; needs root.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

sys.path.insert(0, str(Path(__file__).parent))

from daemons import Daemon, Fail2ban, Guardhooks
from logs import write_log, write_mail_log
from reading import read
from side_by_side import enter_namespace

_SLOW = 20
"""fail2ban gets so many times fewer lines."""


_HOOK = """\
from guardhooks import hookimpl

@hookimpl
def on_failure(failure):
    return None
"""


class Hooked(Guardhooks):
    """guardhooks with a plugin of the site that looks at every failure."""

    name = "guardhooks, a site's on_failure"

    def start(self) -> None:
        hooks = self.config / "hooks.d"
        hooks.mkdir(exist_ok=True)
        (hooks / "site.py").write_text(_HOOK)
        super().start()


class Pure(Guardhooks):
    """guardhooks as it is where the core could not be built."""

    name = "guardhooks, pure Python"
    disable: ClassVar[str] = "native"

    def start(self) -> None:
        own = self.config / "guardhooks.local"
        own.write_text(f"[Plugins]\ndisable = {self.disable}\n")
        super().start()


def main() -> None:
    """Print one row for each case."""
    enter_namespace()
    lines = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    print("| case | native | a site's on_failure | pure | fail2ban | pure / native | fail2ban / native |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    with TemporaryDirectory() as folder:
        for share in (1.0, 0.01):
            count = lines // 5 if share > 0.5 else lines
            long, short = Path(folder) / "long.log", Path(folder) / "short.log"
            write_log(long, count, share)
            write_log(short, count // _SLOW, share)
            _row(f"sshd, {share:.0%} attack lines", ("sshd",), (long, count), (short, count // _SLOW))
        write_mail_log(long, lines, 0.01)
        write_mail_log(short, lines // _SLOW, 0.01)
        _row("postfix and dovecot, 1%", ("postfix", "dovecot"), (long, lines), (short, lines // _SLOW))


def _row(case: str, jails: tuple[str, ...], long: tuple[Path, int], short: tuple[Path, int]) -> None:
    def cost(kind: type[Daemon], log: tuple[Path, int]) -> float:
        return read(kind, [log[0]], jails=jails).cpu / log[1] * 1e6

    native, hooked, pure, other = cost(Guardhooks, long), cost(Hooked, long), cost(Pure, long), cost(Fail2ban, short)
    ratios = f"{pure / native:.1f} | {other / native:.1f}"
    print(f"| {case} | {native:.2f} | {hooked:.2f} | {pure:.2f} | {other:.2f} | {ratios} |", flush=True)


if __name__ == "__main__":
    main()
