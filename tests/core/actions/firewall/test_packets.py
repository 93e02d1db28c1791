"""Real packets between two hosts: who gets in before, during and after a ban, with each plugin."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.core.actions.firewall.conftest import Host

pytestmark = pytest.mark.root

V4, V6 = "198.51.100.1", "2001:db8:1::1"
BOTH = pytest.mark.parametrize("name", ["nftables", "ipset"])


def start(server: Host, name: str, options: dict[str, str], *bans: tuple[str, float]) -> dict[str, Any]:
    answer: dict[str, Any] = server.ask("act", name=name, options=options, op="start", bans=bans)
    return answer


def act(
    server: Host, name: str, op: str, *bans: tuple[str, float], options: dict[str, str] | None = None
) -> dict[str, Any]:
    answer: dict[str, Any] = server.ask("act", name=name, options=options or {}, op=op, bans=bans)
    return answer


def reach(attacker: Host, source: str, port: int = 22, patience: float = 5.0) -> str:
    """`open`, `refused` or `silence`; over IPv6 the kernel takes a refusal for granted only at its second try."""
    to = V6 if ":" in source else V4
    answer: str = attacker.ask("connect", source=source, to=to, port=port, patience=patience)
    return answer


def drops(attacker: Host, source: str, port: int = 22) -> bool:
    return reach(attacker, source, port, patience=0.3) == "silence"


@BOTH
@pytest.mark.parametrize(
    ("banned", "offender", "other"),
    [
        ("198.51.100.2", "198.51.100.2", "198.51.100.3"),
        ("2001:db8:1::2", "2001:db8:1::2", "2001:db8:1::3"),
        ("2001:db8:1::/64", "2001:db8:1::3", "2001:db8:2::2"),
        ("198.51.100.2/31", "198.51.100.3", "2001:db8:1::2"),
    ],
)
def test_a_ban_keeps_out_whom_it_names_until_it_is_lifted(
    hosts: tuple[Host, Host], name: str, banned: str, offender: str, other: str
) -> None:
    server, attacker = hosts
    options = {"port": "22", "blocktype": "DROP"}
    start(server, name, options)
    assert reach(attacker, offender) == "open"
    act(server, name, "ban", (banned, 600), options=options)
    assert drops(attacker, offender)
    assert reach(attacker, offender, 8080) == "open"
    assert reach(attacker, other) == "open"
    act(server, name, "unban", (banned, 600), options=options)
    assert reach(attacker, offender) == "open"


@BOTH
@pytest.mark.parametrize("offender", ["198.51.100.2", "2001:db8:1::2"])
@pytest.mark.parametrize(
    "options",
    [
        {"type": "allports"},
        {"type": "allports", "blocktype": "REJECT --reject-with tcp-reset"},
    ],
)
def test_all_ports_refuse(hosts: tuple[Host, Host], name: str, offender: str, options: dict[str, str]) -> None:
    server, attacker = hosts
    start(server, name, options, (offender, 600))
    assert [reach(attacker, offender, port) for port in (22, 8080)] == ["refused", "refused"]


@BOTH
@pytest.mark.parametrize("offender", ["198.51.100.2", "2001:db8:1::2"])
@pytest.mark.parametrize(
    "options",
    [
        {"port": "0:65535", "blocktype": "drop"},
        {"port": "8080,1-100", "protocol": "tcp,udp", "blocktype": "DROP"},
        {"type": "allports", "protocol": "all", "blocktype": "DROP"},
    ],
)
def test_all_ports_are_silent(hosts: tuple[Host, Host], name: str, offender: str, options: dict[str, str]) -> None:
    server, attacker = hosts
    start(server, name, options, (offender, 600))
    assert drops(attacker, offender, 22)
    assert drops(attacker, offender, 8080)


@BOTH
def test_blocktype_may_differ_by_family(hosts: tuple[Host, Host], name: str) -> None:
    server, attacker = hosts
    options = {"type": "allports", "blocktype": "DROP", "blocktype?family=inet6": "REJECT"}
    start(server, name, options, ("198.51.100.2", 600), ("2001:db8:1::2", 600))
    assert drops(attacker, "198.51.100.2")
    assert reach(attacker, "2001:db8:1::2") == "refused"


@BOTH
@pytest.mark.parametrize("offender", ["198.51.100.2", "2001:db8:1::2"])
def test_a_ban_ends_in_the_kernel_without_the_daemon(hosts: tuple[Host, Host], name: str, offender: str) -> None:
    server, attacker = hosts
    start(server, name, {"port": "22", "blocktype": "drop"})
    act(server, name, "ban", (offender, 2.5))
    assert drops(attacker, offender)
    deadline = time.monotonic() + 20
    while drops(attacker, offender) and time.monotonic() < deadline:
        pass
    assert reach(attacker, offender) == "open"


def holds(server: Host, name: str, address: str) -> bool:
    listing = server.sh("nft", "list", "ruleset") if name == "nftables" else server.sh("ipset", "list")
    return address in listing


@BOTH
def test_an_address_inside_a_banned_prefix_has_a_ban_of_its_own(hosts: tuple[Host, Host], name: str) -> None:
    server, attacker = hosts
    start(server, name, {"port": "22"}, ("198.51.100.0/24", 600))
    act(server, name, "ban", ("198.51.100.2", 600))
    act(server, name, "unban", ("198.51.100.0/24", 600))
    assert (reach(attacker, "198.51.100.2"), reach(attacker, "198.51.100.3")) == ("refused", "open")


@BOTH
def test_bans_stay_over_a_stop_and_a_start_of_the_daemon(hosts: tuple[Host, Host], name: str) -> None:
    server, attacker = hosts
    start(server, name, {"port": "22"}, ("198.51.100.2", 600))
    act(server, name, "stop", ("198.51.100.2", 600))
    server.restart()
    assert holds(server, name, "198.51.100.2")
    assert reach(attacker, "198.51.100.2") == "refused"
    outcome = start(server, name, {"port": "22"}, ("198.51.100.2", 600))
    assert (outcome["added"], outcome["removed"]) == (0, 0)


@BOTH
def test_start_removes_strangers_and_adopts_what_is_due(hosts: tuple[Host, Host], name: str) -> None:
    server, attacker = hosts
    start(server, name, {"port": "22"}, ("198.51.100.2", 600), ("2001:db8:1::2", 600))
    server.restart()
    outcome = start(server, name, {"port": "22"}, ("198.51.100.3", 600), ("2001:db8:1::2", 600))
    assert (outcome["added"], outcome["removed"]) == (1, 1)
    sources = ("198.51.100.2", "198.51.100.3", "2001:db8:1::2", "2001:db8:2::2")
    assert [reach(attacker, source) for source in sources] == ["open", "refused", "refused", "open"]


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("nftables", "nft flush ruleset"),
        ("nftables", "nft flush chain inet guardhooks prerouting"),
        ("nftables", "nft flush chain inet guardhooks f2b-sshd"),
        ("nftables", "nft flush set inet guardhooks f2b-sshd-4-32"),
        ("ipset", "ipset flush"),
        ("ipset", "iptables -F INPUT"),
        ("ipset", "iptables -F"),
    ],
)
def test_check_repairs_what_was_flushed_behind_our_back(hosts: tuple[Host, Host], name: str, damage: str) -> None:
    server, attacker = hosts
    bans = [("198.51.100.2", float("inf")), ("2001:db8:1::2", float("inf"))]
    start(server, name, {"port": "22"}, *bans)
    server.sh(*damage.split())
    assert reach(attacker, "198.51.100.2") == "open"
    repaired = act(server, name, "check", *bans, options={"port": "22"})
    assert repaired["added"] > 0
    assert [reach(attacker, id_) for id_, _ in bans] == ["refused", "refused"]
    again = act(server, name, "check", *bans, options={"port": "22"})
    assert (again["added"], again["removed"]) == (0, 0)


@BOTH
def test_flush_lifts_everything_and_leaves_nothing_behind(hosts: tuple[Host, Host], name: str) -> None:
    server, attacker = hosts
    start(server, name, {"port": "22"}, ("198.51.100.2", 600), ("10.0.0.0/8", 600))
    act(server, name, "flush", options={"port": "22"})
    assert reach(attacker, "198.51.100.2") == "open"
    left = server.sh("nft", "list", "ruleset") + server.sh("ipset", "list") + server.sh("iptables", "-S")
    assert "f2b" not in left
    assert "guardhooks" not in left


@BOTH
def test_flush_leaves_the_bans_of_other_jails(hosts: tuple[Host, Host], name: str) -> None:
    server, attacker = hosts
    start(server, name, {"port": "22"}, ("198.51.100.2", 600))
    server.ask("act", name=name, options={"port": "8080"}, op="start", bans=[("198.51.100.2", 600)], jail="web")
    act(server, name, "flush", options={"port": "22"})
    assert [reach(attacker, "198.51.100.2", port) for port in (22, 8080)] == ["open", "refused"]


@BOTH
def test_a_changed_port_moves_the_rules_and_keeps_the_bans(hosts: tuple[Host, Host], name: str) -> None:
    server, attacker = hosts
    start(server, name, {"port": "22"}, ("198.51.100.2", 600))
    start(server, name, {"port": "8080"}, ("198.51.100.2", 600))
    assert [reach(attacker, "198.51.100.2", port) for port in (22, 8080)] == ["open", "refused"]


@BOTH
def test_a_changed_size_keeps_the_bans(hosts: tuple[Host, Host], name: str) -> None:
    server, attacker = hosts
    bans = [(id_, float("inf")) for id_ in ("198.51.100.2", "10.0.0.1", "2001:db8:1::2")]
    start(server, name, {"port": "22", "maxelem": "1000"}, *bans)
    start(server, name, {"port": "22", "maxelem": "2000"}, *bans)
    assert [reach(attacker, id_) for id_ in ("198.51.100.2", "2001:db8:1::2")] == ["refused", "refused"]
    again = act(server, name, "check", *bans, options={"port": "22", "maxelem": "2000"})
    assert (again["added"], again["removed"]) == (0, 0)


def test_the_port_is_the_one_that_the_world_sees_before_address_translation(hosts: tuple[Host, Host]) -> None:
    server, attacker = hosts
    rules = "add table inet nat; add chain inet nat pre { type nat hook prerouting priority dstnat; }; "
    server.sh("nft", rules + "add rule inet nat pre tcp dport 2222 redirect to :22")
    start(server, "nftables", {"port": "2222"}, ("198.51.100.2", 600))
    assert [reach(attacker, "198.51.100.2", port) for port in (2222, 22)] == ["refused", "open"]
    assert reach(attacker, "198.51.100.3", 2222) == "open"


def test_where_prerouting_cannot_reject_input_and_forward_do(hosts: tuple[Host, Host]) -> None:
    server, attacker = hosts
    start(server, "nftables", {"port": "22"}, ("198.51.100.2", 600))
    server.ask("restart", old_kernel=True)
    start(server, "nftables", {"port": "22"}, ("198.51.100.2", 600), ("2001:db8:1::2", 600))
    assert [reach(attacker, id_) for id_ in ("198.51.100.2", "2001:db8:1::2")] == ["refused", "refused"]
    ruleset = server.sh("nft", "list", "ruleset")
    assert all(f"hook {hook} priority filter - 10" in ruleset for hook in ("input", "forward"))
    assert ruleset.count("jump f2b-sshd") == 2
