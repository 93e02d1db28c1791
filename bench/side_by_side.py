"""What the comparisons with fail2ban share: a network namespace of their own, and the head of their tables."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from daemons import Daemon
from kernel import Firewall

_INSIDE = "GUARDHOOKS_BENCH_NAMESPACE"


def enter_namespace() -> None:
    """Run this program again in a new network namespace and end with it, unless it runs in one already."""
    if os.environ.get(_INSIDE) != "1":
        command = ["unshare", "--net", sys.executable, *sys.argv]
        sys.exit(subprocess.run(command, env={**os.environ, _INSIDE: "1"}, check=False).returncode)


def machine() -> str:
    """Date, machine and versions, one line."""
    versions = [
        f"fail2ban {_first_line('fail2ban-client', '-V')}",
        _first_line("ipset", "--version").split(",")[0],
        _first_line("nft", "--version").split(" (")[0],
    ]
    where = f"{os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}"
    return f"{time.strftime('%Y-%m-%d')}, {where}, {', '.join(versions)}"


def _first_line(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip().partition("\n")[0]


@contextlib.contextmanager
def daemon(kind: type[Daemon], firewall: Firewall, *, maxretry: int = 5) -> Iterator[Daemon]:
    """A daemon with an empty log, not started; killed at the end, its sets destroyed."""
    with TemporaryDirectory() as folder:
        log = Path(folder) / "auth.log"
        log.touch()
        made = kind(Path(folder), log, maxretry=maxretry, action=firewall.action)
        try:
            yield made
        finally:
            made.kill()
            firewall.clear()


def fill(firewall: Firewall, addresses: list[str], limit: float) -> tuple[float, int]:
    """Seconds until the sets hold all of these, or `limit`; and how many they hold then.

    Looks as often as looking costs little: never more than a third of the time.
    """
    start = time.perf_counter()
    while True:
        begun = time.perf_counter()
        complete = firewall.holds(addresses)
        now = time.perf_counter()
        if complete:
            return now - start, len(addresses)
        if now - start > limit:
            return now - start, firewall.size()
        time.sleep(max(0.005, 2 * (now - begun)))
