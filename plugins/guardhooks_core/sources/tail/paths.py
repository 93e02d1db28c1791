"""The files that a path or glob matches now, and the directory entries that could change this."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Final

from guardhooks_core.sources.tail.rotations import is_compressed, is_rotation_of

_MAGIC: Final = re.compile(r"[*?\[]")
_MOST_LINKS: Final = 40
_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def is_path(text: str) -> bool:
    """Whether this is a path or glob and not `scheme://…`."""
    return _URL.match(text) is None


def has_magic(text: str) -> bool:
    return _MAGIC.search(text) is not None


def normalised(text: str) -> str:
    """The absolute path without double slashes and `.` parts; `..` stays, as a link before it may lead elsewhere."""
    path = text if text.startswith("/") else f"{os.getcwd()}/{text}"
    return "/" + "/".join(part for part in path.split("/") if part not in {"", "."})


@dataclass(slots=True)
class Scan:
    """The result of a scan.

    `files` maps the path as matched by the glob to the real path, `interest` a real directory to the names and globs
    that matter in it, `problems` a directory that could not be searched to the reason.
    """

    files: dict[str, str] = field(default_factory=dict)
    interest: dict[str, set[str]] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)

    def concerns(self, path: str) -> bool:
        """Whether a change of this directory entry can change the result, or the content of one of its files."""
        directory, _, name = path.rpartition("/")
        if any(fnmatchcase(name, glob) or name == glob for glob in self.interest.get(directory or "/", ())):
            return True
        return path in self.interest


def scan(pattern: str) -> Scan:
    """Find the files of a normalised path or glob: `*`, `?`, `[…]` in any part; hidden names must be written out."""
    result = Scan()
    _expand(result, "/", "/", [part for part in pattern.split("/") if part])
    return result


def without_rotations(files: Iterable[str], bases: Iterable[str]) -> list[str]:
    """The `files` that are not rotated (`x.1`) or compressed forms of one of `bases`."""
    by_directory: dict[str, list[str]] = {}
    for base in bases:
        directory, _, name = base.rpartition("/")
        by_directory.setdefault(directory, []).append(name)
    kept = []
    for path in files:
        directory, _, name = path.rpartition("/")
        if not is_compressed(name) and not any(is_rotation_of(name, base) for base in by_directory.get(directory, ())):
            kept.append(path)
    return sorted(kept)


def _expand(result: Scan, real: str, named: str, parts: list[str]) -> None:
    part, rest = parts[0], parts[1:]
    if part == "..":
        if rest:
            _expand(result, os.path.dirname(real), os.path.join(named, part), rest)
        return
    for name in _names(result, real, part):
        target = _resolve(result, os.path.join(real, name), _MOST_LINKS)
        if target is None:
            continue
        here = os.path.join(named, name)
        if not rest:
            _interest(result, real, name)
            result.files[here] = target
        elif os.path.isdir(target):
            _expand(result, target, here, rest)


def _names(result: Scan, directory: str, part: str) -> list[str]:
    if not has_magic(part):
        return [part]
    _interest(result, directory, part)
    try:
        names = os.listdir(directory)
    except OSError as error:
        result.problems[directory] = error.strerror or str(error)
        return []
    return [name for name in names if fnmatchcase(name, part) and (part.startswith(".") or not name.startswith("."))]


def _resolve(result: Scan, path: str, links: int) -> str | None:
    """The real path of `path`, whose directory is real; None if it does not exist; its name is then watched."""
    directory, name = os.path.split(path)
    try:
        status = os.lstat(path)
        if not stat.S_ISLNK(status.st_mode):
            return path
        _interest(result, directory, name)
        link = os.path.join(directory, os.readlink(path))
    except PermissionError as error:
        result.problems[path] = error.strerror or str(error)
        return None
    except OSError:
        _interest(result, directory, name)
        return None
    return _follow(result, link, links - 1) if links else None


def _follow(result: Scan, target: str, links: int) -> str | None:
    real: str | None = "/"
    for part in target.split("/"):
        if real is None:
            return None
        if part == "..":
            real = os.path.dirname(real)
        elif part not in {"", "."}:
            real = _resolve(result, os.path.join(real, part), links)
    if real is not None:
        _interest(result, os.path.dirname(real), os.path.basename(real))
    return real


def _interest(result: Scan, directory: str, name: str) -> None:
    result.interest.setdefault(directory, set()).add(name)
