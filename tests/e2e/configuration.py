"""Configurations for these tests: ours as shipped, with a jail.local that names the range's log and port."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from tests.e2e.range import SSH_PORT

SHIPPED: Final = Path(__file__).parent.parent.parent / "config"


def write_config(folder: Path, log: Path, **options: str) -> Path:
    """A configuration directory in `folder` whose sshd jail reads `log`; `options` go into that jail."""
    directory = folder / "config"
    shutil.copytree(SHIPPED, directory)
    jail = {"port": str(SSH_PORT), "logpath": str(log), "maxretry": "3", **options}
    lines = ["[sshd]", *(f"{key} = {value}" for key, value in jail.items())]
    (directory / "jail.local").write_text("\n".join(lines) + "\n")
    return directory
