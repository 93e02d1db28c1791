"""What an action has done, on disk, so that the next process need not guess: a file of JSON lines for each action.

The first line says under which boot and with which commands; then `["?", id, end]` before a command is run for a ban,
`["+", id, end]` when it is in force, `["-", id]` when it is not, `["started", family]`. A crash leaves a `?`: doubtful.
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
    """What differs after a reboot, and is the same for all who share a network namespace until then."""
    try:
        # Rules live in a network namespace: a daemon that is moved to another finds nothing of what it did.
        return f"{_BOOT_ID.read_text().strip()} {Path('/proc/self/ns/net').readlink()}"
    except OSError:
        return ""


def fingerprint(action: ActionSpec) -> str:
    """Equal for actions that run the same commands."""
    text = json.dumps([sorted(action.properties.items()), sorted(action.options.items())])
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()


@dataclass
class Done:
    """What the files say: `held` and `doubtful` ids with the end of their bans, `started` families.

    `same_boot` and `same_commands` tell how far that can be relied on.
    """

    held: dict[str, float] = field(default_factory=dict)
    doubtful: dict[str, float] = field(default_factory=dict)
    started: set[str] = field(default_factory=set)
    same_boot: bool = True
    same_commands: bool = True


class Receipts:
    """The file of one action. Without a folder nothing is kept."""

    def __init__(self, folder: Path | None, jail: str, action: ActionSpec, boot: str) -> None:
        name = hashlib.sha256(json.dumps([jail, action.actname]).encode(errors="replace")).hexdigest()[:32]
        self._file = folder / f"{name}.jsonl" if folder else None
        self._head = json.dumps([jail, action.actname, boot, fingerprint(action)])
        self._boot, self._fingerprint = boot, fingerprint(action)

    @property
    def kept(self) -> bool:
        """Whether anything is written at all."""
        return self._file is not None

    def read(self) -> Done | None:
        """What an earlier process did; None where there was none."""
        if self._file is None:
            return None
        try:
            head, *lines = self._file.read_text().splitlines()
            _, _, boot, commands = json.loads(head)
        except FileNotFoundError:
            return Done(same_commands=False) if self._stale.exists() else None
        except (OSError, ValueError):
            return Done(same_commands=False)
        done = Done(same_boot=bool(boot) and boot == self._boot, same_commands=commands == self._fingerprint)
        for line in lines:
            with contextlib.suppress(ValueError, TypeError, IndexError, KeyError):  # the last line of a crash
                _apply(done, json.loads(line))
        return done

    @property
    def _stale(self) -> Path:
        """Takes the file's place when it could not be written: there was an action, and nobody knows what it did."""
        assert self._file is not None
        return self._file.with_suffix(".stale")

    def write(
        self, started: Iterable[str], held: Iterable[tuple[str, float]], doubtful: Iterable[tuple[str, float]]
    ) -> None:
        """Begin the file anew."""
        if self._file is None:
            return
        entries: list[Entry] = [("started", family) for family in started]
        entries += [("+", id, end) for id, end in held]
        entries += [("?", id, end) for id, end in doubtful]
        new = self._file.with_suffix(".new")
        self._guarded(lambda: self._replace(new, entries))

    def _replace(self, new: Path, entries: Iterable[Entry]) -> None:
        assert self._file is not None
        self._file.parent.mkdir(mode=0o700, exist_ok=True)
        _append(new, [self._head, *map(json.dumps, entries)], os.O_CREAT | os.O_TRUNC)
        new.replace(self._file)
        self._stale.unlink(missing_ok=True)

    def add(self, entries: Sequence[Entry]) -> None:
        """Write what has happened, or is about to."""
        if self._file is not None and entries:
            file = self._file
            self._guarded(lambda: _append(file, map(json.dumps, entries), os.O_APPEND))

    def remove(self) -> None:
        """Nothing is left of what the action did."""
        if self._file is not None:
            file = self._file
            self._guarded(lambda: file.unlink(missing_ok=True))

    def _guarded(self, write: Callable[[], object]) -> None:
        try:
            write()
        except OSError as error:
            # Then the next process cleans up before it begins: slower, not wrong.
            logger.warning("receipts of an action cannot be written: %s", safe_text(str(error)))
            if self._file is not None:
                with contextlib.suppress(OSError):
                    self._file.replace(self._stale)
                self._file = None


def _append(file: Path, lines: Iterable[str], mode: int) -> None:
    descriptor = os.open(file, os.O_WRONLY | mode, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        stream.writelines(f"{line}\n" for line in lines)


def _apply(done: Done, entry: list[str | float]) -> None:
    kind, id = str(entry[0]), str(entry[1])
    if kind == "started":
        done.started.add(id)
        return
    done.held.pop(id, None)
    done.doubtful.pop(id, None)
    if kind in "+?":
        into = done.held if kind == "+" else done.doubtful
        into[id] = float(entry[2]) if len(entry) > 2 else math.inf
