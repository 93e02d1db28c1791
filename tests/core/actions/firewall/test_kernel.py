"""What the plugins do to the kernel, and say, when batches are great, names hostile, sets full or gone."""

from __future__ import annotations

import ipaddress
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from guardhooks import ActionError

if TYPE_CHECKING:
    from tests.core.actions.firewall.conftest import Host

pytestmark = pytest.mark.root

NOW = time.time()
BOTH = pytest.mark.parametrize("name", ["nftables", "ipset"])


def act(
    server: Host,
    name: str,
    op: str,
    *bans: tuple[str, float],
    options: dict[str, str] | None = None,
    jail: str = "sshd",
) -> dict[str, Any]:
    answer: dict[str, Any] = server.ask("act", name=name, options=options or {}, op=op, bans=bans, jail=jail, at=NOW)
    return answer


def counts(outcome: dict[str, Any]) -> tuple[int, int]:
    return outcome["added"], outcome["removed"]


def many(size: int) -> list[tuple[str, float]]:
    return [(str(ipaddress.ip_address(0x0A000000 + 3 * i)), 3600.0) for i in range(size)]


@BOTH
def test_ten_thousand_in_one_batch_again_and_gone(hosts: tuple[Host, Host], name: str) -> None:
    server, _ = hosts
    bans = many(10_000)
    v6 = [(f"2001:db8:{i + 1:x}::/64", 3600.0) for i in range(5000)]
    act(server, name, "start")
    act(server, name, "ban", *bans, *v6)
    assert counts(act(server, name, "check", *bans, *v6)) == (0, 0)
    act(server, name, "ban", *bans, *v6)
    assert counts(act(server, name, "check", *bans, *v6)) == (0, 0)
    act(server, name, "unban", *bans)
    act(server, name, "unban", *bans)
    assert counts(act(server, name, "check", *v6)) == (0, 0)


@BOTH
def test_a_batch_of_old_and_new_bans_takes_the_new_lengths(hosts: tuple[Host, Host], name: str) -> None:
    server, _ = hosts
    act(server, name, "start", ("10.0.0.1", 600), ("10.0.0.2", float("inf")), ("10.0.0.3", 600))
    wanted = [("10.0.0.1", 6000.0), ("10.0.0.2", 900.0), ("10.0.0.3", float("inf")), ("10.0.0.4", 900.0)]
    act(server, name, "ban", *wanted)
    assert counts(act(server, name, "check", *wanted)) == (0, 0)


@BOTH
def test_check_puts_wrong_timeouts_right(hosts: tuple[Host, Host], name: str) -> None:
    server, _ = hosts
    act(server, name, "start", ("10.0.0.1", 600), ("10.0.0.2", float("inf")), ("10.0.0.3", 600))
    wanted = [("10.0.0.1", 6000.0), ("10.0.0.2", 900.0), ("10.0.0.3", float("inf"))]
    assert counts(act(server, name, "check", *wanted)) == (3, 0)
    assert counts(act(server, name, "check", *wanted)) == (0, 0)


@BOTH
def test_a_ban_longer_than_the_kernel_can_hold_is_in_force(hosts: tuple[Host, Host], name: str) -> None:
    server, _ = hosts
    ten_years = ("10.0.0.1", 10 * 365 * 86400.0)
    act(server, name, "start", ten_years)
    assert counts(act(server, name, "check", ten_years)) == (0, 0)


@BOTH
def test_a_ban_into_a_set_that_is_gone_is_an_error_and_start_heals(hosts: tuple[Host, Host], name: str) -> None:
    server, _ = hosts
    act(server, name, "start", ("10.0.0.1", 600))
    for command in ("nft flush ruleset", "ipset destroy"):
        server.sh(*command.split())
    with pytest.raises(ActionError, match="vanished"):
        act(server, name, "ban", ("10.0.0.2", 600))
    act(server, name, "unban", ("10.0.0.1", 600))
    due = [("10.0.0.1", 600.0), ("10.0.0.2", 600.0)]
    assert act(server, name, "start", *due)["added"] > 0
    assert counts(act(server, name, "check", *due)) == (0, 0)


@BOTH
@pytest.mark.parametrize("jail", ["a b;reboot", "$(id)", "--help", "x" * 200, "日本", "a/../b", "{ }", '"', "\n"])
def test_a_hostile_name_is_only_a_name(hosts: tuple[Host, Host], name: str, jail: str) -> None:
    server, _ = hosts
    act(server, name, "start", ("10.0.0.1", 600), jail=jail)
    assert counts(act(server, name, "check", ("10.0.0.1", 600), jail=jail)) == (0, 0)
    act(server, name, "flush", jail=jail)
    assert "f2b" not in server.sh("nft", "list", "ruleset") + server.sh("ipset", "list")


