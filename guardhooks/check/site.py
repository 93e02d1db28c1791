"""What the finders look at: one configuration directory, as it is understood, and the machine that it is for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from guardhooks.model import Jail
from guardhooks.plugins import Plugins
from guardhooks.settings import EffectiveSection, Settings, effective_daemon, effective_jails, load, load_jail
from guardhooks.settings.option import OptionTable
from guardhooks.system.journal_entries import newest_entry


@dataclass(frozen=True, slots=True)
class Site:
    """`jails` are those that can run, by name, and those that were asked for though they are not enabled.

    `effective` has the settings of each of them, and of those that are broken; `daemon` those of the daemon's file.
    `tables` is what the plugins declare. `now` is in seconds since the epoch. `loaded` is when a running daemon read
    its configuration, None where none runs. `newest_entry` gives the time of the newest entry of some
    matches in the journal.
    """

    settings: Settings
    plugins: Plugins
    jails: Mapping[str, Jail]
    effective: Mapping[str, EffectiveSection]
    daemon: tuple[EffectiveSection, ...]
    tables: tuple[OptionTable, ...]
    now: float
    loaded: float | None = None
    newest_entry: Callable[[Sequence[str]], float | None] = newest_entry

    def place(self, jail: str, key: str) -> tuple[str, int]:
        """File and line of an option of a jail; where nobody wrote it, of the line that enables the jail."""
        section = self.effective.get(jail)
        for name in (key, "enabled"):
            setting = section.find(name) if section else None
            if setting and setting.place and setting.place.file:
                return setting.place.file, setting.place.line
        return "", 0


def read_site(
    directory: Path,
    plugins: Plugins,
    *,
    now: float,
    loaded: float | None = None,
    extra: tuple[str, ...] = (),
    newest_entry: Callable[[Sequence[str]], float | None] = newest_entry,
) -> Site:
    """Read everything. :raises ConfigError: when the configuration cannot be used at all, or has no jail of a name.

    :param extra: jails to look at, enabled or not.
    """
    tables = tuple(plugins.declared_options())
    settings = load(directory, tables, newest_entry=newest_entry)
    jails = {jail.name: jail for jail in settings.jails}
    missing = [name for name in extra if name not in jails and name not in settings.broken]
    effective = effective_jails(directory, dict.fromkeys([*jails, *settings.broken, *missing]), tables)
    jails |= {name: load_jail(directory, name) for name in missing}
    daemon = tuple(effective_daemon(directory))
    return Site(settings, plugins, jails, effective, daemon, tables, now, loaded, newest_entry)
