"""Where plugins come from: installed distributions (entry points) and site hooks (`hooks.d/*.py`)."""

from __future__ import annotations

import importlib.abc
import importlib.util
import inspect
import os
import stat
import sys
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import CodeType, ModuleType
from typing import Final

from guardhooks.errors import PluginError

GROUP: Final = "guardhooks"
HOOKS_FOLDER: Final = "hooks.d"
"""Folder of site hooks, beside the configuration."""
OWN_DISTRIBUTION: Final = "guardhooks"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A plugin that could be loaded: `origin` is its distribution and version, or the path of its file."""

    name: str
    origin: str
    source: EntryPoint | Path


def installed() -> list[Candidate]:
    """The plugins of all installed distributions: guardhooks' own first, then the others by name."""
    found = [Candidate(point.name, _distribution(point), point) for point in entry_points(group=GROUP)]
    unique = {(candidate.name, candidate.origin): candidate for candidate in found}
    return sorted(unique.values(), key=lambda c: (not c.origin.startswith(f"{OWN_DISTRIBUTION} "), c.origin, c.name))


def _distribution(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else point.value


def site_hooks(folder: Path) -> list[Candidate]:
    """The `*.py` files of a `hooks.d` folder, by file name; none where there is no such folder."""
    return [Candidate(path.stem, str(path), path) for path in sorted(folder.glob("*.py"))] if folder.is_dir() else []


def refuse_duplicates(candidates: Iterable[Candidate]) -> None:
    """Two plugins of one name are an error: which of them would run must not depend on the order of installation.

    :raises PluginError: naming both origins and the remedy.
    """
    by_name: defaultdict[str, list[Candidate]] = defaultdict(list)
    for candidate in candidates:
        by_name[candidate.name].append(candidate)
    for name, same in by_name.items():
        if len(same) > 1:
            origins = " and ".join(candidate.origin for candidate in same)
            raise PluginError(f"two plugins are called {name!r}: {origins}; uninstall or rename one of them")


def load(candidate: Candidate) -> object:
    """Import a candidate; a class is instantiated.

    :raises PluginError: when it cannot be imported, or when its file could have been written by others.
    """
    try:
        if isinstance(candidate.source, Path):
            return _load_file(candidate.source)
        loaded: object = candidate.source.load()
        return loaded() if inspect.isclass(loaded) else loaded
    except PluginError:
        raise
    except Exception as error:  # the plugin boundary: importing runs the plugin's own code
        raise PluginError(
            f"plugin {candidate.name} ({candidate.origin}) cannot be loaded: {type(error).__name__}: {error}"
        ) from error


def _load_file(path: Path) -> ModuleType:
    name = f"guardhooks_site_{path.stem}"
    loader = _TrustedFile(path)
    spec = importlib.util.spec_from_loader(name, loader)
    if spec is None:
        raise PluginError(f"site hook {path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    loader.exec_module(module)
    return module


class _TrustedFile(importlib.abc.InspectLoader):
    """Loads one source file that nobody else may write; neither reads nor leaves byte code beside it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def get_source(self, fullname: str) -> str:  # noqa: ARG002 -- the interface names it
        return read_trusted(self._path).decode()

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_source(fullname), str(self._path))


def read_trusted(path: Path) -> bytes:
    """The content of a file that, like its folder, belongs to root or the running user and is writable by nobody else.

    :raises PluginError: naming the file or folder, its owner or mode, and the remedy.
    """
    _refuse_untrusted(path.parent, path.parent.stat())
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise PluginError(f"site hook {path} is refused: it is not a regular file")
        _refuse_untrusted(path, status)
        return file.read()


def _refuse_untrusted(path: Path, status: os.stat_result) -> None:
    if status.st_uid not in (0, os.geteuid()):
        raise PluginError(f"site hook {path} is refused: it belongs to uid {status.st_uid}; chown it to root")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        mode = stat.S_IMODE(status.st_mode)
        raise PluginError(f"site hook {path} is refused: others may write it (mode {mode:04o}); chmod go-w {path}")
