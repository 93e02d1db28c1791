"""Open connections under a firewall that lets established ones pass: before, during and after the cut."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from guardhooks import ActionError, ActionSpec, Ban, ConfigError, Jail, Op
from guardhooks_core.actions.conntrack import ConntrackAction
from guardhooks_core.actions.conntrack.kernel import _explain
from guardhooks_core.actions.firewall.netlink import NetlinkError

if TYPE_CHECKING:
    from tests.core.actions.firewall.conftest import Host

root = pytest.mark.root
V4, V6 = "198.51.100.1", "2001:db8:1::1"
PORT, OTHER_PORT = 9001, 9002
RULES = """
table inet fw {
  set bad4 { type ipv4_addr; flags interval; }
  set bad6 { type ipv6_addr; flags interval; }
  chain input { type filter hook input priority 0; policy accept;
    ct state established accept
    ip saddr @bad4 drop
    ip6 saddr @bad6 drop
  }
}
"""


@pytest.fixture(scope="module")
def _echo(_cable: tuple[Host, Host]) -> None:
    for port in (PORT, OTHER_PORT):
        _cable[0].ask("echo", port=port)


@pytest.fixture
def pair(hosts: tuple[Host, Host], _echo: None) -> tuple[Host, Host]:
    """Server and attacker; the server's firewall lets established connections pass."""
    hosts[0].sh("nft", RULES)
    return hosts


def firewall_ban(server: Host, id_: str) -> None:
    server.sh("nft", "add", "element", "inet", "fw", "bad6" if ":" in id_ else "bad4", "{", id_, "}")


def act(server: Host, op: str, *ids: str, **options: str) -> Any:  # noqa: ANN401 -- JSON
    return server.ask("act", name="conntrack", options=options, op=op, bans=[(id_, 600) for id_ in ids])


def connect(attacker: Host, source: str, port: int = PORT) -> int:
    number: int = attacker.ask("keep_connection", source=source, to=V6 if ":" in source else V4, port=port)
    return number


def talks(attacker: Host, connection: int) -> bool:
    answer: bool = attacker.ask("talk", connection=connection, patience=10)
    return answer


def is_cut(attacker: Host, connection: int) -> bool:
    return not attacker.ask("talk", connection=connection, patience=0.3)


def cut(server: Host, attacker: Host, connection: int, id_: str, **options: str) -> None:
    """What the server sends once more at the wrong moment opens the connection again: then the next cut does it."""
    for _ in range(20):
        act(server, "ban", id_, **options)
        if is_cut(attacker, connection):
            return
    pytest.fail("the connection lives on")


@root
@pytest.mark.parametrize(
    ("banned", "offender", "other"),
    [
        ("198.51.100.2", "198.51.100.2", "198.51.100.3"),
        ("2001:db8:1::2", "2001:db8:1::2", "2001:db8:1::3"),
        ("198.51.100.2/31", "198.51.100.3", "2001:db8:1::2"),
        ("2001:db8:1::2/127", "2001:db8:1::3", "198.51.100.2"),
    ],
)
def test_the_offenders_open_connection_is_cut(pair: tuple[Host, Host], banned: str, offender: str, other: str) -> None:
    server, attacker = pair
    act(server, "start")
    theirs, innocent = connect(attacker, offender), connect(attacker, other)
    assert talks(attacker, theirs)
    firewall_ban(server, banned)
    assert talks(attacker, theirs), "the firewall alone cuts it, so nothing is shown"
    cut(server, attacker, theirs, banned)
    assert talks(attacker, innocent)


@root
def test_only_connections_to_the_ports_are_cut(pair: tuple[Host, Host]) -> None:
    server, attacker = pair
    one, two = connect(attacker, "198.51.100.2", PORT), connect(attacker, "198.51.100.2", OTHER_PORT)
    firewall_ban(server, "198.51.100.2")
    cut(server, attacker, two, "198.51.100.2", port="9002,9100-9200", protocol="tcp")
    assert talks(attacker, one)
    act(server, "ban", "198.51.100.2", protocol="udp")
    assert talks(attacker, one)
    cut(server, attacker, one, "198.51.100.2", protocol="tcp")


