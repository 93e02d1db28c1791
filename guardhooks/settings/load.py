"""Reads a configuration directory into `Settings`; the entry point of this package."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from guardhooks.errors import ConfigError
from guardhooks.model import FilterSpec, Jail, Problem
from guardhooks.settings.brackets import parse_brackets
from guardhooks.settings.daemon import read_daemon
from guardhooks.settings.declared import DeclaredOptions
from guardhooks.settings.definitions import PACKAGED, Library
from guardhooks.settings.filters import filter_spec, find_filter
from guardhooks.settings.ini import Value
from guardhooks.settings.jail_files import JailFiles
from guardhooks.settings.jails import build_jail, is_enabled
from guardhooks.settings.layers import Reader
from guardhooks.settings.merged import MergedConfig
from guardhooks.settings.model import Settings
from guardhooks.settings.odd_sections import odd_sections
from guardhooks.settings.option import OptionTable
from guardhooks.settings.problems import SettingError, as_problem, did_you_mean, sorted_out
from guardhooks.settings.sources import has_journal
from guardhooks.settings.trust import Trust
from guardhooks.settings.unknown_keys import references, unknown_in_defaults, unknown_in_jail
from guardhooks.system.config_directories import CONFIG_DIRECTORIES
from guardhooks.system.journal_entries import newest_entry

DIALECT: Final = "1.1.2"
"""The release of fail2ban whose dialect is spoken; `%(fail2ban_version)s` in configuration files."""


def find_directory(explicit: Path | None) -> Path:
    """The configuration directory: the one that was asked for, else the system's, else the packaged one.

    Raises ConfigError if the one that was asked for is not a directory.
    """
    if explicit is not None:
        if not explicit.is_dir():
            raise ConfigError(f"{explicit}: there is no such directory; name one that holds jail.conf or jail.local")
        return explicit
    return next((directory for directory in CONFIG_DIRECTORIES if directory.is_dir()), PACKAGED)


def load(
    directory: Path,
    plugin_options: Iterable[OptionTable] | None = None,
    *,
    journal: bool | None = None,
    newest_entry: Callable[[Sequence[str]], float | None] = newest_entry,
    clock: Callable[[], float] = time.time,
) -> Settings:
    """Read everything. An error in one jail affects that jail at most; see `Settings` for where it is reported.

    Raises ConfigError if there is no jail file that can be read.

    :param plugin_options: what the plugins declare (`Plugins.declared_options`); None leaves unchecked what only they
        can know, above all the options in the brackets of actions.
    :param journal: whether this machine keeps a systemd journal; found out if None.
    :param newest_entry: gives the time of the newest entry of some matches in it, None if there is none.
    :param clock: tells which logs have not been written for long.
    """
    reader = Reader(PACKAGED)
    files = jail_files(reader, directory, DeclaredOptions(plugin_options), journal=journal)
    files = replace(files, newest_entry=newest_entry, now=clock())
    daemon = read_daemon(directory)
    found = [*daemon.problems]
    jails, broken = _load_jails(files, found)
    trust = Trust()
    found += trust.problems([*daemon.files, *reader.files])
    if not daemon.trust_writable or trust.doubt(daemon.files):
        jails = [trust.without_commands(jail, files) for jail in jails]
    problems, remarks = sorted_out(found)
    return Settings(
        directory=directory,
        base=base_of(directory),
        jails=tuple(jails),
        broken=broken,
        problems=problems,
        remarks=remarks,
        disabled_plugins=daemon.disabled_plugins,
        loglevel=daemon.loglevel,
        logtarget=daemon.logtarget,
        lognames=daemon.lognames,
        log_style=daemon.log_style,
        socket=daemon.socket,
        fail2ban_socket=daemon.fail2ban_socket,
        readers=daemon.readers,
        state=daemon.state,
        history_age=daemon.history_age,
        reconcile=daemon.reconcile,
        sync_bans=daemon.sync_bans,
        instance=daemon.instance,
    )


def load_jail(directory: Path, name: str) -> Jail:
    """One jail, switched on or not. Raises ConfigError if there is none of that name or it cannot run."""
    files = jail_files(Reader(PACKAGED), directory, DeclaredOptions(), journal=None)
    if name not in _names(files.config):
        raise ConfigError(f"{directory}: there is no jail {name!r}{did_you_mean(name, _names(files.config))}")
    return build_jail(files, name, list(_by_section(files.config, []).get(name, [])))


def every_jail(directory: Path) -> list[Jail]:
    """All jails that can be built, switched on or not, in file order, as without a journal. Raises ConfigError."""
    files = jail_files(Reader(PACKAGED), directory, DeclaredOptions(), journal=False)
    by_section = _by_section(files.config, [])
    found = []
    for name in _names(files.config):
        with suppress(ConfigError):
            found.append(build_jail(files, name, list(by_section.get(name, []))))
    return found


def jail_names(directory: Path) -> list[str]:
    """Names of all jails, switched on or not, in file order. Raises ConfigError."""
    return _names(jail_files(Reader(), directory, DeclaredOptions(), journal=False).config)


def load_filter(directory: Path, text: str, *, logtype: str = "file") -> FilterSpec:
    """The filter `sshd`, `sshd[mode=aggressive]` or `/path/to/mine.conf[…]`. Raises ConfigError."""
    name, _ = parse_brackets(text)
    path = Path(name)
    if path.suffix == ".conf" and path.is_file():
        library = Library(Reader(directory, PACKAGED), directory, filters=path.absolute().parent)
        return filter_spec(find_filter(library, text.strip().replace(name, path.stem, 1), logtype))
    return filter_spec(find_filter(Library(Reader(PACKAGED), directory), text.strip(), logtype))


def jail_files(reader: Reader, directory: Path, declared: DeclaredOptions, *, journal: bool | None) -> JailFiles:
    """What all jails of the directory are built from. :raises ConfigError: when there is no jail file."""
    base = base_of(directory)
    config = reader.read_over(base / "jail", directory / "jail") if base else reader.read(directory / "jail")
    if config is None:
        raise ConfigError(f"{directory}: holds neither jail.conf nor jail.local, so there is no jail to run")
    defaults = config.sections.setdefault("DEFAULT", {})
    for key, text in (("fail2ban_version", DIALECT), ("fail2ban_confpath", str(directory.absolute()))):
        defaults[key] = Value(text.replace("%", "%%"), section="DEFAULT", key=key)
    journal = has_journal() if journal is None else journal
    return JailFiles(
        config, Library(reader, directory), declared, references(config), journal, newest_entry, time.time()
    )


def base_of(directory: Path) -> Path | None:
    """The directory whose `jail.conf` is the base of a `jail.local` that has none of its own; None where it has one."""
    lacks_base = (directory / "jail.local").is_file() and not (directory / "jail.conf").exists()
    return PACKAGED if lacks_base else None


def _names(config: MergedConfig) -> list[str]:
    return [name for name in config.sections if name not in ("DEFAULT", "INCLUDES")]


def _by_section(config: MergedConfig, problems: list[Problem]) -> Mapping[str, list[Problem]]:
    """What was wrong in the jail files: sorted by jail where it names one, else added to `problems`."""
    by_section: dict[str, list[Problem]] = {}
    for problem in config.problems:
        if problem.fatal and not problem.section:
            problems.append(replace(problem, message=f"{problem.message}; the rest is used without this file"))
        elif problem.section in ("", "DEFAULT", "INCLUDES"):
            problems.append(problem)
        else:
            by_section.setdefault(problem.section, []).append(problem)
    return by_section


def _load_jails(files: JailFiles, problems: list[Problem]) -> tuple[list[Jail], dict[str, tuple[Problem, ...]]]:
    """All enabled jails that can run and those that cannot; what belongs to neither is added to `problems`."""
    jails: list[Jail] = []
    broken: dict[str, tuple[Problem, ...]] = {}
    by_section = _by_section(files.config, problems)

    def switched_on(name: str) -> bool:
        try:
            return is_enabled(files, name)
        except SettingError as error:
            if error.problem.section != "DEFAULT":
                raise
            problems.append(error.problem)  # once for all jails, not once for each
            return False

    problems += odd_sections(files.config)
    problems += unknown_in_defaults(files.config, files.referred, files.declared)
    for name in _names(files.config):
        own = by_section.get(name, [])
        try:
            if switched_on(name):
                jails.append(build_jail(files, name, own))
            else:
                problems += [*own, *unknown_in_jail(files.config.sections[name], files.referred, files.declared)]
        except ConfigError as error:
            broken[name] = (as_problem(error, fatal=True), *own)
    return jails, broken
