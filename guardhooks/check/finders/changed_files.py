"""Files that were changed after the running daemon had read them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from guardhooks.check.site import Site
from guardhooks.model import ConfigFinding, Severity

_PATTERNS = (
    "jail.*", "jail.d/*", "filter.d/*", "action.d/*", "hooks.d/*.py", "guardhooks.*", "guardhooks.d/*",
    "fail2ban.*", "fail2ban.d/*", "paths-*",
)  # fmt: skip


def changed_files(site: Site) -> Iterator[ConfigFinding]:
    """A note for each, since a check before a reload is meant to see them."""
    if site.loaded is None:
        return
    read = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(site.loaded))
    for pattern in _PATTERNS:
        for file in sorted(site.settings.directory.glob(pattern)):
            if _changed(file) > site.loaded:
                yield ConfigFinding(
                    "it was changed after the running daemon had read its configuration", Severity.NOTE,
                    why=f"the daemon works with what it read at {read}", remedy="run `guardhooks reload`",
                    file=str(file),
                )  # fmt: skip


def _changed(file: Path) -> float:
    """When the content was changed, or another file was put in its place; 0 where it has gone."""
    try:
        status = file.stat()
    except OSError:
        return 0.0
    return max(status.st_mtime, status.st_ctime) if file.is_file() else 0.0
