"""Which files make up one base name (`jail`, `filter.d/sshd`), in which order, and what they say together.

A base name B is read from `B.conf`, `B.d/*.conf`, `B.local`, `B.d/*.local`; each of them may include others before and
after itself. Later files win, key by key, and a value remembers what it replaced (for `%(known/…)s`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from guardhooks.errors import ConfigError
from guardhooks.model import Problem
from guardhooks.settings.ini import IniFile, Value, read_ini
from guardhooks.settings.interpolation import Scope
from guardhooks.settings.merged import MergedConfig
from guardhooks.settings.problems import SettingError, as_problem, problem_at

MAX_FILES: Final = 500
"""Files of one base name, includes counted each time, after which no further include is followed."""
MAX_CHAIN: Final = 30
"""Files that may include one another in a row."""


class Reader:
    """Reads base names; every file is read once, however often it is included.

    :param fallbacks: configuration directories; a missing included file is looked for in their `filter.d` or
        `action.d`.
    """

    def __init__(self, *fallbacks: Path) -> None:
        self._fallbacks = fallbacks
        self._parsed: dict[Path, IniFile] = {}
        self._merged: dict[Path, MergedConfig] = {}

    @property
    def files(self) -> list[Path]:
        """All files that were read."""
        return list(self._parsed)

    def read(self, base: Path) -> MergedConfig | None:
        """All files of a base name, merged; None where there is none.

        Raises ConfigError when every file of it is unreadable.
        """
        if base not in self._merged:
            self._merged[base] = self._read_all(base)
        return self._merged[base] if self._merged[base].files else None

    def read_over(self, below: Path, base: Path) -> MergedConfig | None:
        """The same, on top of the files of another base name."""
        if base not in self._merged:
            self._merged[base] = self._read_all(base, below)
        return self.read(base)

    def _read_all(self, base: Path, below: Path | None = None) -> MergedConfig:
        config = MergedConfig()
        try:
            paths = [*(candidates(below) if below else ()), *candidates(base)]
        except OSError as error:
            raise ConfigError(f"{base}.conf: cannot be read: {error.strerror or error}") from None
        for path in paths:
            self._try_include(config, path, ())
        if paths and not config.files:
            raise SettingError(config.problems[0])
        return config

    def _try_include(self, config: MergedConfig, path: Path, chain: tuple[Path, ...]) -> None:
        try:
            self._include(config, path, chain)
        except ConfigError as error:
            message = str(error).removeprefix(f"{path}: ")
            config.problems.append(Problem(message, str(path), fatal=True))

    def _include(self, config: MergedConfig, path: Path, chain: tuple[Path, ...]) -> None:
        if len(config.files) >= MAX_FILES or len(chain) >= MAX_CHAIN:
            raise ConfigError(f"{path}: too many files are included, one from another")
        file = self._parse(path)
        chain = (*chain, path)
        for target in self._targets(file, "before", config.problems):
            self._include_target(config, target, chain)
        config.merge(file)
        for target in self._targets(file, "after", config.problems):
            self._include_target(config, target, chain)

    def _targets(self, file: IniFile, key: str, problems: list[Problem]) -> Iterator[Path]:
        """The files that `before` or `after` names; a missing one is reported unless it is optional."""
        value = file.sections.get("INCLUDES", {}).get(key)
        for name in _included(file, value, problems) if value else ():
            target = self._or_fallback(file.path.parent / name, name)
            optional = target.suffix == ".local" or target.name.startswith("paths-overrides")
            if value and not optional and not _exists(target):
                problems.append(
                    problem_at(value, f"the included file {target} does not exist; the rest is used without it")
                )
            yield target

    def _or_fallback(self, target: Path, name: str) -> Path:
        """The same file of a fallback directory where the target itself is missing."""
        kind = target.parent.name
        if kind not in ("filter.d", "action.d") or _exists(target):
            return target
        places = (folder / kind / name for folder in self._fallbacks)
        return next((place for place in places if _exists(place)), target)

    def _include_target(self, config: MergedConfig, target: Path, chain: tuple[Path, ...]) -> None:
        sibling = target.parent / f"{target.stem}.local"
        for path in dict.fromkeys((target, sibling)):
            if path not in chain and _exists(path):
                self._try_include(config, path, chain)

    def _parse(self, path: Path) -> IniFile:
        if path not in self._parsed:
            self._parsed[path] = read_ini(path)
        return self._parsed[path]


def candidates(base: Path) -> Iterator[Path]:
    """The files of a base name that exist, in the order in which they are read."""
    folder = base.with_name(base.name + ".d")
    for suffix in (".conf", ".local"):
        single = base.with_name(base.name + suffix)
        if single.exists() or single.is_symlink():
            yield single
        if folder.is_dir():
            yield from sorted(path for path in folder.glob(f"*{suffix}") if not path.name.startswith("."))


def _exists(path: Path) -> bool:
    """Whether it is there and can be seen; names that no file can have are not."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _included(file: IniFile, value: Value, problems: list[Problem]) -> list[str]:
    """The file names in an `[INCLUDES]` value; they may refer to other keys of that file alone."""
    own = {name: dict(file.sections[name]) for name in ("DEFAULT", "INCLUDES") if name in file.sections}
    try:
        names = Scope(MergedConfig(own), "INCLUDES").text(value)
    except ConfigError as error:
        problems.append(as_problem(error, value, fatal=True))
        return []
    return [name.strip() for name in names.split("\n") if name.strip()]
