"""The daemon's own file: `guardhooks.conf`, else the few lines of `fail2ban.conf` that mean something here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from guardhooks.errors import ConfigError
from guardhooks.model import Problem
from guardhooks.settings import daemon_options as option
from guardhooks.settings.declared import DeclaredOptions
from guardhooks.settings.interpolation import Scope
from guardhooks.settings.layers import Reader
from guardhooks.settings.merged import MergedConfig
from guardhooks.settings.model import Settings
from guardhooks.settings.reader import OptionReader
from guardhooks.settings.unknown_keys import unknown_in_daemon


@dataclass(frozen=True, slots=True)
class DaemonSettings:
    """What the daemon's file says; see `Settings` for the meaning. `disabled_at` is a place: `file:line`."""

    disabled_plugins: tuple[str, ...]
    disabled_at: str
    required_plugins: tuple[str, ...]
    loglevel: str
    logtarget: str
    lognames: str
    log_style: str
    socket: Path | None
    fail2ban_socket: Path | None
    readers: str
    state: Path | None
    history_age: float
    reconcile: float
    sync_bans: bool
    instance: str
    trust_writable: bool
    files: tuple[Path, ...]
    problems: tuple[Problem, ...]


def read_daemon(directory: Path) -> DaemonSettings:
    """Read `guardhooks.conf`, else `fail2ban.conf`, else take the defaults. Wrong values become problems."""
    reader = Reader()
    try:
        own = reader.read(directory / "guardhooks")
        former = None if own else reader.read(directory / "fail2ban")
    except ConfigError as error:
        return _settings(MergedConfig(), MergedConfig(), [Problem(str(error), fatal=True)])
    read = own or former
    return _settings(own or MergedConfig(), former or MergedConfig(), list(read.problems) if read else [])


def needing_restart(old: Settings, new: Settings) -> list[Problem]:
    """A problem for each changed value that a reload does not apply."""
    changed = [
        ("Guardhooks", each.name)
        for each in option.GUARDHOOKS_TABLE
        if not each.reload and getattr(old, each.name) != getattr(new, each.name)
    ]
    if old.fail2ban_socket != new.fail2ban_socket:
        changed.append(("Fail2ban", option.FAIL2BAN_SOCKET.name))
    message = "was changed; restart the daemon to apply it"
    return [Problem(message, section=section, key=key) for section, key in changed]


def _settings(own: MergedConfig, former: MergedConfig, problems: list[Problem]) -> DaemonSettings:
    host = OptionReader(Scope(own, "Guardhooks"), problems)
    clients = OptionReader(Scope(own, "Fail2ban"), problems)
    plugins = OptionReader(Scope(own, "Plugins"), problems)
    log = OptionReader(Scope(own, "Log"), problems)
    fail2ban = OptionReader(Scope(former, "Definition"), problems)
    history_age = fail2ban.value(option.DBPURGEAGE)
    loglevel = fail2ban.value(option.LOGLEVEL)
    disabled = plugins.setting(option.DISABLE)
    problems += unknown_in_daemon(own, DeclaredOptions())
    return DaemonSettings(
        disabled_plugins=disabled.value,
        disabled_at=disabled.origin,
        required_plugins=plugins.value(option.REQUIRE),
        loglevel=host.value(option.LOGLEVEL, loglevel),
        logtarget=host.value(option.LOGTARGET),
        lognames=host.value(option.LOGNAMES),
        log_style=log.value(option.LOG_STYLE),
        socket=host.value(option.SOCKET),
        fail2ban_socket=clients.value(option.FAIL2BAN_SOCKET),
        readers=host.value(option.READERS),
        state=host.value(option.STATE),
        history_age=host.value(option.HISTORY_AGE, history_age),
        reconcile=host.value(option.RECONCILE),
        sync_bans=host.value(option.SYNC_BANS),
        instance=host.value(option.INSTANCE),
        trust_writable=host.value(option.TRUST_WRITABLE),
        files=(*own.files, *former.files),
        problems=tuple(problems),
    )
