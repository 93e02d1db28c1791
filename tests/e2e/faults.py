"""What goes wrong around a daemon: a state folder of a few MiB that can be filled, and what its host lacks."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.e2e.daemon import Daemon
from tests.e2e.range import Host
from tests.kit.waiting import wait_for

PATIENCE = 60.0
"""Seconds for what a healthy machine does in one or two."""


class SmallDisk:
    """A tmpfs of `size` MiB at `folder`, in the mount namespace of the tests; `close` unmounts it."""

    def __init__(self, folder: Path, size: int = 2) -> None:
        self.folder = folder
        folder.mkdir(mode=0o700)
        options = f"size={size}m,mode=0700"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """Leave no byte free."""
        with self._ballast.open("ab", buffering=0) as file:
            for block in (b"x" * 65536, b"x" * 4096):
                try:
                    while file.write(block) == len(block):
                        pass
                except OSError:
                    continue

    def remount(self, mode: str, daemon: Daemon | None = None) -> None:
        """Make it read-only (`ro`) or writable (`rw`); a running daemon has mounts of its own."""
        within = ["nsenter", "--target", str(daemon.pid), "--mount"] if daemon else []
        for prefix in ([], within):
            subprocess.run([*prefix, "mount", "-o", f"remount,{mode}", self.folder], check=True)

    def free(self) -> None:
        """Take the ballast away."""
        self._ballast.unlink()

    def close(self) -> None:
        subprocess.run(["umount", "--lazy", self.folder], check=True)


def limit(daemon: Daemon, resource: str, soft: int | str) -> None:
    """Change the soft limit of a running daemon (`nofile`, `data`)."""
    subprocess.run(["prlimit", "--pid", str(daemon.pid), f"--{resource}={soft}:"], check=True)


def wait_status(daemon: Daemon, what: str, condition: Any, *words: str) -> None:  # noqa: ANN401 -- a predicate of JSON
    """Ask `status --json` until the condition holds; a daemon that cannot answer now is asked again."""

    def holds() -> bool:
        assert daemon.running, daemon.log
        done = daemon.command("status", *words, "--json", check=False)
        return bool(done.stdout.strip()) and condition(json.loads(done.stdout))

    wait_for(holds, what, PATIENCE)


def table(host: Host) -> str:
    """Our nftables table as text, empty where there is none."""
    return host.run("nft", "list", "table", "inet", "guardhooks", check=False).stdout
