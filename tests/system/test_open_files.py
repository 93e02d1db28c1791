"""The limit of open files that a daemon works with."""

from __future__ import annotations

import subprocess
import sys


def limits(soft: int, hard: int) -> str:
    code = (
        "import resource; from guardhooks.system.open_files import raise_limit\n"
        f"resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))\n"
        "print(raise_limit(), *resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_it_is_raised_to_what_the_system_allows() -> None:
    assert limits(256, 2000) == "2000 2000 2000"


def test_it_is_never_lowered() -> None:
    assert limits(2000, 2000) == "2000 2000 2000"
