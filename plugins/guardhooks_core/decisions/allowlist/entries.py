"""The allowlist of one guard: who is never banned because somebody said so in the running guard."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

from guardhooks import PrefixMap, StateError, safe_text

FILE: Final = "allowlist.json"
"""Beside the ledger."""
_VERSION: Final = 1

logger = logging.getLogger("guardhooks.allowlist")


@dataclass(frozen=True, slots=True)
class Entry:
    """One address, network or other id.

    `jail` is empty for all jails. `since` and `until` are seconds since the epoch; None: for good. `uid` is the user
    who added it, None where the guard's own process did.
    """

    id: str
    jail: str = ""
    until: float | None = None
    reason: str = ""
    uid: int | None = None
    since: float = 0.0

    def holds(self, now: float) -> bool:
        """Whether it is still in effect."""
        return self.until is None or now < self.until

    def __str__(self) -> str:
        return f"{self.id} in {self.jail or 'all jails'}"


class Allowlist:
    """The entries, looked up in memory and kept in a file; None keeps them in memory only."""

    def __init__(self, file: Path | None, clock: Callable[[], float]) -> None:
        self._file, self._clock = file, clock
        self._entries: tuple[Entry, ...] = ()
        self._maps: dict[str, PrefixMap] = {}
        self._texts: dict[tuple[str, str], Entry] = {}
        self._use(_read(file) if file else ())

    def entries(self) -> tuple[Entry, ...]:
        """Those in effect, oldest first."""
        now = self._clock()
        return tuple(entry for entry in self._entries if entry.holds(now))

    def hit(self, jail: str, id: str) -> Entry | None:
        """The entry that covers an id in a jail."""
        for name in (jail, ""):
            held = self._maps[name].holding(id) if name in self._maps else []
            for text in [id, *held]:
                entry = self._texts.get((name, text))
                if entry is not None and entry.holds(self._clock()):
                    return entry
        return None

    def may_hit(self, jail: str) -> bool:
        """Whether any entry applies to a jail."""
        return jail in self._maps or "" in self._maps

    def meets(self, jail: str, id: str) -> Entry | None:
        """The entry that covers an id, or for a network one for something inside it."""
        if (found := self.hit(jail, id)) or "/" not in id:
            return found
        for name in (jail, ""):
            for text in self._maps[name].inside(id) if name in self._maps else ():
                if (entry := self._texts[name, text]).holds(self._clock()):
                    return entry
        return None

    def add(self, entries: Iterable[Entry]) -> None:
        """Add entries, in place of those of the same id and jail. :raises StateError: when they cannot be kept."""
        new = {(entry.id, entry.jail): entry for entry in entries}
        self._keep([*(each for each in self.entries() if (each.id, each.jail) not in new), *new.values()])

    def remove(self, ids: Iterable[str], jail: str | None) -> list[Entry]:
        """Remove the entries of these ids, of one jail or of all; returns them. :raises StateError: as `add`."""
        wanted = set(ids)
        gone = [each for each in self.entries() if each.id in wanted and jail in {None, each.jail}]
        if gone:
            self._keep([each for each in self.entries() if each not in gone])
        return gone

    def _keep(self, entries: Iterable[Entry]) -> None:
        """Write the file first: what could not be written is not in effect either."""
        entries = tuple(entries)
        if self._file is not None:
            _write(self._file, entries)
        self._use(entries)

    def _use(self, entries: Iterable[Entry]) -> None:
        self._entries = tuple(entries)
        maps: dict[str, PrefixMap] = {}
        for entry in self._entries:
            maps.setdefault(entry.jail, PrefixMap()).add(entry.id)
        self._maps = maps
        self._texts = {(entry.jail, entry.id): entry for entry in self._entries}


def _read(file: Path) -> tuple[Entry, ...]:
    """The entries in the file; a file that cannot be understood is kept aside and told."""
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        names = {field.name for field in fields(Entry)}
        return tuple(_entry({key: each[key] for key in names & set(each)}) for each in data["entries"])
    except FileNotFoundError:
        return ()
    except OSError as error:
        logger.error("allowlist %s cannot be read: %s; nothing in it is in effect", file, error.strerror)
        return ()
    except (ValueError, KeyError, TypeError) as error:
        aside = file.with_suffix(".damaged")
        os.replace(file, aside)  # noqa: PTH105 -- overwrites, which is meant
        logger.error("allowlist %s is damaged (%s): kept as %s, nothing in it is in effect", file,
                     safe_text(str(error)), aside)  # fmt: skip
        return ()


def _entry(values: dict[str, Any]) -> Entry:
    entry = Entry(**values)
    if not isinstance(entry.id, str) or not isinstance(entry.jail, str) or not isinstance(entry.reason, str):
        raise TypeError("an entry is not made of texts")
    if not isinstance(entry.until, int | float | None) or not isinstance(entry.uid, int | None):
        raise TypeError("an entry has no number where one belongs")
    return entry


def _write(file: Path, entries: tuple[Entry, ...]) -> None:
    """Replace the file in one step."""
    text = json.dumps({"version": _VERSION, "entries": [asdict(entry) for entry in entries]}, indent=1)
    new = file.with_suffix(".new")
    try:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(new, file)  # noqa: PTH105 -- overwrites, which is meant
    except OSError as error:
        raise StateError(f"allowlist {file} cannot be written: {error.strerror}; nothing was changed") from error
