"""What a configuration directory amounts to, once it is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from guardhooks.model import Jail, Problem
from guardhooks.settings import daemon_options as option


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that the configuration says. Nothing else reads its files.

    `jails` are the enabled jails that can run, in file order, degraded ones (`Jail.problems`) included. `broken` are
    the enabled jails that cannot run at all, with the reasons. `problems` belong to no single enabled jail (a typo in a
    disabled one, an unreadable `.local`); `remarks` tell of nothing wrong. `loglevel` is a name of the logging module
    or NOTICE, `log_style` is `classic` or `detailed`. `socket` and `state` are None where the configuration leaves them
    to the command line and the defaults. `history_age` and `reconcile` are in seconds. `base` is the directory whose
    `jail.conf` is used because `directory` has only a `jail.local`.
    """

    directory: Path
    jails: tuple[Jail, ...] = ()
    broken: Mapping[str, tuple[Problem, ...]] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    remarks: tuple[Problem, ...] = ()
    disabled_plugins: tuple[str, ...] = ()
    loglevel: str = option.LOGLEVEL.default
    log_style: str = option.LOG_STYLE.default
    socket: Path | None = None
    state: Path | None = None
    history_age: float = option.HISTORY_AGE.default
    reconcile: float = option.RECONCILE.default
    base: Path | None = None


def jails_of(settings: Settings, *, observe: bool) -> dict[str, Jail]:
    """The jails by name; with `observe` each of their actions only says what it would do."""
    if not observe:
        return {jail.name: jail for jail in settings.jails}
    return {
        jail.name: replace(jail, actions=tuple(replace(action, name="observe", file="") for action in jail.actions))
        for jail in settings.jails
    }
