"""Which entries of which journal are read: `journalmatch` and the backend's options as arguments of `journalctl`.

A match is `FIELD=value`. Within a line, matches of one field are alternatives and different fields must all fit; `+`
and the end of a line separate alternatives. This is the rule of journalctl(1).
"""

from __future__ import annotations

import glob
import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from guardhooks import ConfigError, SourceSpec, safe_text
from guardhooks_core.sources.journal.backend import LOCAL_ONLY, options_of

_MATCH: Final = re.compile(r"[A-Z0-9_]{1,64}=[^\0]*", re.DOTALL)
_MACHINE_ID: Final = Path("/etc/machine-id")


@dataclass(frozen=True, slots=True)
class Selection:
    """Where to read (`where`: options of journalctl; `files`: globs, expanded at each start) and what (`matches`)."""

    where: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    matches: tuple[str, ...] = ()

    @classmethod
    def read(cls, jail: str, spec: SourceSpec) -> Selection:
        """The selection of a jail's spec.

        :raises ConfigError: if it is invalid.
        """
        where, files, flags = options_of(jail, spec.backend)
        groups = list(dict.fromkeys(_groups(jail, spec.text)))
        if flags & LOCAL_ONLY:
            groups = _of_this_machine(groups)
        return cls(where, files, tuple(_joined(groups)))

    @property
    def key(self) -> str:
        """Equal for selections of the same entries of the same journal."""
        return " ".join(["journal:", *(shlex.quote(word) for word in (*self.where, *self.files, *self.matches))])

    @property
    def label(self) -> str:
        """What people call it: the matches as in `journalmatch`, with the journal's place if it is not the default."""
        return " ".join(["journal:", *self.where, *self.files, *self.matches]).rstrip(":")

    def at(self, files: Iterable[str]) -> Selection:
        """The same selection with these `files` in place of the globs, as literal paths."""
        return replace(self, where=(*self.where, *(f"--file={glob.escape(path)}" for path in files)), files=())

    def found(self) -> frozenset[tuple[str, int, int]]:
        """The path, device and inode of each file that the globs match now. Blocks."""
        found = set()
        for path in {path for pattern in self.files for path in glob.glob(pattern)}:  # noqa: PTH207 -- as journalctl
            try:
                status = Path(path).stat()
            except OSError:
                continue  # Deleted meanwhile by a rotation.
            found.add((path, status.st_dev, status.st_ino))
        return frozenset(found)


def _groups(jail: str, text: str) -> Iterator[tuple[str, ...]]:
    for line in text.split("\n"):
        try:
            words = shlex.split(line)
        except ValueError as error:
            raise _wrong(jail, line, f"{str(error).lower()}; close the quotes") from None
        group: list[str] = []
        for word in [*words, "+"]:
            if word != "+":
                if not _MATCH.fullmatch(word):
                    raise _wrong(
                        jail, line, f"{safe_text(word)!r} is not a match; write FIELD=value, with FIELD in capitals"
                    )
                group.append(word)
            elif group:
                yield tuple(group)
                group = []


def _of_this_machine(groups: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The groups, each for entries of this machine only; journald stamps every entry with `_MACHINE_ID`."""
    try:
        match = f"_MACHINE_ID={_MACHINE_ID.read_text(encoding='ascii').strip()}"
    except (OSError, ValueError):
        return groups
    return [(*group, match) for group in groups or [()]]


def _joined(groups: Iterable[tuple[str, ...]]) -> Iterator[str]:
    for number, group in enumerate(groups):
        if number:
            yield "+"
        yield from group


def _wrong(jail: str, line: str, what: str) -> ConfigError:
    return ConfigError(f"[{jail}] journalmatch: {safe_text(line.strip())!r}: {what}")
