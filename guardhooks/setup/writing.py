"""Puts a first configuration in place, beside what is there, never over it."""

from __future__ import annotations

import shutil
from pathlib import Path

from guardhooks.errors import ConfigError
from guardhooks.settings.definitions import PACKAGED

_COPIED = ("jail.conf", "jail.d/*.conf", "filter.d/ignorecommands/*")
"""Filters and actions are not copied: where the directory has none, those of the package are used, updates included."""


def write_directory(directory: Path, text: str) -> tuple[list[Path], list[Path]]:
    """Write `text` as jail.local, and the packaged jail files that are missing; which were written, which were kept.

    :raises ConfigError: when there is a jail.local, or nothing can be written.
    """
    target = directory / "jail.local"
    if target.exists() or target.is_symlink():
        raise ConfigError(f"{target}: is there already and is left alone; move it away, or look with --dry-run")
    written: list[Path] = []
    kept: list[Path] = []
    try:
        for pattern in _COPIED:
            for source in sorted(PACKAGED.glob(pattern)):
                copy = directory / source.relative_to(PACKAGED)
                (written if _copied(source, copy) else kept).append(copy)
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise ConfigError(f"{error.filename}: {error.strerror}; run as root, or name a directory with -c") from error
    return [*written, target], kept


def _copied(source: Path, copy: Path) -> bool:
    copy.parent.mkdir(parents=True, exist_ok=True)
    if copy.exists() or copy.is_symlink():
        return False
    shutil.copy(source, copy)
    return True
