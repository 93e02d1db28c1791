"""Every value that is in effect, with the file and line where it was written: what `guardhooks config show` prints."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from guardhooks.errors import ConfigError
from guardhooks.settings import daemon_options
from guardhooks.settings import jail_options as option
from guardhooks.settings.declared import DeclaredOptions
from guardhooks.settings.definitions import PACKAGED
from guardhooks.settings.filters import Filter, Known, find_filter
from guardhooks.settings.interpolation import Scope
from guardhooks.settings.jail_files import JailFiles
from guardhooks.settings.layers import Reader
from guardhooks.settings.load import jail_files
from guardhooks.settings.merged import MergedConfig
from guardhooks.settings.option import Option, OptionTable, Setting
from guardhooks.settings.option_types import TEXT
from guardhooks.settings.problems import did_you_mean
from guardhooks.settings.reader import OptionReader


@dataclass(frozen=True, slots=True)
class EffectiveSection:
    """The settings of one jail, or of one section of the daemon's file, in the order in which they are documented."""

    name: str
    settings: tuple[Setting[Any], ...]

    def find(self, key: str) -> Setting[Any] | None:
        """The setting of this name, if there is one."""
        return next((setting for setting in self.settings if setting.option.name == key), None)


def effective_daemon(directory: Path) -> list[EffectiveSection]:
    """The sections of `guardhooks.conf`; where there is none, what `fail2ban.conf` says in its place."""
    reader = Reader()
    own = reader.read(directory / "guardhooks")
    former = None if own else reader.read(directory / "fail2ban")
    sections = []
    for name, table in daemon_options.SECTIONS.items():
        options = OptionReader(Scope(own or MergedConfig(), name), [])
        sections.append(EffectiveSection(name, tuple(_daemon_setting(options, former, each) for each in table)))
    return sections


def _daemon_setting(options: OptionReader, former: MergedConfig | None, of: Option[Any]) -> Setting[Any]:
    in_fail2ban: dict[str, Option[Any]] = {
        daemon_options.LOGLEVEL.name: daemon_options.LOGLEVEL,
        daemon_options.HISTORY_AGE.name: daemon_options.DBPURGEAGE,
    }
    if former is None or of.name not in in_fail2ban:
        return options.setting(of)
    return replace(OptionReader(Scope(former, "Definition"), []).setting(in_fail2ban[of.name]), option=of)


def effective_jails(
    directory: Path, names: Iterable[str], plugin_options: Iterable[OptionTable] = ()
) -> dict[str, EffectiveSection]:
    """The jails of these names, switched on or not. :raises ConfigError: when there is none of a name."""
    declared = DeclaredOptions(plugin_options)
    files = jail_files(Reader(PACKAGED), directory, declared, journal=None)
    known = [name for name in files.config.sections if name not in ("DEFAULT", "INCLUDES")]
    found = {}
    for name in names:
        if name not in known:
            raise ConfigError(f"{directory}: there is no jail {name!r}{did_you_mean(name, known)}")
        found[name] = EffectiveSection(name, tuple(_jail_settings(files, declared, name)))
    return found


def _jail_settings(files: JailFiles, declared: DeclaredOptions, name: str) -> Iterator[Setting[Any]]:
    filter_ = _filter(files, OptionReader(Scope(files.config, name), []))
    known = Known(filter_.definition) if filter_ else {}
    options = OptionReader(Scope(files.config, name, known=known), [])
    shown: set[str] = set()
    for each in _options(declared):
        shown.add(each.name)
        if options.has(each):
            yield options.setting(each)
        elif filter_ is not None and (of_filter := _of_filter(filter_, each)):
            yield of_filter
        elif each.name not in declared.variables:
            yield Setting(each, each.default)
    for key in files.config.sections[name]:
        if key not in shown:
            yield options.setting(Option(key, TEXT, "", ""))


def _options(declared: DeclaredOptions) -> Iterator[Option[Any]]:
    """All options of jails, each once; those that plugins or configurations added stand behind our own."""
    seen: set[str] = set()
    for table in declared.tables:
        for each in table if table.place == "jail" else ():
            if each.name not in seen:
                seen.add(each.name)
                yield each


def _filter(files: JailFiles, options: OptionReader) -> Filter | None:
    """The jail's filter; None where it has none or one that cannot be used, which is for the loader to tell."""
    try:
        text = options.text(option.FILTER)
        backend = options.value(option.BACKEND)
        logtype = "journal" if backend.startswith("systemd") else "file"
        visible = {"enabled": "true", "backend": backend, "filter": text}
        return find_filter(files.library, text, logtype, visible) if text else None
    except ConfigError:
        return None


def _of_filter(found: Filter, of: Option[Any]) -> Setting[Any] | None:
    """What the filter says for one of its options."""
    if of not in option.FILTER_OPTIONS and of is not option.USEDNS:
        return None
    try:
        text = found.definition.get(of.name)
        return Setting(of, of.parse(text), found.definition.place(of.name)) if text else None
    except ConfigError:
        return None
