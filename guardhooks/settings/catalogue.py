"""What a configuration directory knows: every jail, switched on or not, with what its files say of it in comments."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from guardhooks.errors import ConfigError
from guardhooks.model import Jail
from guardhooks.settings.definitions import PACKAGED
from guardhooks.settings.load import every_jail

EXAMPLES: Final = PACKAGED / "examples.json"
"""Filter → lines that it counts, written by `docs/generate.py` from the filters' tests."""

_SECTION: Final = re.compile(r"^\[([^\]\n]+)\]\n((?:#.*\n)*)", re.MULTILINE)
_MODE: Final = re.compile(r"^mode-(\w+) *=", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Service:
    """A jail as a person chooses it. `group` is the file that it stands in; `modes` are those of its filter."""

    jail: Jail
    about: str
    group: str
    modes: tuple[str, ...]

    @property
    def name(self) -> str:
        """The jail's name."""
        return self.jail.name

    @property
    def filter(self) -> str:
        """The filter with the options it is named with; empty without a filter."""
        spec = self.jail.filter
        return spec.name if spec else ""

    @property
    def ports(self) -> str:
        """Names and numbers, separated by commas; `all` where the ban closes every port."""
        port = self.jail.options.get("port", "")
        every = any(action.get("type") == "allports" for action in self.jail.actions)
        return "all" if every or port in {"", "0:65535"} else port

    @property
    def logs(self) -> tuple[str, ...]:
        """Files and globs that it reads where they exist."""
        return tuple(source.text for source in self.jail.sources if source.text.startswith("/"))


def catalogue(directory: Path) -> tuple[Service, ...]:
    """Every jail that can be built, in file order. Raises ConfigError if there is no jail file that can be read."""
    about = {name: (group, text) for path in _jail_files(directory) for name, group, text in _sections(path)}
    found = []
    for jail in every_jail(directory):
        group, text = about.get(jail.name, ("", ""))
        modes = _modes(directory, jail.filter.name) if jail.filter else ()
        found.append(Service(jail, text, group, modes))
    return tuple(found)


def about_filter(directory: Path, name: str) -> str:
    """The comment at the head of a filter's file, which says what it counts; empty where there is none."""
    path = _filter_file(directory, name)
    if path is None:
        return ""
    lines = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").removeprefix(" "))
    return "\n".join(lines)


def examples(name: str) -> tuple[str, ...]:
    """Lines that the packaged filter of this name counts."""
    return tuple(_all_examples().get(name, ()))


@cache
def _all_examples() -> dict[str, list[str]]:
    try:
        found: dict[str, list[str]] = json.loads(EXAMPLES.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{EXAMPLES}: {error.strerror}; install guardhooks again") from error
    return found


def _jail_files(directory: Path) -> list[Path]:
    found = [directory / "jail.conf", *sorted(directory.glob("jail.d/*.conf"))]
    return [path for path in found if path.is_file()]


def _sections(path: Path) -> list[tuple[str, str, str]]:
    group = "" if path.name == "jail.conf" else path.stem
    found = _SECTION.findall(path.read_text(encoding="utf-8", errors="replace"))
    return [(name, group, " ".join(line.lstrip("# ") for line in text.splitlines())) for name, text in found]


def _modes(directory: Path, name: str) -> tuple[str, ...]:
    path = _filter_file(directory, name)
    text = path.read_text(encoding="utf-8", errors="replace") if path else ""
    return tuple(_MODE.findall(text))


def _filter_file(directory: Path, name: str) -> Path | None:
    places = (folder / "filter.d" / f"{name}.conf" for folder in (directory, PACKAGED))
    return next((path for path in places if path.is_file()), None)
