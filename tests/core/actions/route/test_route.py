"""Routes in a real kernel, and real packets: who gets in before, during and after a ban."""

from __future__ import annotations

import ipaddress
import json
from typing import TYPE_CHECKING, Any

import pytest

from guardhooks import ActionError, ActionSpec, ConfigError, Jail, Op
from guardhooks_core.actions.route import RouteAction

if TYPE_CHECKING:
    from tests.core.actions.firewall.conftest import Host

root = pytest.mark.root
V4, V6 = "198.51.100.1", "2001:db8:1::1"
LONG = 3600.0


def act(server: Host, op: str, *ids: str, jail: str = "sshd", **options: str) -> dict[str, Any]:
    bans = [(id_, LONG) for id_ in ids]
    answer: dict[str, Any] = server.ask("act", name="route", options=options, op=op, bans=bans, jail=jail)
    return answer


def counts(outcome: dict[str, Any]) -> tuple[int, int]:
    return outcome["added"], outcome["removed"]


def routes(server: Host) -> list[str]:
    """Routes of ours as `KIND DESTINATION`."""
    found = []
    for family in ("-4", "-6"):
        listing = json.loads(server.sh("ip", "-j", family, "route", "show", "proto", "242") or "[]")
        found += [f"{route.get('type', 'unicast')} {route['dst']}" for route in listing]
    return sorted(found)


def gets_in(attacker: Host, source: str, patience: float = 10.0) -> bool:
    to = V6 if ":" in source else V4
    answer = attacker.ask("connect", source=source, to=to, port=22, patience=patience)
    return bool(answer == "open")


@pytest.fixture(autouse=True)
def _no_routes(request: pytest.FixtureRequest) -> None:
    if "hosts" in request.fixturenames:
        for family in ("-4", "-6"):
            request.getfixturevalue("hosts")[0].sh("ip", family, "route", "flush", "proto", "242")


@root
@pytest.mark.parametrize("kind", ["", "blackhole", "unreachable", "prohibit"])
@pytest.mark.parametrize(
    ("banned", "offender", "other"),
    [
        ("198.51.100.2", "198.51.100.2", "198.51.100.3"),
        ("2001:db8:1::2", "2001:db8:1::2", "2001:db8:1::3"),
        ("198.51.100.2/31", "198.51.100.3", "2001:db8:1::2"),
        ("2001:db8:1::2/127", "2001:db8:1::2", "2001:db8:2::2"),
    ],
)
def test_a_ban_keeps_out_whom_it_names_until_it_is_lifted(
    hosts: tuple[Host, Host], kind: str, banned: str, offender: str, other: str
) -> None:
    server, attacker = hosts
    options = {"blocktype": kind} if kind else {}
    act(server, "start", **options)
    assert gets_in(attacker, offender)
    act(server, "ban", banned, **options)
    assert routes(server) == [f"{kind or 'unreachable'} {banned}"]
    assert not gets_in(attacker, offender, 0.3)
    assert gets_in(attacker, other)
    act(server, "unban", banned, **options)
    assert gets_in(attacker, offender)
    assert routes(server) == []


@root
def test_a_restart_keeps_what_is_due_and_removes_what_is_not(hosts: tuple[Host, Host]) -> None:
    server, _ = hosts
    act(server, "start", "192.0.2.1", "192.0.2.2", "2001:db8:9::/64")
    act(server, "stop")
    server.restart()
    assert counts(act(server, "start", "192.0.2.2", "192.0.2.3", "2001:db8:9::/64")) == (1, 1)
    assert routes(server) == ["unreachable 192.0.2.2", "unreachable 192.0.2.3", "unreachable 2001:db8:9::/64"]
    assert counts(act(server, "check", "192.0.2.2", "192.0.2.3", "2001:db8:9::/64")) == (0, 0)


