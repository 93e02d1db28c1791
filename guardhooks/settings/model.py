"""What a configuration directory amounts to, once it is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from guardhooks.model import ActionSpec, Jail, Problem
from guardhooks.settings import daemon_options as option


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that the configuration says. Nothing else reads its files.

    `jails` are the enabled jails that can run, in file order, degraded ones (`Jail.problems`) included. `broken` are
    the enabled jails that cannot run at all, with the reasons. `problems` belong to no single enabled jail (a typo in a
    disabled one, an unreadable `.local`); `remarks` tell of nothing wrong. `loglevel` is a name of the logging module
    or NOTICE, `log_style` is `classic` or `detailed`, `logtarget` and `lognames` are what `log_targets.set_target`
    takes. `socket` and `state` are None where the configuration leaves them to the command line and the defaults.
    `fail2ban_socket` is None where fail2ban's clients are not served. `readers` is the group that may look, empty for
    none. `history_age` and `reconcile` are in seconds. `base` is the directory whose `jail.conf` is used because
    `directory` has only a `jail.local`.
    """

    directory: Path
    jails: tuple[Jail, ...] = ()
    broken: Mapping[str, tuple[Problem, ...]] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    remarks: tuple[Problem, ...] = ()
    disabled_plugins: tuple[str, ...] = ()
    loglevel: str = option.LOGLEVEL.default
    logtarget: str = option.LOGTARGET.default
    lognames: str = option.LOGNAMES.default
    log_style: str = option.LOG_STYLE.default
    socket: Path | None = None
    fail2ban_socket: Path | None = None
    readers: str = ""
    state: Path | None = None
    history_age: float = option.HISTORY_AGE.default
    reconcile: float = option.RECONCILE.default
    sync_bans: bool = option.SYNC_BANS.default
    instance: str = option.INSTANCE.default
    base: Path | None = None


def jails_of(settings: Settings, *, observe: bool) -> dict[str, Jail]:
    """The jails by name, with actions as this daemon does them.

    With `observe` each only says what it would do. With an `instance`, the name from which an action makes those of its
    sets, chains, blocks and `<name>` has it at its end, so that daemons with jails of one name keep apart.
    """

    def own(action: ActionSpec) -> ActionSpec:
        if observe:
            action = replace(action, name="observe", file="")
        if settings.instance and (name := action.get("name")):
            action = replace(action, options={**action.options, "name": f"{name}-{settings.instance}"})
        return action

    if not (observe or settings.instance):
        return {jail.name: jail for jail in settings.jails}
    return {jail.name: replace(jail, actions=tuple(map(own, jail.actions))) for jail in settings.jails}
