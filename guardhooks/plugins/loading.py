"""Where plugins come from: installed distributions (entry points) and site hooks (`hooks.d/*.py`)."""

from __future__ import annotations

import importlib.abc
import importlib.util
import inspect
import os
import stat
import sys
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import CodeType, ModuleType
from typing import Final

from guardhooks.errors import PluginError
from guardhooks.plugins.boundary import pass_interrupt
from guardhooks.plugins.values import described

GROUP: Final = "guardhooks"
HOOKS_FOLDER: Final = "hooks.d"
"""Folder of site hooks, beside the configuration."""
_SOURCE: Final = "__guardhooks_source__"
OWN_DISTRIBUTION: Final = "guardhooks"
_HOST: Final = f"{Path(__file__).parents[1]}/"
_STANDARD_LIBRARY: Final = str(Path(os.__file__).parent / "importlib")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A plugin that could be loaded: `origin` is its distribution and version, or the path of its file."""

    name: str
    origin: str
    source: EntryPoint | Path

    @property
    def is_own(self) -> bool:
        """Whether it is one of those in the box."""
        return self.origin.startswith(f"{OWN_DISTRIBUTION} ")


def installed() -> list[Candidate]:
    """The plugins of all installed distributions: guardhooks' own first, then the others by name."""
    found = [Candidate(point.name, _distribution(point), point) for point in entry_points(group=GROUP)]
    unique = {(candidate.name, candidate.origin): candidate for candidate in found}
    return sorted(unique.values(), key=lambda c: (not c.is_own, c.origin, c.name))


def _distribution(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else point.value


def site_hooks(folder: Path) -> list[Candidate]:
    """The `*.py` files of a `hooks.d` folder, by file name; none where there is no such folder."""
    return [Candidate(path.stem, str(path), path) for path in sorted(folder.glob("*.py"))] if folder.is_dir() else []


def without_duplicates(candidates: Iterable[Candidate]) -> tuple[list[Candidate], list[tuple[Candidate, str]]]:
    """The first candidate of each name, and the others with the reason why they are refused."""
    by_name: dict[str, Candidate] = {}
    refused = []
    for candidate in candidates:
        first = by_name.setdefault(candidate.name, candidate)
        if first is not candidate:
            origins = f"{first.origin}, which is used, and {candidate.origin}, which is refused"
            why = f"two plugins are called {candidate.name!r}: {origins}; uninstall or rename one of them"
            refused.append((candidate, why))
    return list(by_name.values()), refused


def load(candidate: Candidate) -> object:
    """Import a candidate; a class is instantiated, once in a process.

    :raises PluginError: when it cannot be imported, or when its file could have been written by others.
    """
    try:
        if isinstance(candidate.source, Path):
            return _load_file(candidate.source)
        loaded: object = candidate.source.load()
        if not inspect.isclass(loaded):
            return loaded
        if loaded not in _instances:
            _instances[loaded] = loaded()
        return _instances[loaded]
    except PluginError:
        raise
    except BaseException as error:  # the plugin boundary: importing runs the plugin's own code
        pass_interrupt(error)
        raise PluginError(
            f"plugin {candidate.name} ({candidate.origin}) cannot be loaded: {described(error)}"
        ) from error


def place_of(error: BaseException, candidate: Candidate) -> str:
    """`file:line` of what keeps a candidate from being loaded, as far as its own code says; else its file."""
    cause = error.__cause__ or error
    if isinstance(cause, SyntaxError) and cause.filename and cause.lineno:
        return f"{cause.filename}:{cause.lineno}"
    frames = [
        frame
        for frame in traceback.extract_tb(cause.__traceback__)
        if not frame.filename.startswith((_HOST, "<frozen", _STANDARD_LIBRARY))
    ]
    if frames:
        return f"{frames[-1].filename}:{frames[-1].lineno}"
    return str(candidate.source) if isinstance(candidate.source, Path) else ""


_instances: dict[type, object] = {}
"""Plugins that are instances of a class: a reload finds the same ones."""
_good: dict[Path, ModuleType] = {}
"""Site hooks as they were last loaded and found usable; their `__guardhooks_source__` is what they were made of."""


def remember(candidate: Candidate, plugin: object) -> None:
    """A site hook was loaded and let in: a reload finds it unchanged, or falls back to it."""
    if isinstance(candidate.source, Path) and isinstance(plugin, ModuleType):
        _good[candidate.source] = plugin


def last_good(candidate: Candidate) -> ModuleType | None:
    """The module that a site hook was before; None for other candidates."""
    return _good.get(candidate.source) if isinstance(candidate.source, Path) else None


def _load_file(path: Path) -> ModuleType:
    """The module of a file; the same one as before while the file says the same, so that its parts go on."""
    source = read_trusted(path)
    known = _good.get(path)
    if known is not None and known.__dict__.get(_SOURCE) == source:
        return known
    name = f"guardhooks_site_{path.stem}"
    loader = _TrustedFile(path, source)
    spec = importlib.util.spec_from_loader(name, loader)
    if spec is None:
        raise PluginError(f"site hook {path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    former = sys.modules.get(name)
    sys.modules[name] = module
    try:
        loader.exec_module(module)
    except BaseException:
        if former is None:
            del sys.modules[name]
        else:
            sys.modules[name] = former
        raise
    module.__dict__[_SOURCE] = source
    return module


class _TrustedFile(importlib.abc.InspectLoader):
    """Loads one source file that nobody else may write; neither reads nor leaves byte code beside it."""

    def __init__(self, path: Path, source: bytes) -> None:
        self._path, self._source = path, source

    def get_source(self, fullname: str) -> str:  # noqa: ARG002 -- the interface names it
        return importlib.util.decode_source(self._source)

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002
        return self.source_to_code(self._source, str(self._path))


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
