"""A rule for each ban: what stands in the kernel, and real packets before, during and after a ban."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from guardhooks import ActionError, ActionSpec, ConfigError, Jail, Op
from guardhooks_core.actions.ipset import IpsetAction
from guardhooks_core.actions.iptables import IptablesAction

if TYPE_CHECKING:
    from tests.core.actions.firewall.conftest import Host

root = pytest.mark.root
V4, V6 = "198.51.100.1", "2001:db8:1::1"
NAME = "iptables-rules"


@pytest.fixture
def hosts(hosts: tuple[Host, Host]) -> Iterator[tuple[Host, Host]]:
    """Server and attacker, without chains of an earlier test."""
    yield hosts
    for tool in ("iptables", "ip6tables"):
        for command in ("-F", "-X"):
            hosts[0].sh(tool, command)


def act(server: Host, op: str, *ids: str, served: str = NAME, jail: str = "sshd", **options: str) -> dict[str, Any]:
    bans = [(id_, 3600) for id_ in ids]
    answer: dict[str, Any] = server.ask("act", name=served, options=options, op=op, bans=bans, jail=jail)
    return answer


def counts(outcome: dict[str, Any]) -> tuple[int, int]:
    return outcome["added"], outcome["removed"]


def rules(server: Host, chain: str = "f2b-sshd") -> list[str]:
    """The sources and targets in the chain, IPv4 and then IPv6."""
    lines = [line for tool in ("iptables", "ip6tables") for line in server.sh(tool, "-S", chain).splitlines()]
    return [line.partition(" -s ")[2] for line in lines if line.startswith("-A ")]


def reach(attacker: Host, source: str, port: int = 22, patience: float = 10.0) -> str:
    to = V6 if ":" in source else V4
    answer: str = attacker.ask("connect", source=source, to=to, port=port, patience=patience)
    return answer


@root
@pytest.mark.parametrize(
    ("banned", "offender", "other"),
    [
        ("198.51.100.2", "198.51.100.2", "198.51.100.3"),
        ("2001:db8:1::2", "2001:db8:1::2", "2001:db8:1::3"),
        ("198.51.100.2/31", "198.51.100.3", "2001:db8:1::2"),
        ("2001:db8:1::/64", "2001:db8:1::3", "2001:db8:2::2"),
    ],
)
def test_a_ban_keeps_out_whom_it_names_until_it_is_lifted(
    hosts: tuple[Host, Host], banned: str, offender: str, other: str
) -> None:
    server, attacker = hosts
    options = {"port": "22", "blocktype": "DROP"}
    act(server, "start", **options)
    assert reach(attacker, offender) == "open"
    act(server, "ban", banned, **options)
    assert reach(attacker, offender, patience=0.3) == "silence"
    assert reach(attacker, offender, 8080) == "open"
    assert reach(attacker, other) == "open"
    act(server, "unban", banned, **options)
    assert reach(attacker, offender) == "open"
    assert rules(server) == []


@root
@pytest.mark.parametrize("offender", ["198.51.100.2", "2001:db8:1::2"])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("iptables-rules", {"type": "allports"}),
        ("iptables-rules-allports", {"protocol": "all"}),
        ("iptables-allports", {"native": "rules"}),
        ("iptables-multiport", {"native": "rules", "port": "22,8080"}),
        ("iptables-new", {"native": "rules", "port": "1:65535"}),
        ("iptables", {"native": "rules", "type": "oneport", "port": "22,8080", "blocktype": "REJECT"}),
        ("iptables-rules", {"type": "allports", "blocktype": "REJECT --reject-with tcp-reset"}),
    ],
)
def test_all_forms_refuse(hosts: tuple[Host, Host], name: str, options: dict[str, str], offender: str) -> None:
    server, attacker = hosts
    act(server, "start", offender, served=name, **options)
    assert [reach(attacker, offender, port) for port in (22, 8080)] == ["refused", "refused"]
    assert counts(act(server, "check", offender, served=name, **options)) == (0, 0)
    act(server, "flush", served=name, **options)
    assert reach(attacker, offender) == "open"


REJECTS = [
    "icmp-port-unreachable",
    "icmp-host-unreachable",
    "icmp-net-unreachable",
    "icmp-admin-prohibited",
    "tcp-reset",
]


@root
@pytest.mark.parametrize("blocktype", ["DROP", "REJECT", *(f"REJECT --reject-with {kind}" for kind in REJECTS)])
def test_what_iptables_shows_is_recognised(hosts: tuple[Host, Host], blocktype: str) -> None:
    server, _ = hosts
    ids = ("10.0.0.1", "10.0.0.0/8", "2001:db8::1", "2001:db8:1::/64", "::ffff:0:0/96", "128.0.0.0/1")
    act(server, "start", *ids, blocktype=blocktype)
    assert counts(act(server, "check", *ids, blocktype=blocktype)) == (0, 0)


@root
def test_a_restart_keeps_what_is_due_and_removes_what_is_not(hosts: tuple[Host, Host]) -> None:
    server, _ = hosts
    act(server, "start", "10.0.0.1", "10.0.0.2", "2001:db8::/64")
    act(server, "stop")
    server.restart()
    assert counts(act(server, "start", "10.0.0.2", "10.0.0.3", "2001:db8::/64")) == (1, 1)
    assert [rule.split()[0] for rule in rules(server)] == ["10.0.0.2/32", "10.0.0.3/32", "2001:db8::/64"]


@root
@pytest.mark.parametrize(
    "damage",
    ["iptables -F", "iptables -F INPUT", "iptables -F f2b-sshd", "nft flush ruleset", "nft delete table ip filter"],
)
def test_check_repairs_what_was_flushed_behind_our_back(hosts: tuple[Host, Host], damage: str) -> None:
    server, attacker = hosts
    bans = ("198.51.100.2", "2001:db8:1::2")
    act(server, "start", *bans)
    server.sh(*damage.split())
    assert reach(attacker, "198.51.100.2") == "open"
    assert counts(act(server, "check", *bans)) != (0, 0)
    assert [reach(attacker, id_) for id_ in bans] == ["refused", "refused"]
    assert counts(act(server, "check", *bans)) == (0, 0)


@root
def test_a_ban_into_a_chain_that_is_gone_is_an_error_and_start_heals(hosts: tuple[Host, Host]) -> None:
    server, _ = hosts
    act(server, "start", "10.0.0.1")
    server.sh("nft", "flush", "ruleset")
    with pytest.raises(ActionError, match="vanished"):
        act(server, "ban", "10.0.0.2")
    assert act(server, "unban", "10.0.0.1")["failed"] == {}
    act(server, "start", "10.0.0.2")
    assert len(rules(server)) == 1


@root
def test_odd_rules_in_our_chain_go_and_those_of_others_stay(hosts: tuple[Host, Host]) -> None:
    server, _ = hosts
    server.sh("iptables", "-A", "INPUT", "-s", "203.0.113.1", "-j", "DROP")
    act(server, "start", "10.0.0.1")
    for odd in ("-s 10.0.0.9 -p udp -j DROP", "-j RETURN", "-s 10.0.0.1 -j ACCEPT"):
        server.sh("iptables", "-I", "f2b-sshd", *odd.split())
    act(server, "check", "10.0.0.1")
    assert rules(server) == ["10.0.0.1/32 -j REJECT --reject-with icmp-port-unreachable"]
    act(server, "flush")
    assert "-A INPUT -s 203.0.113.1/32 -j DROP" in server.sh("iptables", "-S")
    assert "f2b" not in server.sh("iptables", "-S")


@root
def test_doing_it_twice_is_doing_it_once(hosts: tuple[Host, Host]) -> None:
    server, _ = hosts
    act(server, "start")
    for _ in range(2):
        act(server, "ban", "10.0.0.1", "2001:db8::1")
    assert len(rules(server)) == 2
    for _ in range(2):
        act(server, "unban", "10.0.0.1", "2001:db8::1")
    assert rules(server) == []


@root
def test_a_changed_blocktype_and_port_move_the_rules(hosts: tuple[Host, Host]) -> None:
    server, attacker = hosts
    act(server, "start", "198.51.100.2", port="22")
    act(server, "start", "198.51.100.2", port="8080", blocktype="DROP")
    assert reach(attacker, "198.51.100.2") == "open"
    assert reach(attacker, "198.51.100.2", 8080, 0.3) == "silence"
    assert server.sh("iptables", "-S", "INPUT").count("f2b-sshd") == 1


@root
def test_jails_do_not_undo_each_others_bans(hosts: tuple[Host, Host]) -> None:
    server, attacker = hosts
    act(server, "start", "198.51.100.2", port="22")
    act(server, "start", "198.51.100.2", port="8080", jail="web")
    act(server, "flush", port="22")
    assert [reach(attacker, "198.51.100.2", port) for port in (22, 8080)] == ["open", "refused"]
    with pytest.raises(ActionError, match="belongs to jail web"):
        act(server, "start", jail="other", name="web")


@root
def test_rules_stand_in_each_chain(hosts: tuple[Host, Host]) -> None:
    server, _ = hosts
    for tool in ("iptables", "ip6tables"):
        server.sh(tool, "-N", "DOCKER-USER")
    options = {"chain": "INPUT, DOCKER-USER", "protocol": "tcp,udp", "port": ",".join(map(str, range(1, 60, 2)))}
    act(server, "start", "10.0.0.1", **options)
    for tool in ("iptables", "ip6tables"):
        for chain in ("DOCKER-USER", "INPUT"):
            assert server.sh(tool, "-S", chain).count("-j f2b-sshd") == 4
    act(server, "flush", **options)
    assert all("f2b" not in server.sh(tool, "-S") for tool in ("iptables", "ip6tables"))


@root
def test_chains_that_exist_are_served_at_once_and_the_missing_one_when_it_appears(hosts: tuple[Host, Host]) -> None:
    server, attacker = hosts
    options = {"chain": "INPUT, DOCKER-USER", "port": "22", "blocktype": "DROP"}
    outcome = act(server, "start", "10.0.0.1", **options)
    assert "no chain DOCKER-USER: rules are added when it appears" in outcome["problem"]
    assert outcome["failed"] == {}
    assert act(server, "ban", "198.51.100.2", **options)["failed"] == {}
    assert reach(attacker, "198.51.100.2", patience=0.3) == "silence"
    for tool in ("iptables", "ip6tables"):
        server.sh(tool, "-N", "DOCKER-USER")
    assert act(server, "check", "10.0.0.1", "198.51.100.2", **options)["problem"] == ""
    for tool in ("iptables", "ip6tables"):
        assert "f2b-sshd" in server.sh(tool, "-S", "DOCKER-USER")


@root
def test_before_the_only_chain_exists_bans_are_failing_and_named(hosts: tuple[Host, Host]) -> None:
    server, _ = hosts
    options = {"chain": "DOCKER-USER"}
    outcome = act(server, "start", "10.0.0.1", **options)
    assert "no chain DOCKER-USER" in outcome["failed"]["10.0.0.1"]
    assert "no chain DOCKER-USER" in outcome["problem"]
    server.sh("iptables", "-N", "DOCKER-USER")
    outcome = act(server, "check", "10.0.0.1", **options)
    assert (outcome["problem"], outcome["failed"]) == ("", {})
    assert "ip6tables has no chain DOCKER-USER" in outcome["warning"]
    assert list(act(server, "ban", "10.0.0.2", "2001:db8:1::2", **options)["failed"]) == ["2001:db8:1::2"]


@root
def test_a_chain_that_fail2ban_uses_is_not_touched(hosts: tuple[Host, Host]) -> None:
    server, _ = hosts
    theirs = [
        "-N f2b-sshd", "-A f2b-sshd -j RETURN", "-I f2b-sshd -s 10.0.0.1 -j DROP",
        "-I INPUT -p tcp -m multiport --dports 22 -j f2b-sshd",
    ]  # fmt: skip
    for rule in theirs:
        server.sh("iptables", *rule.split())
    before = server.sh("iptables", "-S")
    with pytest.raises(ActionError, match=r"not guardhooks' own.*name="):
        act(server, "start", "10.0.0.2")
    assert server.sh("iptables", "-S") == before
    server.sh("iptables", "-F", "INPUT")
    act(server, "start", "10.0.0.2")
    assert rules(server) == ["10.0.0.2/32 -j REJECT --reject-with icmp-port-unreachable"]


@root
def test_ten_thousand_in_one_batch_and_gone(hosts: tuple[Host, Host]) -> None:
    server, _ = hosts
    ids = [str(ipaddress.ip_address(0x0A000000 + 3 * i)) for i in range(10_000)]
    act(server, "start")
    act(server, "ban", *ids)
    assert counts(act(server, "check", *ids)) == (0, 0)
    act(server, "unban", *ids[:40])
    act(server, "unban", *ids[:9000], "192.0.2.99")
    assert counts(act(server, "check", *ids[9000:])) == (0, 0)


@root
@pytest.mark.parametrize(
    "id_", ["bob", "10.0.0.1; reboot", "0.0.0.0/0", "::/0", "10.0.0.1/8", "$(id)", "", "\nCOMMIT\n"]
)
def test_what_is_no_address_does_not_keep_others_from_being_banned(hosts: tuple[Host, Host], id_: str) -> None:
    server, _ = hosts
    act(server, "start", "10.0.0.1", id_)
    act(server, "ban", id_, "10.0.0.2")
    act(server, "unban", id_)
    assert counts(act(server, "check", "10.0.0.1", "10.0.0.2")) == (0, 0)


@root
@pytest.mark.parametrize("jail", ["a b;reboot", "$(id)", "--help", "x" * 200, "日本", '"', "\n*nat\n"])
def test_a_hostile_name_is_only_a_name(hosts: tuple[Host, Host], jail: str) -> None:
    server, _ = hosts
    act(server, "start", "10.0.0.1", jail=jail)
    assert counts(act(server, "check", "10.0.0.1", jail=jail)) == (0, 0)
    act(server, "flush", jail=jail)
    assert "f2b" not in server.sh("iptables", "-S")


@root
def test_without_privilege_the_error_says_which_is_needed(hosts: tuple[Host, Host]) -> None:
    nobody = type(hosts[0])(hosts[0].name)
    try:
        nobody.ask("become_nobody")
        with pytest.raises(ActionError, match="CAP_NET_ADMIN"):
            act(nobody, "start", "10.0.0.1")
    finally:
        nobody.close()


@pytest.mark.parametrize(
    ("name", "options", "by_rules", "by_sets"),
    [
        ("iptables-multiport", {}, False, True),
        ("iptables-multiport", {"native": "rules"}, True, False),
        ("iptables-multiport", {"native": "no"}, False, False),
        ("iptables-ipset", {"native": "rules"}, False, False),
        ("iptables-rules", {}, True, False),
        ("iptables-rules", {"native": "no"}, False, False),
    ],
)
def test_who_serves_a_name(name: str, options: dict[str, str], by_rules: bool, by_sets: bool) -> None:
    action = ActionSpec(name, name, {"name": "sshd", **options})
    served = [plugin.execute_action(Jail("sshd"), action, Op.STOP, []) for plugin in (IptablesAction(), IpsetAction())]
    assert served == [by_rules or None, by_sets or None]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ports": "22"}, r"did you mean port\?"),
        ({"blocktype": "RETURN", "returntype": "DROP"}, "native = no runs the file"),
    ],
)
def test_options_that_cannot_be_right_are_refused(options: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        IptablesAction().execute_action(Jail("sshd"), ActionSpec(NAME, NAME, {"name": "x", **options}), Op.START, [])


def findings(server: Host, *bans: str, address: str = "", **options: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = server.ask("findings", name=NAME, options=options, bans=bans, address=address)
    return found


def last(found: list[dict[str, Any]]) -> tuple[str, bool | None]:
    return found[-1]["level"], found[-1]["blocks"]


@root
def test_the_doctor_sees_what_is_there(hosts: tuple[Host, Host]) -> None:
    server, _ = hosts
    assert [each["level"] for each in findings(server, "10.0.0.1")] == ["bad"] * 3
    act(server, "start", "10.0.0.1", "10.1.0.0/16")
    assert [each["level"] for each in findings(server, "10.0.0.1", "10.1.0.0/16")] == ["good"] * 2
    assert "1 of 3 bans is not in the kernel" in findings(server, "10.0.0.1", "10.1.0.0/16", "10.0.0.3")[-1]["text"]
    assert last(findings(server, "10.0.0.1", address="10.0.0.1")) == ("good", True)
    assert last(findings(server, "10.1.0.0/16", address="10.1.2.3")) == ("good", True)
    assert last(findings(server, address="10.0.0.1")) == ("bad", True)
    assert last(findings(server, address="10.0.0.9")) == ("good", False)
    assert last(findings(server, "10.0.0.9", address="10.0.0.9")) == ("bad", False)


@root
def test_the_doctor_sees_what_stands_in_front(hosts: tuple[Host, Host]) -> None:
    server, _ = hosts
    act(server, "start", "10.0.0.1")
    server.sh("iptables", "-I", "INPUT", "-p", "tcp", "-j", "ACCEPT")
    assert last(findings(server, "10.0.0.1", address="10.0.0.1")) == ("bad", False)
    server.sh("iptables", "-F", "INPUT")
    assert last(findings(server, "10.0.0.1", address="10.0.0.1")) == ("bad", False)
