"""The daemon's own file: `guardhooks.conf`, else the few lines of `fail2ban.conf` that mean something here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from guardhooks.errors import ConfigError
from guardhooks.model import Problem
from guardhooks.settings import options as read
from guardhooks.settings.interpolation import Scope
from guardhooks.settings.layers import Reader
from guardhooks.settings.merged import MergedConfig
from guardhooks.settings.model import Settings
from guardhooks.settings.options import Options
from guardhooks.settings.problems import did_you_mean, problem_at

_LEVELS: Final = {
    "critical": "CRITICAL", "error": "ERROR", "warning": "WARNING", "notice": "NOTICE", "info": "INFO",
    "debug": "DEBUG", "tracedebug": "DEBUG", "heavydebug": "DEBUG", "msg": "INFO",
}  # fmt: skip
_KNOWN: Final = {
    "Guardhooks": frozenset({"loglevel", "socket", "state", "history_age", "reconcile"}),
    "Plugins": frozenset({"disable"}),
}


@dataclass(frozen=True, slots=True)
class DaemonSettings:
    """What the daemon's file says; see `Settings` for the meaning."""

    disabled_plugins: tuple[str, ...]
    loglevel: str
    socket: Path | None
    state: Path | None
    history_age: float
    reconcile: float
    problems: tuple[Problem, ...]


def read_daemon(reader: Reader, directory: Path) -> DaemonSettings:
    """Read `guardhooks.conf`, else `fail2ban.conf`, else take the defaults. Wrong values become problems."""
    try:
        own = reader.read(directory / "guardhooks")
        config = own or reader.read(directory / "fail2ban") or MergedConfig()
    except ConfigError as error:
        return _settings(MergedConfig(), MergedConfig(), [Problem(str(error), fatal=True)])
    problems = list(config.problems)
    return _settings(own, config, problems) if own else _settings(MergedConfig(), config, problems)


def _settings(own: MergedConfig, config: MergedConfig, problems: list[Problem]) -> DaemonSettings:
    host = Options(Scope(own, "Guardhooks"), problems)
    former = Options(Scope(config, "Definition"), problems)
    default = Settings(Path())
    history_age = former.value("dbpurgeage", read.duration, default.history_age)
    loglevel = former.value("loglevel", _loglevel, default.loglevel)
    problems += _unknown(own)
    return DaemonSettings(
        disabled_plugins=Options(Scope(own, "Plugins"), problems).value("disable", _words, ()),
        loglevel=host.value("loglevel", _loglevel, loglevel),
        socket=host.value("socket", _path, None),
        state=host.value("state", _path, None),
        history_age=host.value("history_age", read.duration, history_age),
        reconcile=host.value("reconcile", read.duration_or_none, default.reconcile),
        problems=tuple(problems),
    )


def _unknown(config: MergedConfig) -> Iterator[Problem]:
    for name, section in config.sections.items():
        if name in ("DEFAULT", "INCLUDES"):
            continue
        for key, value in section.items():
            if name not in _KNOWN:
                yield problem_at(value, f"no such section; there are {' and '.join(_KNOWN)}")
            elif key not in _KNOWN[name]:
                yield problem_at(value, f"no such option{did_you_mean(key, sorted(_KNOWN[name]))}")


def _loglevel(text: str) -> str:
    return _LEVELS[read.choice(*_LEVELS)(text)]


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.replace(",", " ").split())


def _path(text: str) -> Path | None:
    if text and not text.startswith("/"):
        raise ConfigError(f"{text!r} is not an absolute path")
    return Path(text) if text else None
