"""A real systemd as the first process of namespaces of its own, on one host of the range.

It sees the machine's files, but what it writes to /etc and /var goes to layers that end with it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.e2e.range import Host, environment
from tests.kit.waiting import wait_for

PYTHON: Final = Path("/mnt/venv/bin/python")
"""The tests' own Python, seen from a service: /tmp, where its environment may lie, is hidden from services."""

_INIT: Final = Path("/lib/systemd/systemd")
UNITS: Final = "/mnt/units"
"""The only folder that units are read from: none of the machine's own start, clean its /tmp or set its sysctls."""

_BOOT: Final = r"""
set -e
mount --make-rprivate /
venv=$1 keep=$2
mount -t tmpfs mnt /mnt
mkdir -p /mnt/venv /mnt/keep /mnt/units
mount --bind "$keep" /mnt/keep
for layer in venv etc usr var; do mkdir -p "/mnt/layers/$layer/upper" "/mnt/layers/$layer/work"; done
layered() { mount -t overlay "$3" -o "lowerdir=$1,upperdir=/mnt/layers/$3/upper,workdir=/mnt/layers/$3/work" "$2"; }
layered "$venv" /mnt/venv venv
layered /etc /etc etc
layered /usr /usr usr
layered /var /var var
mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
mkdir -p /run/lock
printf '#!/mnt/venv/bin/python -sP\nimport guardhooks.cli\nguardhooks.cli.main()\n' >/mnt/venv/bin/guardhooks
chmod 755 /mnt/venv/bin/guardhooks
: >/etc/machine-id
mkdir -p /etc/systemd/journald.conf.d
printf '[Journal]\nStorage=volatile\nReadKMsg=no\n' >/etc/systemd/journald.conf.d/tests.conf
cd /mnt/units
for target in sysinit basic shutdown network emergency; do
    printf '[Unit]\nDefaultDependencies=no\n' >$target.target
done
cp /lib/systemd/system/systemd-journald*.service /lib/systemd/system/systemd-journald*.socket .
printf '[Unit]\nWants=systemd-journald.service\n' >tests.target
mount -t cgroup2 cgroup2 /sys/fs/cgroup
exec env container=guardhooks-tests SYSTEMD_UNIT_PATH=/mnt/units \
    /lib/systemd/systemd --system --unit=tests.target --show-status=no --log-target=journal
"""


def missing() -> str:
    """Why systemd cannot be booted here; empty where it can."""
    if os.geteuid() != 0:
        return "needs root"
    if not _INIT.exists():
        return "needs systemd"
    return "" if _cgroups() else "needs a cgroup2 hierarchy"


def _cgroups() -> Path | None:
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    return next((Path(words[1]) for words in mounts if words[2] == "cgroup2"), None)


class Systemd:
    """Booted in its construction, on the network of `host`; `folder` is /mnt/keep for what runs under it."""

    def __init__(self, host: Host, folder: Path) -> None:
        cgroups = _cgroups()
        assert cgroups is not None
        self._cgroup = cgroups / host.name
        self._cgroup.mkdir()
        script = folder / "boot"
        script.write_text(_BOOT)
        joined = f'echo $$ >"{self._cgroup}/cgroup.procs"; exec ' + " ".join(
            host.command("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--cgroup", "--uts")
        )
        self._process = subprocess.Popen(
            ["sh", "-c", f'{joined} bash "$@"', "sh", str(script), sys.prefix, str(folder)],
            env={**environment(), "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
            stdin=subprocess.DEVNULL,
        )
        self._init = 0
        try:
            wait_for(self._found, "systemd as the first process")
            wait_for(lambda: self.state in {"running", "degraded"}, "systemd has booted", 60.0)
        except BaseException:
            self.close()
            raise

    def _found(self) -> bool:
        assert self._process.poll() is None, f"it ended with {self._process.returncode}"
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        self._init = int(children[0]) if children else 0
        return bool(self._init) and Path(f"/proc/{self._init}/comm").read_text().strip() == "systemd"

    @property
    def state(self) -> str:
        """As `systemctl is-system-running` says it."""
        return self.run("systemctl", "is-system-running", check=False).stdout.strip()

    def command(self, *argv: str | Path) -> list[str]:
        """The command line that runs `argv` beside systemd, with all of root's privileges."""
        return ["nsenter", "-t", str(self._init), "-m", "-p", "-n", "-C", "-u", *map(str, argv)]

    def run(self, *argv: str | Path, check: bool = True, timeout: float = 120.0) -> subprocess.CompletedProcess[str]:
        """Run a command beside systemd, to its end."""
        done = subprocess.run(
            self.command(*argv), capture_output=True, text=True, check=False, timeout=timeout,
            stdin=subprocess.DEVNULL, env=environment(), cwd="/",
        )  # fmt: skip
        if check and done.returncode:
            raise AssertionError(f"{argv}: exit {done.returncode}\n{done.stdout}{done.stderr}\n{self.log()}")
        return done

    def write(self, path: str, text: str) -> None:
        """Write a file as a process beside systemd sees it."""
        subprocess.run(
            self.command("sh", "-c", 'mkdir -p "$(dirname "$1")" && cat >"$1"', "sh", path),
            input=text, text=True, check=True,
        )  # fmt: skip

    def log(self) -> str:
        """The end of the journal."""
        return self.run("journalctl", "-n", "200", "--no-pager", "-o", "cat", check=False).stdout

    def show(self, unit: str, key: str) -> str:
        """A property of a unit."""
        return self.run("systemctl", "show", "--value", "-p", key, unit).stdout.strip()

    def close(self) -> None:
        """End everything that runs under it."""
        if self._init:
            os.kill(self._init, signal.SIGKILL)
        self._process.kill()
        self._process.wait()
        for folder, _, _ in os.walk(self._cgroup, topdown=False):
            wait_for(lambda folder=folder: _removed(Path(folder)), f"{folder} is empty")  # type: ignore[misc]


def _removed(folder: Path) -> bool:
    try:
        folder.rmdir()
    except OSError:
        return not folder.exists()
    return True