@root
def test_check_repairs_what_was_removed_behind_our_back(hosts: tuple[Host, Host]) -> None:
    server, attacker = hosts
    act(server, "start", "198.51.100.2", "2001:db8:1::2")
    for family in ("-4", "-6"):
        server.sh("ip", family, "route", "flush", "proto", "242")
    assert gets_in(attacker, "198.51.100.2")
    assert counts(act(server, "check", "198.51.100.2", "2001:db8:1::2")) == (2, 0)
    assert not gets_in(attacker, "198.51.100.2", 0.3)


@root
def test_a_changed_kind_changes_the_routes(hosts: tuple[Host, Host]) -> None:
    server, _ = hosts
    act(server, "start", "192.0.2.1", "2001:db8:9::1")
    assert counts(act(server, "start", "192.0.2.1", "2001:db8:9::1", blocktype="blackhole")) == (2, 0)
    assert routes(server) == ["blackhole 192.0.2.1", "blackhole 2001:db8:9::1"]


@root
def test_doing_it_twice_is_doing_it_once(hosts: tuple[Host, Host]) -> None:
    server, _ = hosts
    act(server, "start")
    for _ in range(2):
        act(server, "ban", "192.0.2.1", "2001:db8:9::1")
    assert routes(server) == ["unreachable 192.0.2.1", "unreachable 2001:db8:9::1"]
    for _ in range(2):
        act(server, "unban", "192.0.2.1", "2001:db8:9::1")
    assert routes(server) == []


@root
def test_routes_of_others_are_not_touched(hosts: tuple[Host, Host]) -> None:
    server, _ = hosts
    theirs = ["unreachable 203.0.113.1", "blackhole 203.0.113.2 proto 242 metric 7", "prohibit 2001:db8:aa::1"]
    for route in theirs:
        server.sh("ip", "route", "add", *route.split())
    before = server.sh("ip", "route") + server.sh("ip", "-6", "route")
    act(server, "start", "192.0.2.1", "203.0.113.1", "203.0.113.2", "2001:db8:aa::1")
    act(server, "unban", "203.0.113.1", "2001:db8:aa::1")
    act(server, "flush")
    try:
        assert server.sh("ip", "route") + server.sh("ip", "-6", "route") == before
    finally:
        for route in theirs:
            server.sh("ip", "route", "del", *route.split())


@root
def test_two_jails_that_ban_one_address_do_not_unban_each_other(hosts: tuple[Host, Host]) -> None:
    server, attacker = hosts
    for jail in ("sshd", "web"):
        act(server, "start", "198.51.100.2", jail=jail)
    act(server, "unban", "198.51.100.2", jail="sshd")
    assert not gets_in(attacker, "198.51.100.2", 0.3)
    act(server, "flush", jail="sshd")
    assert not gets_in(attacker, "198.51.100.2", 0.3)
    act(server, "flush", jail="web")
    assert gets_in(attacker, "198.51.100.2")


@root
def test_ten_thousand_in_one_batch_and_gone(hosts: tuple[Host, Host]) -> None:
    server, _ = hosts
    ids = [str(ipaddress.ip_address(0x0A000000 + 3 * i)) for i in range(10_000)]
    v6 = [f"2001:db8:{i + 1:x}::/64" for i in range(100, 2000)]
    act(server, "start")
    act(server, "ban", *ids, *v6)
    assert counts(act(server, "check", *ids, *v6)) == (0, 0)
    act(server, "unban", *ids, "192.0.2.99")
    assert counts(act(server, "check", *v6)) == (0, 0)


@root
@pytest.mark.parametrize("id_", ["bob", "10.0.0.1; reboot", "0.0.0.0/0", "::/0", "10.0.0.1/8", "$(id)", "", "-rf"])
def test_what_is_no_address_does_not_keep_others_from_being_banned(hosts: tuple[Host, Host], id_: str) -> None:
    server, _ = hosts
    act(server, "start", "192.0.2.1", id_)
    act(server, "ban", id_, "192.0.2.2")
    act(server, "unban", id_)
    assert routes(server) == ["unreachable 192.0.2.1", "unreachable 192.0.2.2"]


