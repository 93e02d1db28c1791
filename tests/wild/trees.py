"""Configuration trees of our own writing, in the styles of real servers; each is laid over Debian's stock one."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

STOCK: Final = Path("/etc/fail2ban")
FOLDER: Final = Path(__file__).parent / "trees"
NAMES: Final = sorted(path.name for path in FOLDER.iterdir())
_LOG: Final = re.compile(r"(?:LOGS|%\(remote_logs_path\)s)/([\w./*-]+)")
_PROGRAM_FOLDER: Final = re.compile(r"/(?:usr/)?(?:local/)?s?bin/(?!sh\b)(?=\w)")


def laid_out(name: str, target: Path, rewrite: Callable[[bytes], bytes] = bytes) -> Path:
    """A tree over the stock configuration, with logs that exist; `LOGS` in its files stands for their folder.

    :param rewrite: what becomes of the text of its files.
    """
    shutil.copytree(STOCK, target)
    shutil.rmtree(target / "jail.d")
    shutil.copytree(FOLDER / name, target, dirs_exist_ok=True)
    logs = target.parent / f"logs-{name}"
    for own in (FOLDER / name).rglob("*"):
        if own.is_file():
            file = target / own.relative_to(FOLDER / name)
            text = file.read_text()
            for log in _LOG.findall(text):
                _create(logs / ("remotelogs" if "(remote_logs_path)" in text else "") / log.replace("*", "x"))
            file.write_bytes(rewrite(text.replace("LOGS/", f"{logs}/").encode()))
    return target


def _create(log: Path) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.name != "remotelogs":
        log.touch()


def files(kind: str) -> list[Path]:
    """All `filter.d` or `action.d` files of the trees."""
    return sorted(FOLDER.glob(f"*/{kind}/*.conf"))


def action_text(file: Path) -> str:
    """An action file that finds its programs by their names only, so that fakes may take their place."""
    return _PROGRAM_FOLDER.sub("", file.read_text())
