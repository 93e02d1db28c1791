"""OpenSSH 9.8 and later refuses addresses that fail often (`PerSourcePenalties`), and what it refuses it does not log
as a failed login: a jail that asks for more failures than it lets through never bans.
"""

from __future__ import annotations

import math
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from typing import Final

from guardhooks.check.site import Site
from guardhooks.errors import ConfigError
from guardhooks.model import ConfigFinding, Jail
from guardhooks.settings.option_types import render_duration
from guardhooks.settings.times import parse_duration

_SSHD: Final = "sshd"
_TIMEOUT: Final = 10.0
"""Seconds."""
_DEFAULTS: Final = {"authfail": 5.0, "min": 15.0, "max": 600.0}
"""Seconds; sshd_config(5)."""


def penalties_that_hide_failures(site: Site) -> Iterator[ConfigFinding]:
    """Asks the installed sshd for its configuration, if a jail is about it."""
    jails = [jail for jail in site.jails.values() if jail.filter and jail.filter.name == _SSHD]
    if jails:
        configuration = sshd_configuration()
        for jail in jails:
            yield from hidden_by_penalties(jail, configuration)


def sshd_configuration() -> Mapping[str, str]:
    """What `sshd -T` prints, by lower-case keyword; of repeated ones the last. Empty where it cannot be asked."""
    program = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        return {}
    try:
        done = subprocess.run([program, "-T"], capture_output=True, text=True, timeout=_TIMEOUT, check=True)
    except (OSError, subprocess.SubprocessError, ValueError):
        return {}
    return dict(line.lower().split(" ", 1) for line in done.stdout.splitlines() if " " in line)


def hidden_by_penalties(jail: Jail, configuration: Mapping[str, str]) -> Iterator[ConfigFinding]:
    """:param configuration: keyword → value, as `sshd -T` prints them."""
    penalties = configuration.get("persourcepenalties", "no")
    if penalties == "no":
        return
    seconds = {**_DEFAULTS, **dict(_seconds(penalties))}
    seen = connections_within(jail.findtime, seconds["authfail"], seconds["min"], seconds["max"])
    if seen < jail.maxretry:
        yield ConfigFinding(
            f"sshd's PerSourcePenalties let one address fail at most {seen} times within findtime = "
            f"{render_duration(jail.findtime)}, and maxretry = {jail.maxretry} is never reached",
            why="sshd refuses further connections without logging a failed login, so nobody is banned",
            remedy=f"set maxretry = {max(1, seen)} or a longer findtime, or a smaller authfail in PerSourcePenalties",
            key="maxretry",
            jails=(jail.name,),
        )


def connections_within(findtime: float, authfail: float, least: float, most: float) -> int:
    """How many connections that fail to log in sshd lets through in `findtime` seconds.

    Each adds `authfail` seconds of penalty, `most` in all; from `least` on the address is refused until they are over.
    """
    if authfail <= 0:
        return 2**31
    burst = max(1, math.ceil(least / authfail))
    return (int(findtime // min(most, burst * authfail)) + 1) * burst


def _seconds(text: str) -> Iterator[tuple[str, float]]:
    """`crash:90 authfail:5 …`, `authfail:1m`."""
    for name, value in re.findall(r"([a-z-]+):(\S+)", text):
        try:
            yield name, parse_duration(value)
        except ConfigError:
            continue
