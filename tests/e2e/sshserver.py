"""A real OpenSSH server with a system log of its own, and the attacker who tries its passwords."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.e2e.range import SERVER, SSH_PORT, Network, end, environment
from tests.kit.waiting import wait_for

_RSYSLOG: Final = """\
module(load="imuxsock" SysSock.Name="{folder}/log" SysSock.RateLimit.Interval="0")
*.* action(type="omfile" file="{folder}/auth.log" template="{template}")
"""
_TEMPLATE: Final = {"traditional": "RSYSLOG_TraditionalFileFormat", "iso": "RSYSLOG_FileFormat"}

# A /dev of its own, whose `log` is our system log, and a /run with the folder that sshd wants. Both vanish with it.
_PRIVATE: Final = """\
set -e
mkdir -p {folder}/dev
mount -t tmpfs tmpfs {folder}/dev
for node in null zero full random urandom tty; do
    touch {folder}/dev/$node
    mount --bind /dev/$node {folder}/dev/$node
done
mkdir {folder}/dev/pts
mount --bind /dev/pts {folder}/dev/pts
ln -s pts/ptmx {folder}/dev/ptmx
ln -s {folder}/log {folder}/dev/log
mount --rbind {folder}/dev /dev
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/sshd
exec {sshd} -D -f {folder}/sshd_config
"""
_SSHD: Final = """\
Port {port}
HostKey {folder}/host_key
PidFile none
UsePAM no
PasswordAuthentication yes
PermitRootLogin yes
AuthorizedKeysFile {folder}/authorized_keys
StrictModes no
MaxStartups 100
{penalties}
"""


class SshServer:
    """sshd on the range's server, on all its addresses, and `log`: the file that its syslog writes."""

    def __init__(self, network: Network, folder: Path, log_format: str = "traditional") -> None:
        self.network, self.folder = network, folder
        self.log = folder / "auth.log"
        self.port = SSH_PORT
        self.log.touch()
        self._clients: list[subprocess.Popen[bytes]] = []
        self._syslog = self._start_syslog(log_format)
        try:
            self._sshd = self._start_sshd()
        except BaseException:
            end(self._syslog)
            raise

    def _start_syslog(self, log_format: str) -> subprocess.Popen[bytes]:
        conf = self.folder / "rsyslog.conf"
        conf.write_text(_RSYSLOG.format(folder=self.folder, template=_TEMPLATE[log_format]))
        process = subprocess.Popen(
            ["rsyslogd", "-n", "-f", conf, "-i", self.folder / "rsyslog.pid"],
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for((self.folder / "log").is_socket, "the system log listens")
        return process

    def _start_sshd(self) -> subprocess.Popen[bytes]:
        key = self.folder / "host_key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        sshd = shutil.which("sshd", path=environment()["PATH"])
        conf = self.folder / "sshd_config"
        text = _SSHD.format(port=SSH_PORT, folder=self.folder, penalties="PerSourcePenalties no")
        conf.write_text(text)
        if subprocess.run([str(sshd), "-t", "-f", conf], capture_output=True, check=False).returncode:
            conf.write_text(text.replace("PerSourcePenalties", "# too old for PerSourcePenalties:"))
        script = self.folder / "sshd.sh"
        script.write_text(_PRIVATE.format(folder=self.folder, sshd=sshd))
        return subprocess.Popen(
            self.network.server.command("unshare", "--mount", "--propagation", "private", "sh", script),
            env=environment(),
            stdin=subprocess.DEVNULL,
        )

    def attempt_login(self, source: str, user: str = "root") -> None:
        """One wrong password from `source`, an address of the attacker's; returns when sshd has refused it."""
        self.begin_login(source, user).wait(timeout=30.0)

    def begin_login(self, source: str, user: str = "root") -> subprocess.Popen[bytes]:
        """The same without waiting: who is banned meanwhile gets no answer. The client ends with the server at last."""
        family = 6 if ":" in source else 4
        options = {
            "BindAddress": source,
            "ConnectTimeout": "2",
            "NumberOfPasswordPrompts": "1",
            "PreferredAuthentications": "password",
            "PubkeyAuthentication": "no",
            "StrictHostKeyChecking": "no",
            "UserKnownHostsFile": "/dev/null",
        }
        settings = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
        ssh = ["ssh", "-F", "none", "-p", str(SSH_PORT), *settings, "-l", user, SERVER[family], "true"]
        client = subprocess.Popen(
            self.network.attacker.command("sshpass", "-p", "wrong", *ssh),
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._clients.append(client)
        return client

    @contextmanager
    def session(self, source: str, command: str) -> Iterator[None]:
        """A login of root's by key from `source`; the command has printed `ready`, and is ended with the block."""
        key = self.folder / "client_key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        (self.folder / "authorized_keys").write_text(key.with_suffix(".pub").read_text())
        options = {
            "BindAddress": source,
            "IdentityFile": str(key),
            "IdentitiesOnly": "yes",
            "StrictHostKeyChecking": "no",
            "UserKnownHostsFile": "/dev/null",
            "BatchMode": "yes",
        }
        settings = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        ssh = ["ssh", "-F", "none", "-p", str(SSH_PORT), *settings, "-l", "root", SERVER[6 if ":" in source else 4]]
        client = subprocess.Popen(
            self.network.attacker.command(*ssh, command),
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        try:
            assert client.stdout is not None
            lines = iter(client.stdout.readline, "")
            assert any(line == "ready\n" for line in lines), "the session ended before it was ready"
            yield
        finally:
            client.kill()
            client.communicate()

    def logged(self, text: str) -> bool:
        """Whether a line of the log holds this text."""
        return text in self.log.read_text(errors="replace")

    def close(self) -> None:
        """Stop the clients, sshd and the system log."""
        for client in self._clients:
            end(client)
        end(self._sshd)
        end(self._syslog)
