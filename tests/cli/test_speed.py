"""Client commands feel instant: they import nothing that only the daemon needs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    "asyncio", "concurrent.futures", "email", "guardhooks.model", "guardhooks.plugins", "guardhooks.settings",
    "guardhooks_core", "hashlib", "http", "hyperscan", "importlib.metadata", "inotify", "logging", "multiprocessing",
    "pluggy", "pyroute2", "regex", "sqlite3", "ssl", "subprocess", "tempfile", "watchdog",
}  # fmt: skip

UNMEASURED = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
"""Coverage imports modules of its own."""
PROGRAM = """
import sys
from guardhooks.cli.group import cli
try:
    cli.main(args=sys.argv[1:], prog_name="guardhooks")
except SystemExit:
    print(" ".join(sys.modules), file=sys.stderr)
"""


@pytest.mark.parametrize(
    "command", ["ping", "version", "status", "ban sshd 192.0.2.1", "unban --all", "reload", "stop", "--help"]
)
def test_client_commands_import_nothing_of_the_daemon(command: str, tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, *command.split(), "--state", tmp_path, "-c", tmp_path / "config"],
        capture_output=True, text=True, check=True, env=UNMEASURED,
    )  # fmt: skip

    imported = set(run.stderr.splitlines()[-1].split())
    assert "guardhooks.cli.group" in imported
    assert imported & HEAVY == set()
