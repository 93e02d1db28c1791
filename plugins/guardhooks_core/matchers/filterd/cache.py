"""The cache of compiled prefilters: their content goes to a deserialiser of Hyperscan's that trusts its input."""

from __future__ import annotations

import platform
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import ClassVar

from guardhooks.filters import Cache as BaseCache
from guardhooks.filters import digest


class Cache(BaseCache):
    """Its entries hold what was compiled for the jails of one source."""

    suffix: ClassVar[str] = ".compiled"

    def engine(self) -> str:
        return engine()


@cache
def engine() -> str:
    """A digest of what determines the compiled form of a regex besides the regex: this code, Python, Hyperscan, CPU."""
    try:
        hyperscan = version("hyperscan")
    except PackageNotFoundError:
        hyperscan = "none"
    sources = [path.read_bytes() for path in sorted(Path(__file__).parent.rglob("*.py"))]
    return digest([hyperscan, sys.version, platform.machine(), _cpu(), *sources])


def _cpu() -> str:
    """The processor's features; a database compiled for others would be refused at best."""
    try:
        with Path("/proc/cpuinfo").open() as file:
            return next((line for line in file if line.startswith(("flags", "Features"))), "")
    except OSError:
        return platform.processor()
