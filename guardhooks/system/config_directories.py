"""Where a daemon looks for its configuration when none is named."""

from __future__ import annotations

from pathlib import Path
from typing import Final

FAIL2BAN_DIRECTORY: Final = Path("/etc/fail2ban")
CONFIG_DIRECTORIES: Final = (Path("/etc/guardhooks"), FAIL2BAN_DIRECTORY)
"""The first that exists is used."""
