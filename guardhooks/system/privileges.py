"""What this process may do, as the kernel says."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_CAP_NET_ADMIN: Final = 12  # bit number, linux/capability.h


def may_change_firewall() -> bool:
    """Whether this process has CAP_NET_ADMIN (Linux: /proc/self/status, CapEff, a hexadecimal mask)."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return os.geteuid() == 0
    mask = next((int(line.split()[1], 16) for line in lines if line.startswith("CapEff:")), 0)
    return bool(mask >> _CAP_NET_ADMIN & 1)
