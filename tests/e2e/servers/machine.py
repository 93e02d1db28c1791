"""Runs one real server on the range, on a machine of its own: nothing that it writes outlasts the test."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

from tests.e2e.range import Host, end, environment
from tests.e2e.servers.model import Server
from tests.kit.waiting import wait_for

UNPACKED: Final = Path(os.environ.get("GUARDHOOKS_TEST_SERVERS", "/opt/guardhooks-test-servers"))
"""Where packages that Debian does not install beside others (two mail servers, say) lie unpacked, if anywhere.

Not below /etc, /usr or /var: a layer cannot lie in the folder that it is laid below.
"""

# As Debian configures it.
_RSYSLOG: Final = """\
module(load="imuxsock" SysSock.Name="{folder}/syslog.socket" SysSock.RateLimit.Interval="0")
module(load="builtin:omfile" Template="RSYSLOG_TraditionalFileFormat")
auth,authpriv.* {folder}/log/auth.log
*.*;auth,authpriv.none {folder}/log/syslog
mail.* {folder}/log/mail.log
local0.* {folder}/log/haproxy.log
"""

# The machine's folders, with a layer of their own on top and unpacked packages below; logs go to the test's folder.
_MACHINE: Final = """\
set -e
mkdir -p {folder}/layers
mount -t tmpfs -o mode=755 tmpfs {folder}/layers
for name in etc var usr; do
    layer={folder}/layers/$name
    mkdir -p $layer/upper $layer/work
    below=/$name
    if [ -d {unpacked}/$name ]; then below={unpacked}/$name:/$name; fi
    mount -t overlay overlay -o lowerdir=$below,upperdir=$layer/upper,workdir=$layer/work /$name
done
mkdir -p {folder}/layers/dev/pts {folder}/layers/dev/shm
for node in null zero full random urandom tty; do
    touch {folder}/layers/dev/$node
    mount --bind /dev/$node {folder}/layers/dev/$node
done
mount -t devpts -o newinstance,ptmxmode=666 devpts {folder}/layers/dev/pts
ln -s pts/ptmx {folder}/layers/dev/ptmx
ln -s /proc/self/fd {folder}/layers/dev/fd
mount -t tmpfs -o mode=1777 tmpfs {folder}/layers/dev/shm
touch {folder}/layers/dev/log
mount --bind {folder}/syslog.socket {folder}/layers/dev/log
mount --bind {folder}/log /var/log
mount --rbind {folder}/layers/dev /dev
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -m 1777 /run/lock
mount -t tmpfs -o mode=1777 tmpfs /tmp
mkdir -m 755 /tmp/srv
cd /tmp/srv
"""


class Machine:
    """A server that runs on `host`. `logs` is what it sees as /var/log, `said` what it prints."""

    def __init__(self, host: Host, folder: Path, server: Server) -> None:
        self.logs, self._folder = folder / "log", folder
        self._output = folder / "output"
        for part in folder.resolve().parents:
            if part.stat().st_uid == os.geteuid() and "pytest" in part.name:
                part.chmod(0o755)  # servers give up root before they open their logs
        folder.chmod(0o755)
        self.logs.mkdir(mode=0o755)
        self._syslog = self._start_syslog()
        script = folder / "machine.sh"
        script.write_text(_script(folder, server))
        with self._output.open("wb") as output:
            self._server = subprocess.Popen(
                host.command(
                    *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
                    *("--propagation", "private", "bash", script),
                ),
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def _start_syslog(self) -> subprocess.Popen[bytes]:
        conf = self._folder / "rsyslog.conf"
        conf.write_text(_RSYSLOG.format(folder=self._folder))
        process = subprocess.Popen(
            ["rsyslogd", "-n", "-f", conf, "-i", self._folder / "rsyslog.pid"],
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for((self._folder / "syslog.socket").is_socket, "the system log listens")
        (self._folder / "syslog.socket").chmod(0o666)
        return process

    @property
    def running(self) -> bool:
        """Whether the server lives."""
        return self._server.poll() is None

    def said(self) -> str:
        """What the server printed, and the ends of its logs."""
        logs = sorted(path for path in self.logs.rglob("*") if path.is_file())
        texts = {path: path.read_text(errors="replace") for path in [self._output, *logs]}
        return "\n".join(f"--- {path}\n{text[-3000:]}" for path, text in texts.items())

    def close(self) -> None:
        """Stop the server, all its children and the system log."""
        end(self._server)
        end(self._syslog)


def _script(folder: Path, server: Server) -> str:
    lines = [_MACHINE.format(folder=folder, unpacked=UNPACKED)]
    for path, text in server.files.items():
        lines.append(f"mkdir -p \"$(dirname {path})\"\ncat >{path} <<'END OF FILE'\n{text}\nEND OF FILE\n")
    lines.append(f"{server.prepare}\n{server.command}\n")
    return "".join(lines)
