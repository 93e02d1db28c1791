"""The range itself: what the other tests of this folder stand on."""

from __future__ import annotations

import pytest

from tests.e2e.prober import Prober
from tests.e2e.range import ATTACKER, NEIGHBOUR, SERVER, SSH_PORT, Network
from tests.e2e.sshserver import SshServer
from tests.kit.waiting import wait_for


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("ssh", ["traditional", "iso"], indirect=True)
def test_a_wrong_password_is_logged_with_the_address_it_came_from(
    ssh: SshServer, attacker: Prober, family: int
) -> None:
    wait_for(lambda: attacker.can_connect(ATTACKER[family], SERVER[family], SSH_PORT), "sshd listens")
    ssh.attempt_login(ATTACKER[family])
    wait_for(lambda: ssh.logged(f"Failed password for root from {ATTACKER[family]} port "), "sshd logs the attempt")
    assert not ssh.logged(NEIGHBOUR[family])


@pytest.mark.parametrize("family", [4, 6])
def test_connects_show_what_the_firewall_does(network: Network, ssh: SshServer, attacker: Prober, family: int) -> None:
    wait_for(lambda: attacker.can_connect(NEIGHBOUR[family], SERVER[family], SSH_PORT), "sshd listens")
    iptables = "ip6tables" if family == 6 else "iptables"
    # TCP alone: dropping ICMPv6 as well would leave the server without the way back (neighbour discovery)
    network.server.run(iptables, "-I", "INPUT", "-p", "tcp", "-s", ATTACKER[family], "-j", "DROP")
    with attacker.loop(ATTACKER[family], SERVER[family], SSH_PORT) as shut_out:
        assert not attacker.can_connect(ATTACKER[family], SERVER[family], SSH_PORT)
        assert attacker.can_connect(NEIGHBOUR[family], SERVER[family], SSH_PORT)
    assert shut_out.tries > 0
    assert shut_out.through == 0
    network.server.run(iptables, "-F")
    assert attacker.can_connect(ATTACKER[family], SERVER[family], SSH_PORT)
