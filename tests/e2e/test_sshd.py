"""The main job: who tries passwords at a real sshd is kept out by the kernel, and nobody else is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.configuration import write_config
from tests.e2e.daemon import Daemon
from tests.e2e.prober import Prober
from tests.e2e.range import ATTACKER, NEIGHBOUR, SERVER, SSH_PORT
from tests.e2e.sshserver import SshServer
from tests.kit.waiting import wait_for

MAXRETRY = 3
BANNED_ID = {4: ATTACKER[4], 6: "2001:db8:0:66::/64"}
KERNELS = ("nftables", "ipset")


@dataclass
class Siege:
    """A server, its attacker and what stands between them."""

    ssh: SshServer
    attacker: Prober
    family: int
    folder: Path

    def reaches(self, source: dict[int, str]) -> bool:
        """Whether a TCP connect from this address of the attacker's host gets through to sshd."""
        return self.attacker.can_connect(source[self.family], SERVER[self.family], SSH_PORT)

    def attack(self) -> None:
        """Wrong passwords, as many as lead to a ban, all at once."""
        for _ in range(MAXRETRY):
            self.ssh.begin_login(ATTACKER[self.family])

    def wait_until_banned(self, daemon: Daemon) -> None:
        """The kernel has the ban before the log does; a connect alone may fail on a busy machine for other reasons."""
        daemon.wait_for_log(f"[sshd] Ban {BANNED_ID[self.family]}")
        wait_for(lambda: not self.reaches(ATTACKER), "the attacker is kept out")

    def config(self, banaction: str, **options: str) -> Path:
        return write_config(self.folder, self.ssh.log, banaction=banaction, **options)


@pytest.fixture(params=[4, 6], ids=["IPv4", "IPv6"])
def siege(request: pytest.FixtureRequest, ssh: SshServer, attacker: Prober, tmp_path: Path) -> Siege:
    siege = Siege(ssh, attacker, request.param, tmp_path)
    wait_for(lambda: siege.reaches(ATTACKER), "sshd listens")
    return siege


@pytest.mark.parametrize("banaction", KERNELS)
def test_wrong_passwords_shut_the_attacker_out_and_nobody_else(
    siege: Siege, guard: Callable[..., Daemon], banaction: str
) -> None:
    daemon = guard(siege.config(banaction))
    siege.attack()
    siege.wait_until_banned(daemon)
    assert siege.reaches(NEIGHBOUR)


@pytest.mark.parametrize("banaction", KERNELS)
def test_unban_lets_the_attacker_back_in(siege: Siege, guard: Callable[..., Daemon], banaction: str) -> None:
    daemon = guard(siege.config(banaction))
    siege.attack()
    siege.wait_until_banned(daemon)
    daemon.command("unban", ATTACKER[siege.family])
    assert siege.reaches(ATTACKER)


@pytest.mark.parametrize("banaction", KERNELS)
def test_a_short_ban_expires_by_itself(siege: Siege, guard: Callable[..., Daemon], banaction: str) -> None:
    daemon = guard(siege.config(banaction, bantime="4s"))
    siege.attack()
    siege.wait_until_banned(daemon)
    wait_for(lambda: siege.reaches(ATTACKER), "the ban is over")
    daemon.wait_for_log(f"[sshd] Unban {BANNED_ID[siege.family]}")


@pytest.mark.parametrize("banaction", KERNELS)
def test_a_short_ban_expires_even_if_the_daemon_is_dead(
    siege: Siege, guard: Callable[..., Daemon], banaction: str
) -> None:
    daemon = guard(siege.config(banaction, bantime="4s"))
    siege.attack()
    siege.wait_until_banned(daemon)
    daemon.kill()
    wait_for(lambda: siege.reaches(ATTACKER), "the kernel ends the ban")


@pytest.mark.parametrize("banaction", KERNELS)
def test_the_door_stays_shut_while_the_daemon_is_stopped_killed_and_started(
    siege: Siege, guard: Callable[..., Daemon], banaction: str
) -> None:
    config = siege.config(banaction)
    daemon = guard(config)
    siege.attack()
    siege.wait_until_banned(daemon)
    with siege.attacker.loop(ATTACKER[siege.family], SERVER[siege.family], SSH_PORT) as knocks:
        assert daemon.stop() == 0
        daemon = guard(config)
        daemon.kill()
        daemon = guard(config)
        daemon.stop()
    assert knocks.tries > 10
    assert knocks.through == 0
    assert siege.reaches(NEIGHBOUR)


@pytest.mark.parametrize("banaction", KERNELS)
def test_stop_flush_opens_the_door(siege: Siege, guard: Callable[..., Daemon], banaction: str) -> None:
    daemon = guard(siege.config(banaction))
    siege.attack()
    siege.wait_until_banned(daemon)
    daemon.command("stop", "--flush")
    wait_for(lambda: not daemon.running, "the daemon ends")
    assert siege.reaches(ATTACKER)


def test_auto_keeps_the_attacker_out_and_says_by_what(siege: Siege, guard: Callable[..., Daemon]) -> None:
    daemon = guard(siege.config("auto"))
    siege.attack()
    siege.wait_until_banned(daemon)
    assert siege.reaches(NEIGHBOUR)
    assert "nftables" in daemon.command("status", "sshd").stdout


def test_observing_bans_on_paper_only(siege: Siege, guard: Callable[..., Daemon]) -> None:
    daemon = guard(siege.config("auto"), "--observe")
    siege.attack()
    daemon.wait_for_log(BANNED_ID[siege.family])
    assert siege.reaches(ATTACKER)