@BOTH
@pytest.mark.parametrize("id_", ["bob", "10.0.0.1; reboot", "0.0.0.0/0", "::/0", "10.0.0.1/8", "$(id)", ""])
def test_an_id_that_no_firewall_can_ban_does_not_keep_others_from_being_banned(
    hosts: tuple[Host, Host], name: str, id_: str
) -> None:
    server, _ = hosts
    act(server, name, "start", ("10.0.0.1", 600), (id_, 600))
    outcome = act(server, name, "ban", (id_, 600), ("10.0.0.2", 600))
    assert list(outcome["failed"]) == [id_]
    assert "is no address or prefix" in outcome["failed"][id_]
    act(server, name, "unban", (id_, 600))
    assert counts(act(server, name, "check", ("10.0.0.1", 600), ("10.0.0.2", 600))) == (0, 0)


@BOTH
def test_two_jails_cannot_share_a_set(hosts: tuple[Host, Host], name: str) -> None:
    server, _ = hosts
    act(server, name, "start", options={"name": "same"}, jail="one")
    with pytest.raises(ActionError, match=r"belongs to jail one.*name="):
        act(server, name, "start", options={"name": "same"}, jail="two")
    act(server, name, "flush", options={"name": "same"}, jail="one")
    act(server, name, "start", options={"name": "same"}, jail="two")


@BOTH
def test_without_privilege_the_error_says_which_is_needed(hosts: tuple[Host, Host], name: str) -> None:
    nobody = type(hosts[0])(hosts[0].name)
    try:
        nobody.ask("become_nobody")
        with pytest.raises(ActionError, match="CAP_NET_ADMIN"):
            act(nobody, name, "start", ("10.0.0.1", 600))
    finally:
        nobody.close()


def test_without_ip6tables_ipv4_is_guarded_until_somebody_must_be_banned_by_ipv6(
    hosts: tuple[Host, Host], tmp_path: Path
) -> None:
    poor = type(hosts[0])(hosts[0].name)
    try:
        poor.ask("forget_ip6tables", folder=str(tmp_path))
        outcome = act(poor, "ipset", "start", ("10.0.0.1", 600))
        assert "IPv6 off: ip6tables is not installed" in outcome["note"]
        assert "f2b-sshd" in hosts[0].sh("iptables", "-S", "INPUT")
        with pytest.raises(ActionError, match="ip6tables is not installed"):
            act(poor, "ipset", "check", ("10.0.0.1", 600), ("2001:db8::1", 600))
        act(poor, "ipset", "flush")
    finally:
        poor.close()


def test_chains_that_exist_are_served_at_once_and_the_missing_one_when_it_appears(hosts: tuple[Host, Host]) -> None:
    server, _ = hosts
    options = {"chain": "INPUT, DOCKER-USER"}
    outcome = act(server, "ipset", "start", ("10.0.0.1", 600), options=options)
    assert "no chain DOCKER-USER" in outcome["problem"]
    assert outcome["failed"] == {}
    assert "f2b-sshd" in server.sh("iptables", "-S", "INPUT")
    assert act(server, "ipset", "ban", ("10.0.0.2", 600), ("2001:db8::1", 600), options=options)["failed"] == {}
    server.sh("iptables", "-N", "DOCKER-USER")
    server.sh("ip6tables", "-N", "DOCKER-USER")
    bans = [("10.0.0.1", 600), ("10.0.0.2", 600), ("2001:db8::1", 600)]
    assert act(server, "ipset", "check", *bans, options=options)["problem"] == ""
    for tool in ("iptables", "ip6tables"):
        assert "f2b-sshd" in server.sh(tool, "-S", "DOCKER-USER")


