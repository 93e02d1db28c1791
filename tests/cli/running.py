"""A small configuration and a real daemon that observes."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

FILTER = """\
[Definition]
failregex = ^ login of <F-USER>\\S+</F-USER> failed from <HOST>$
            ^ no such user from <HOST>$
ignoreregex = login of monitor
"""
JAIL = """\
[DEFAULT]
bantime = 10m
findtime = 10m
maxretry = 2
backend = polling
usedns = no
[app]
enabled = true
filter = app
logpath = {log}
action = observe
[other]
enabled = true
filter = app
logpath = {log}
action = observe
"""


@dataclass(frozen=True, slots=True)
class Site:
    """A configuration directory, a state folder and a log."""

    config: Path
    state: Path
    log: Path

    def place(self) -> list[str]:
        """The options that name this site."""
        return ["-c", str(self.config), "--state", str(self.state)]

    def guardhooks(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the real command for this site, outside of any terminal."""
        return subprocess.run(
            [sys.executable, "-m", "guardhooks", *arguments, *self.place()],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **environment},
        )

    @contextlib.contextmanager
    def running(self) -> Iterator[subprocess.Popen[str]]:
        """A daemon, ready; killed at the end if it still runs."""
        daemon = subprocess.Popen(
            [sys.executable, "-m", "guardhooks", "run", "--observe", *self.place()],
            stderr=subprocess.PIPE,
            text=True,
        )
        assert daemon.stderr is not None
        try:
            seen = list[str]()
            for line in daemon.stderr:
                seen.append(line)
                if " ready: " in line:
                    break
            else:
                pytest.fail("the daemon did not start:\n" + "".join(seen))
            drain = threading.Thread(target=daemon.stderr.read)  # a full pipe would hold it up
            drain.start()
            yield daemon
        finally:
            daemon.kill()
            daemon.wait()
        drain.join()
        daemon.stderr.close()


def make_site(folder: Path) -> Site:
    """A site with two jails, `app` and `other`, that read one log."""
    config, log = folder / "config", folder / "app.log"
    (config / "filter.d").mkdir(parents=True)
    (config / "filter.d" / "app.conf").write_text(FILTER)
    (config / "jail.conf").write_text(JAIL.format(log=log))
    log.write_text("")
    return Site(config, folder / "state", log)
