"""The journal of an action: what it has done, on disk, so that the next process knows. One file of JSON lines each.

The first line holds the boot and the commands; then `["?", id, end]` before a command runs for a ban, `["+", id, end]`
when the ban is in force, `["-", id]` when it is not, `["started", family]`. After a crash a `?` remains: in doubt.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import math
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from guardhooks import ActionSpec, safe_text

logger = logging.getLogger("guardhooks.shell")

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
Entry = Sequence[str | float]


def boot_id() -> str:
    """Changes with a reboot and with the network namespace; otherwise constant."""
    try:
        # Rules belong to a network namespace: a daemon that moves to another one finds none of its rules.
        return f"{_BOOT_ID.read_text().strip()} {Path('/proc/self/ns/net').readlink()}"
    except OSError:
        return ""


def fingerprint(action: ActionSpec) -> str:
    """Equal for actions that run the same commands."""
    text = json.dumps([sorted(action.properties.items()), sorted(action.options.items())])
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()


@dataclass
class JournalState:
    """What a journal says: `held` and `in_doubt` ids with the end of their bans, `started` families.

    `same_boot` and `same_commands` tell whether that can still be true.
    """

    held: dict[str, float] = field(default_factory=dict)
    in_doubt: dict[str, float] = field(default_factory=dict)
    started: set[str] = field(default_factory=set)
    same_boot: bool = True
    same_commands: bool = True


class ActionJournal:
    """The journal of one action. Without a folder nothing is written."""

    def __init__(self, folder: Path | None, jail: str, action: ActionSpec, boot: str) -> None:
        name = hashlib.sha256(json.dumps([jail, action.actname]).encode(errors="replace")).hexdigest()[:32]
        self._file = folder / f"{name}.jsonl" if folder else None
        self._head = json.dumps([jail, action.actname, boot, fingerprint(action)])
        self._boot, self._fingerprint = boot, fingerprint(action)

    @property
    def is_written(self) -> bool:
        """Whether there is a file at all."""
        return self._file is not None

    def read(self) -> JournalState | None:
        """What an earlier process did; None if there was none."""
        if self._file is None:
            return None
        try:
            head, *lines = self._file.read_text().splitlines()
            _, _, boot, commands = json.loads(head)
        except FileNotFoundError:
            return JournalState(same_commands=False) if self._stale.exists() else None
        except (OSError, ValueError):
            return JournalState(same_commands=False)
        state = JournalState(same_boot=bool(boot) and boot == self._boot, same_commands=commands == self._fingerprint)
        for line in lines:
            with contextlib.suppress(ValueError, TypeError, IndexError, KeyError):  # A crash may leave half a line.
                _apply(state, json.loads(line))
        return state

    @property
    def _stale(self) -> Path:
        """Replaces the file when it could not be written: the action did something, but it is unknown what."""
        assert self._file is not None
        return self._file.with_suffix(".stale")

    def write(
        self, started: Iterable[str], held: Iterable[tuple[str, float]], in_doubt: Iterable[tuple[str, float]]
    ) -> None:
        """Write the whole file."""
        if self._file is None:
            return
        entries: list[Entry] = [("started", family) for family in started]
        entries += [("+", id, end) for id, end in held]
        entries += [("?", id, end) for id, end in in_doubt]
        new = self._file.with_suffix(".new")
        self._guarded(lambda: self._replace(new, entries))

    def _replace(self, new: Path, entries: Iterable[Entry]) -> None:
        assert self._file is not None
        self._file.parent.mkdir(mode=0o700, exist_ok=True)
        _append(new, [self._head, *map(json.dumps, entries)], os.O_CREAT | os.O_TRUNC)
        new.replace(self._file)
        self._stale.unlink(missing_ok=True)

    def add(self, entries: Sequence[Entry]) -> None:
        """Append what has happened, or is about to happen."""
        if self._file is not None and entries:
            file = self._file
            self._guarded(lambda: _append(file, map(json.dumps, entries), os.O_APPEND))

    def remove(self) -> None:
        """Delete the file: nothing is left of what the action did."""
        if self._file is not None:
            file = self._file
            self._guarded(lambda: file.unlink(missing_ok=True))

    def _guarded(self, write: Callable[[], object]) -> None:
        try:
            write()
        except OSError as error:
            # The next process then clears away what it finds before it starts: slower, but correct.
            logger.warning(
                "the journal of an action cannot be written; the next start clears its bans and sets them again: %s",
                safe_text(str(error)),
            )
            if self._file is not None:
                with contextlib.suppress(OSError):
                    self._file.replace(self._stale)
                self._file = None


def _append(file: Path, lines: Iterable[str], mode: int) -> None:
    descriptor = os.open(file, os.O_WRONLY | mode, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        stream.writelines(f"{line}\n" for line in lines)


def _apply(state: JournalState, entry: list[str | float]) -> None:
    kind, id = str(entry[0]), str(entry[1])
    if kind == "started":
        state.started.add(id)
        return
    state.held.pop(id, None)
    state.in_doubt.pop(id, None)
    if kind in "+?":
        into = state.held if kind == "+" else state.in_doubt
        into[id] = float(entry[2]) if len(entry) > 2 else math.inf