def test_without_ip6tables_chain_ipv4_is_served_and_ipv6_bans_are_failing(hosts: tuple[Host, Host]) -> None:
    server, _ = hosts
    server.sh("iptables", "-N", "DOCKER-USER")
    options = {"chain": "DOCKER-USER"}
    outcome = act(server, "ipset", "start", ("10.0.0.1", 600), options=options)
    assert (outcome["problem"], outcome["failed"]) == ("", {})
    assert "ip6tables has no chain DOCKER-USER" in outcome["warning"]
    failed = act(server, "ipset", "ban", ("10.0.0.2", 600), ("2001:db8::1", 600), options=options)["failed"]
    assert list(failed) == ["2001:db8::1"]
    server.sh("ip6tables", "-N", "DOCKER-USER")
    bans = [("10.0.0.1", 600), ("10.0.0.2", 600), ("2001:db8::1", 600)]
    outcome = act(server, "ipset", "check", *bans, options=options)
    assert (outcome["problem"], outcome["failed"], outcome["warning"]) == ("", {}, "")


def test_before_any_chain_exists_bans_are_failing_and_named(hosts: tuple[Host, Host]) -> None:
    server, _ = hosts
    outcome = act(server, "ipset", "start", ("10.0.0.1", 600), options={"chain": "DOCKER-USER"})
    assert "no chain DOCKER-USER" in outcome["failed"]["10.0.0.1"]
    assert "no chain DOCKER-USER" in outcome["problem"]


def test_many_jails_that_start_at_once_get_their_rules_and_one_that_cannot_is_alone(hosts: tuple[Host, Host]) -> None:
    server, _ = hosts
    names = [f"jail{number}x" for number in range(30)]
    wrong = server.ask("start_together", names=names, chains={"jail7x": "DOCKER-USER"})
    assert list(wrong) == ["jail7x"], wrong
    assert "no chain DOCKER-USER" in wrong["jail7x"]
    for tool, suffix in (("iptables", ""), ("ip6tables", "6")):
        rules = server.sh(tool, "-S", "INPUT")
        assert [rules.count(f" f2b-{name}{suffix} ") for name in names] == [int(name != "jail7x") for name in names]
    for name in names:
        act(server, "ipset", "flush", options={"name": name}, jail=name)
    assert "f2b" not in server.sh("iptables", "-S") + server.sh("ip6tables", "-S")


def test_rules_stand_in_each_chain(hosts: tuple[Host, Host]) -> None:
    server, _ = hosts
    for tool in ("iptables", "ip6tables"):
        server.sh(tool, "-N", "DOCKER-USER")
    options = {"chain": "INPUT, DOCKER-USER", "protocol": "tcp,udp", "port": ",".join(map(str, range(1, 60, 2)))}
    act(server, "iptables-multiport", "start", ("10.0.0.1", 600), options=options)
    for tool in ("iptables", "ip6tables"):
        assert server.sh(tool, "-S", "DOCKER-USER").count("f2b-sshd") == 4
        assert server.sh(tool, "-S", "INPUT").count("f2b-sshd") == 4
    act(server, "iptables-multiport", "flush", options=options)
    for tool in ("iptables", "ip6tables"):
        assert "f2b" not in server.sh(tool, "-S")
        server.sh(tool, "-X", "DOCKER-USER")


def test_a_set_of_another_type_in_use_is_not_touched(hosts: tuple[Host, Host]) -> None:
    server, _ = hosts
    server.sh("ipset", "create", "f2b-sshd", "hash:ip")
    server.sh("iptables", "-A", "INPUT", "-m", "set", "--match-set", "f2b-sshd", "src", "-j", "DROP")
    with pytest.raises(ActionError, match=r"hash:ip.*name="):
        act(server, "ipset", "start", ("10.0.0.1", 600))


def test_a_sites_own_set_of_another_type_is_neither_rebuilt_nor_destroyed(hosts: tuple[Host, Host]) -> None:
    server, _ = hosts
    server.sh("ipset", "create", "f2b-sshd", "hash:ip")
    server.sh("ipset", "add", "f2b-sshd", "10.9.9.9")
    with pytest.raises(ActionError, match=r"hash:ip.*name="):
        act(server, "ipset", "start", ("10.0.0.1", 600))
    act(server, "ipset", "flush")
    assert "10.9.9.9" in server.sh("ipset", "list", "f2b-sshd")


def test_a_new_prefix_length_gets_a_set_when_it_comes(hosts: tuple[Host, Host]) -> None:
    server, _ = hosts
    act(server, "nftables", "start", ("10.0.0.1", 600))
    act(server, "nftables", "ban", ("10.0.0.0/24", 600), ("2001:db8::/48", 600))
    due = [("10.0.0.1", 600.0), ("10.0.0.0/24", 600.0), ("2001:db8::/48", 600.0)]
    assert counts(act(server, "nftables", "check", *due)) == (0, 0)
