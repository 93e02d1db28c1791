"""Where a daemon looks for its configuration when none is named."""

from __future__ import annotations

from pathlib import Path
from typing import Final

CONFIG_DIRECTORIES: Final = (Path("/etc/guardhooks"), Path("/etc/fail2ban"))
"""The first that exists is used."""