@root
def test_many_offenders_in_one_batch(pair: tuple[Host, Host]) -> None:
    server, attacker = pair
    connections = [connect(attacker, source) for source in ("198.51.100.2", "198.51.100.3")]
    firewall_ban(server, "198.51.100.0/24")
    act(server, "ban", *(f"198.51.100.{last}" for last in range(2, 250)), "10.0.0.0/8", "2001:db8:9::/64")
    assert all(is_cut(attacker, connection) for connection in connections)


@root
def test_nothing_to_cut_and_no_table_at_all_are_successes(hosts: tuple[Host, Host]) -> None:
    server, _ = hosts
    for op in ("start", "ban", "ban", "check", "unban", "flush", "stop"):
        act(server, op, "203.0.113.7", "2001:db8:77::/64", "bob; reboot", "-rf", "$(id)", "\x1b[2J")


@root
def test_it_is_cut_again_when_the_other_actions_have_done_the_ban(pair: tuple[Host, Host]) -> None:
    server, attacker = pair
    theirs = connect(attacker, "198.51.100.2")
    act(server, "ban", "198.51.100.2")
    assert talks(attacker, theirs), "it was open again before the firewall's ban came"
    firewall_ban(server, "198.51.100.2")
    assert talks(attacker, theirs)
    for _ in range(20):
        server.ask("conntrack_on_ban", bans=["198.51.100.2"])
        if is_cut(attacker, theirs):
            return
    pytest.fail("the connection lives on")


@root
def test_the_doctor_counts_connections(pair: tuple[Host, Host]) -> None:
    server, attacker = pair
    connect(attacker, "198.51.100.3")
    asked = {"name": "conntrack", "options": {"port": str(PORT)}, "bans": []}
    assert server.ask("findings", **asked, address="")[0]["level"] == "good"
    text = server.ask("findings", **asked, address="198.51.100.3")[0]["text"]
    assert int(text.split()[3]) >= 1
    assert "knows 0 connections" in server.ask("findings", **asked, address="203.0.113.99")[0]["text"]


@root
def test_without_privilege_the_error_says_which_is_needed(hosts: tuple[Host, Host]) -> None:
    nobody = type(hosts[0])(hosts[0].name)
    try:
        nobody.ask("become_nobody")
        with pytest.raises(ActionError, match="CAP_NET_ADMIN"):
            act(nobody, "start")
    finally:
        nobody.close()


def test_a_missing_module_is_named() -> None:
    assert "module nf_conntrack_netlink" in str(_explain(NetlinkError(22, "Invalid argument")))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ports": "22"}, r"option 'ports' is unknown; did you mean port\?"),
        ({"colour": "red"}, "option 'colour' is unknown; it knows port, protocol"),
        ({"port": "nosuch"}, "'nosuch' is no number and no service"),
        ({"protocol": "icmp", "port": "22"}, "icmp has no ports"),
        ({"protocol": "\x1b[2J"}, r"\\x1b\[2j"),
    ],
)
def test_options_that_cannot_be_right_are_refused(options: dict[str, str], message: str) -> None:
    action = ActionSpec("conntrack", "conntrack", {"name": "sshd", **options}, place="jail.conf:3: [sshd] action")
    with pytest.raises(ConfigError, match=message) as caught:
        ConntrackAction().execute_action(action, Op.START, [])
    assert str(caught.value).startswith("jail.conf:3: [sshd] action: action conntrack: ")


def test_other_actions_are_not_its_business() -> None:
    plugin = ConntrackAction()
    assert plugin.execute_action(ActionSpec("route", "route"), Op.START, []) is None
    plugin.on_ban(Jail("sshd", actions=(ActionSpec("route", "route"),)), Ban("192.0.2.1", "sshd", 0, 1))
    plugin.on_stop()
