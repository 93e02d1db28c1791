"""From `logpath` and `journalmatch` to the `SourceSpec`s of a jail."""

from __future__ import annotations

import contextlib
import glob
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from guardhooks.model import SourceSpec
from guardhooks.settings.filters import lines

LEFT_OVER_AFTER: Final = 86400.0
"""Seconds that a log must be older than the journal to be taken for left over."""
_JOURNALS: Final = (Path("/run/log/journal"), Path("/var/log/journal"))


def file_sources(logpath: str, backend: str) -> tuple[SourceSpec, ...]:
    """One source for each line of `logpath`; a last word `head` or `tail` tells where to begin, else it is a path."""
    specs: dict[str, SourceSpec] = {}
    for line in lines(logpath):
        path, _, word = line.rpartition(" ")
        if path.strip() and word.lower() in ("head", "tail"):
            specs.setdefault(path.strip(), SourceSpec(path.strip(), start=word.lower(), backend=backend))
        else:
            specs.setdefault(line, SourceSpec(line, backend=backend))
    return tuple(specs.values())


def path_fault(text: str) -> str:
    """What is wrong with a path in `logpath` that can be seen without waiting for its file; empty if nothing is."""
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", text):  # for a plugin, which says what is wrong with it
        return ""
    if not text.startswith("/"):
        return "is a relative path, read from the folder in which the daemon was started; write it from / on"
    if Path(text).is_dir():
        return f"is a folder; name the files in it, such as {text.rstrip('/')}/*.log"
    return ""


def journal_source(journalmatch: Sequence[str], backend: str) -> SourceSpec:
    """One source for all lines of `journalmatch` (each an alternative), so that no entry is counted twice."""
    return SourceSpec("\n".join(journalmatch), kind="journal", backend=backend)


def any_file(sources: Sequence[SourceSpec]) -> bool:
    """Whether anything is there now that one of these sources would read."""
    # glob, not Path.glob: patterns are absolute and compared with upstream's
    return any("://" in source.text or glob.glob(source.text) for source in sources)  # noqa: PTH207


def last_written(sources: Sequence[SourceSpec]) -> float | None:
    """When any file of these sources was written last, in seconds since the epoch; None if there is none."""
    times = []
    for source in sources:
        for path in glob.glob(source.text) if "://" not in source.text else ():  # noqa: PTH207 -- as above
            with contextlib.suppress(OSError):
                times.append(Path(path).stat().st_mtime)
    return max(times, default=None)


def has_journal() -> bool:
    """Whether this machine keeps a systemd journal; an empty folder is left where systemd is installed but not run."""
    return any(any(path.glob("*/*.journal")) for path in _JOURNALS)
