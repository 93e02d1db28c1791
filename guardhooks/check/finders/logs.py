"""Log files that cannot be read, or that are not there."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from guardhooks.check.site import Site
from guardhooks.model import ConfigFinding, Jail, Severity
from guardhooks.settings.problems import did_you_mean
from guardhooks.settings.sources import LEFT_OVER_AFTER
from guardhooks.text import plural, safe_text

_STALE: Final = 30 * 86400
"""Seconds without a line after which a log is worth a note."""
_MANY: Final = 10_000
"""Names of a folder that are looked at for the nearest one."""


def unusable_logs(site: Site) -> Iterator[ConfigFinding]:
    """Findings about every path of every jail, but not about sources of another kind (`exec:…`, `kafka://…`).

    Relative paths and folders are the loader's findings.
    """
    for jail in site.jails.values():
        paths = [source.text for source in jail.sources if source.kind == "file" and _is_path(source.text)]
        found = {path: sorted(glob.glob(path)) for path in paths}  # noqa: PTH207 -- as `tail` has it
        yield from _left_over(site, jail, [file for files in found.values() for file in files])
        absent = [path for path, files in found.items() if not files and path.startswith("/")]
        if absent:
            yield _absent(jail, absent, others=any(found.values()))
        for path, files in found.items():
            for file in map(Path, files if path.startswith("/") else ()):
                yield from _file(site, jail, file) if file.exists() else (_dangling(jail, str(file)),)


def _is_path(text: str) -> bool:
    return "://" not in text and (text.startswith("/") or ":" not in text.partition("/")[0])


def _absent(jail: Jail, paths: list[str], *, others: bool) -> ConfigFinding:
    near = next(filter(None, map(_nearest, paths)), "")
    return ConfigFinding(
        f"no log file {' or '.join(paths)} exists", Severity.NOTE if others else Severity.WARNING,
        why="the jail reads its other logs" if others else "the jail finds nothing until it appears",
        remedy="correct logpath, set backend = systemd, or disable the jail", nearest=near,
        key="logpath", jails=(jail.name,),
    )  # fmt: skip


def _dangling(jail: Jail, path: str) -> ConfigFinding:
    target = safe_text(str(Path(path).readlink()))
    what = f"log {safe_text(path)} is a link to {target}, which does not exist"
    return _finding(jail, what, remedy="repair the link")


def _file(site: Site, jail: Jail, file: Path) -> Iterator[ConfigFinding]:
    shown = safe_text(str(file))
    try:
        status = file.stat()
    except OSError as error:
        yield _finding(jail, f"log {shown} cannot be read: {error.strerror}")
        return
    if not os.access(file, os.R_OK):
        yield _finding(
            jail,
            f"log {shown} may not be read by uid {os.geteuid()}",
            remedy="run it as the daemon's user",
        )
    elif file.is_file() and status.st_size and site.now - status.st_mtime > _STALE:
        days = plural(int((site.now - status.st_mtime) / 86400), "day")
        yield ConfigFinding(
            f"log {shown} has had no new line for {days}", Severity.NOTE, why="its program may log elsewhere by now",
            key="logpath", jails=(jail.name,),
        )  # fmt: skip


def _left_over(site: Site, jail: Jail, files: list[str]) -> Iterator[ConfigFinding]:
    """Logs that nobody writes any more while the journal has newer lines of the same service."""
    matches = jail.filter.journalmatch if jail.filter else ()
    times = [written for file in files if (written := _written(file)) is not None]
    if not (matches and times) or site.now - max(times) < LEFT_OVER_AFTER:
        return
    entry = site.newest_entry(matches)
    if entry is not None and entry - max(times) >= LEFT_OVER_AFTER:
        days = plural(int((entry - max(times)) / 86400), "day")
        yield ConfigFinding(
            f"the journal has lines of the service that are {days} newer than {safe_text(', '.join(files[:3]))}",
            why="the log is left over: the jail waits for lines that go to the journal",
            remedy="set backend = systemd, or auto; or have the service log to a file again",
            key="logpath", jails=(jail.name,),
        )  # fmt: skip


def _written(file: str) -> float | None:
    try:
        return Path(file).stat().st_mtime
    except OSError:
        return None


def _finding(jail: Jail, what: str, *, remedy: str = "") -> ConfigFinding:
    why = "the jail finds nothing in it"
    return ConfigFinding(what, Severity.ERROR, why=why, remedy=remedy, key="logpath", jails=(jail.name,))


def _nearest(path: str) -> str:
    """The file of the same folder whose name is nearest, with its folder."""
    folder, name = Path(path).parent, Path(path).name
    try:
        names = [entry.name for entry, _ in zip(folder.iterdir(), range(_MANY), strict=False) if entry.is_file()]
    except (OSError, ValueError):
        return ""
    near = did_you_mean(name, [each for each in names if each != name], 0.9).partition("'")[2].partition("'")[0]
    return safe_text(str(folder / near)) if near else ""