@root
def test_without_privilege_the_error_says_which_is_needed(hosts: tuple[Host, Host]) -> None:
    nobody = type(hosts[0])(hosts[0].name)
    try:
        nobody.ask("become_nobody")
        with pytest.raises(ActionError, match="CAP_NET_ADMIN"):
            act(nobody, "start", "192.0.2.1")
    finally:
        nobody.close()


def findings(server: Host, *bans: str, address: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = server.ask("findings", name="route", options={}, bans=bans, address=address)
    return found


@root
@pytest.mark.parametrize("address", ["198.51.100.2", "2001:db8:1::2"])
@pytest.mark.parametrize("kind", ["blackhole", "unreachable", "prohibit"])
def test_the_doctor_sees_what_is_there(hosts: tuple[Host, Host], address: str, kind: str) -> None:
    server, _ = hosts
    act(server, "start", blocktype=kind)
    assert [each["level"] for each in findings(server, address)] == ["good", "bad"]
    assert findings(server, address, address=address)[-1]["blocks"] is False
    act(server, "ban", address, blocktype=kind)
    assert [each["level"] for each in findings(server, address)] == ["good"]
    found = findings(server, address, address=address)[-1]
    assert (found["level"], found["blocks"]) == ("good", True), found
    device = server.sh("ip", "-o", "route", "get", "198.51.100.3").split(" dev ")[1].split()[0]
    server.sh("ip", "route", "add", address, "dev", device, "metric", "5")
    try:
        found = findings(server, address, address=address)[-1]
        assert (found["level"], found["blocks"]) == ("bad", False), found
    finally:
        server.sh("ip", "route", "del", address, "dev", device, "metric", "5")


STOCK = {
    "actionban": "ip route add unreachable <ip>",
    "actionunban": "ip route del unreachable <ip>",
    "actionstart": "",
}


@pytest.mark.parametrize(
    ("options", "properties"),
    [
        ({"native": "no"}, STOCK),
        ({}, {**STOCK, "actionban": "ip route add unreachable <ip> && logger banned"}),
        ({}, {**STOCK, "actionstart": "touch /run/started"}),
        ({"actionban": "true"}, STOCK),
        ({"table": "7"}, STOCK),
    ],
)
def test_a_file_of_the_sites_own_is_left_to_the_shell(options: dict[str, str], properties: dict[str, str]) -> None:
    action = ActionSpec(
        "route", "route", {"name": "sshd", **options}, {"blocktype": "unreachable", **properties}, "/etc/route.conf"
    )
    assert RouteAction().execute_action(Jail("sshd"), action, Op.START, []) is None


def test_the_file_in_the_box_only_tells_of_parameters() -> None:
    action = ActionSpec(
        "route", "route", {"name": "sshd", "blocktyp": "x"}, {"blocktype": "unreachable"}, "/config/route.conf"
    )
    with pytest.raises(ConfigError, match="did you mean blocktype"):
        RouteAction().execute_action(Jail("sshd"), action, Op.START, [])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"blocktyp": "blackhole"}, r"option 'blocktyp' is unknown; did you mean blocktype\?"),
        ({"blocktype": "throw"}, "blocktype = 'throw' is none of blackhole, unreachable, prohibit"),
        ({"blocktype": "via 192.0.2.1\n"}, "blocktype = 'via 192.0.2.1' is none of"),
    ],
)
def test_options_that_cannot_be_right_are_refused(options: dict[str, str], message: str) -> None:
    action = ActionSpec("route", "route", {"name": "sshd", **options}, place="jail.conf:3: [sshd] action")
    with pytest.raises(ConfigError, match=message):
        RouteAction().execute_action(Jail("sshd"), action, Op.START, [])
