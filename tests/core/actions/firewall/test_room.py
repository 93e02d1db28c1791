"""Sets that are too small: what fits is in force, what does not is named, neighbours become prefixes if they may."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.core.actions.firewall.conftest import Host

pytestmark = pytest.mark.root

BOTH = pytest.mark.parametrize("name", ["nftables", "ipset"])
HOUR = 3600.0
QUIET = {"nftables": 0.2, "ipset": 1.2}
"""Seconds in which what is noticed is noticed: the kernel tells of nftables, and sets of ipset are counted."""


class Action:
    """One action on a host whose sets hold `maxelem` entries."""

    def __init__(self, host: Host, plugin: str, maxelem: int, **options: str) -> None:
        self._host, self._name, self._options = host, plugin, {"maxelem": str(maxelem), **options}

    def do(self, op: str, *ids: str, length: float = HOUR) -> dict[str, Any]:
        bans = [(id_, length) for id_ in ids]
        answer: dict[str, Any] = self._host.ask("act", name=self._name, options=self._options, op=op, bans=bans)
        return answer

    @property
    def held(self) -> set[str]:
        """What the kernel's sets hold, by the kernel's tools."""
        if self._name == "ipset":
            lines = self._host.sh("ipset", "save").splitlines()
            return {line.split()[2] for line in lines if line.startswith("add ")}
        found = set()
        listed = self._host.sh("nft", "-j", "list", "ruleset")
        for each in json.loads(listed)["nftables"]:
            for element in each.get("set", {}).get("elem", []):
                address = element["elem"]["val"] if isinstance(element, dict) else element
                length = each["set"]["name"].rsplit("-", 1)[1]
                found.add(address if length in {"32", "128"} else f"{address}/{length}")
        return found


def spread(number: int) -> list[str]:
    """Addresses that have no neighbours."""
    return [f"10.{n}.0.1" for n in range(number)]


@BOTH
def test_what_fits_is_in_force_and_the_rest_is_named_with_the_remedy(hosts: tuple[Host, Host], name: str) -> None:
    action = Action(hosts[0], name, 5)
    action.do("start", *spread(3))
    failed = action.do("ban", *spread(8)[3:])["failed"]
    assert len(action.held) == 5
    assert set(failed) == set(spread(8)) - action.held
    assert all("is full, maxelem=5 reached: set a greater maxelem=" in reason for reason in failed.values())
    checked = action.do("check", *spread(8))
    assert (checked["added"], checked["removed"]) == (0, 0)
    assert checked["failed"] == failed
    assert len(action.held) == 5


@BOTH
def test_room_that_a_lifted_ban_leaves_is_taken(hosts: tuple[Host, Host], name: str) -> None:
    action = Action(hosts[0], name, 3)
    action.do("start", *spread(3))
    assert set(action.do("ban", "10.9.0.1")["failed"]) == {"10.9.0.1"}
    action.do("unban", "10.0.0.1")
    assert action.do("ban", "10.9.0.1")["failed"] == {}
    assert action.held == {"10.1.0.1", "10.2.0.1", "10.9.0.1"}


@BOTH
def test_a_start_with_more_bans_than_room_puts_in_what_fits(hosts: tuple[Host, Host], name: str) -> None:
    action = Action(hosts[0], name, 50)
    assert len(action.do("start", *spread(200))["failed"]) == 150
    assert len(action.held) == 50


@BOTH
def test_a_set_that_is_nearly_full_warns_until_it_has_room(hosts: tuple[Host, Host], name: str) -> None:
    action = Action(hosts[0], name, 10)
    assert action.do("start", *spread(7))["warning"] == ""
    assert "is 80 % full: 8 of 10 entries" in action.do("ban", "10.200.0.1")["warning"]
    action.do("unban", "10.200.0.1", "10.0.0.1")
    assert action.do("check", *spread(7)[1:])["warning"] == ""


@BOTH
def test_neighbours_are_merged_only_as_wide_as_needed(hosts: tuple[Host, Host], name: str) -> None:
    hosts[0].restart(refused=[])
    action = Action(hosts[0], name, 4, aggregate="yes")
    action.do("start", "10.0.0.4", "10.0.0.5", "10.1.0.1", "10.2.0.1")
    assert action.held == {"10.0.0.4", "10.0.0.5", "10.1.0.1", "10.2.0.1"}
    assert action.do("ban", "10.3.0.1", "10.1.0.0")["failed"] == {}
    singles, prefixes = {each for each in action.held if "/" not in each}, {e for e in action.held if "/" in e}
    assert prefixes <= {"10.0.0.4/31", "10.1.0.0/31"}
    assert prefixes
    assert len(singles) <= 4
    everyone = ("10.0.0.4", "10.0.0.5", "10.1.0.1", "10.1.0.0", "10.2.0.1", "10.3.0.1")
    checked = action.do("check", *everyone)
    assert (checked["added"], checked["removed"], checked["failed"]) == (0, 0, {})


@BOTH
def test_a_merged_prefix_is_split_again_when_a_member_is_lifted(hosts: tuple[Host, Host], name: str) -> None:
    action = Action(hosts[0], name, 2, aggregate="yes")
    action.do("start", "10.0.0.4", "10.0.0.5", "10.0.0.6")
    assert any("/" in each for each in action.held)
    action.do("unban", "10.0.0.5")
    assert action.held == {"10.0.0.4", "10.0.0.6"}
    checked = action.do("check", "10.0.0.4", "10.0.0.6")
    assert (checked["added"], checked["removed"]) == (0, 0)


@BOTH
def test_a_merged_prefix_that_somebody_removed_is_put_back(hosts: tuple[Host, Host], name: str) -> None:
    action = Action(hosts[0], name, 1, aggregate="yes")
    members = [f"10.0.0.{n}" for n in range(4)]
    action.do("start", *members)
    assert action.held == {"10.0.0.0/30"}
    hosts[0].sh(*("ipset flush" if name == "ipset" else "nft flush set inet guardhooks f2b-sshd-4-30").split())
    assert action.do("check", *members)["added"] == 4
    assert action.held == {"10.0.0.0/30"}


@BOTH
def test_merging_never_hits_who_must_not_be_banned_nor_grows_too_wide(hosts: tuple[Host, Host], name: str) -> None:
    hosts[0].restart(refused=["10.0.0.6/32", "2001:db8:0:1::/64"])
    action = Action(hosts[0], name, 1, aggregate="yes")
    apart = ("10.0.0.4", "10.0.0.7", "10.1.0.1", "10.1.1.1")
    v6 = ["2001:db8:0:2::/64", "2001:db8:0:3::/64", "2001:db8:0:4::/64"]
    failed = action.do("start", *apart, *v6)["failed"]
    assert {each for each in action.held if each.startswith("10.")} == {"10.0.0.4"}
    # A set of ipset's holds all prefix lengths, one of nftables only one.
    assert {each for each in action.held if ":" in each} == {
        "2001:db8:0:2::/63",
        *(v6[2:] if name == "nftables" else ()),
    }
    assert set(failed) == {*apart[1:], *(v6[2:] if name == "ipset" else ())}


@BOTH
def test_after_a_restart_merged_prefixes_are_known_as_ours(hosts: tuple[Host, Host], name: str) -> None:
    action = Action(hosts[0], name, 2, aggregate="yes", strangers="adopt")
    ids = ("10.0.0.4", "10.0.0.5", "10.0.0.6", "10.9.0.1")
    action.do("start", *ids)
    before = action.held
    assert any("/" in each for each in before)
    hosts[0].restart()
    again = action.do("start", *ids)
    assert (again["found"], again["failed"], action.held) == ({}, {}, before)
    action.do("unban", *ids[1:3])
    assert action.do("check", ids[0], ids[3])["found"] == {}
    assert action.held == {ids[0], ids[3]}


@BOTH
def test_strangers_are_removed_or_adopted(hosts: tuple[Host, Host], name: str) -> None:
    for strangers, found in (("remove", {}), ("adopt", {"10.7.0.1": 600})):
        action = Action(hosts[0], name, 100, strangers=strangers)
        action.do("start", "10.0.0.1")
        if name == "ipset":
            hosts[0].sh("ipset", "add", "f2b-sshd", "10.7.0.1", "timeout", "600")
        else:
            hosts[0].sh("nft", "add element inet guardhooks f2b-sshd-4-32 { 10.7.0.1 timeout 600s }")
        checked = action.do("check", "10.0.0.1")
        assert checked["found"] == pytest.approx(found, abs=60)
        assert checked["removed"] == (1 if strangers == "remove" else 0)
        assert action.held == {"10.0.0.1", *found}
        assert action.do("check", "10.0.0.1", *found)["found"] == {}


@BOTH
def test_after_the_ledger_was_lost_the_first_start_finds_all_and_removes_nothing(
    hosts: tuple[Host, Host], name: str
) -> None:
    action = Action(hosts[0], name, 1000)
    everyone = {"10.0.0.1", "10.1.0.0/24", "2001:db8::/64"}
    action.do("start", *everyone)
    action.do("ban", "10.3.0.1", length=float("inf"))
    hosts[0].restart(adopting=True)
    started = action.do("start")
    assert set(started["found"]) == {*everyone, "10.3.0.1"}
    assert started["found"]["10.3.0.1"] == float("inf")
    assert started["removed"] == 0
    assert action.held == {*everyone, "10.3.0.1"}


@pytest.mark.parametrize(
    ("name", "meddling"),
    [
        ("nftables", "nft flush ruleset"),
        ("nftables", "nft delete table inet guardhooks"),
        ("nftables", "nft delete element inet guardhooks f2b-sshd-4-32 { 10.0.0.1 }"),
        ("nftables", "nft add element inet guardhooks f2b-sshd-4-32 { 10.7.0.1 }"),
        ("nftables", "nft flush chain inet guardhooks prerouting"),
        ("ipset", "ipset flush f2b-sshd"),
        ("ipset", "ipset del f2b-sshd 10.0.0.1"),
        ("ipset", "ipset add f2b-sshd 10.7.0.1"),
        ("ipset", "iptables -F"),
        ("ipset", "ip6tables -F INPUT"),
        ("ipset", "nft flush ruleset"),
    ],
)
def test_what_others_change_is_noticed_and_what_we_change_is_not(
    hosts: tuple[Host, Host], name: str, meddling: str
) -> None:
    host = hosts[0]
    action = Action(host, name, 1000)
    action.do("start", "10.0.0.1", "2001:db8::/64")
    action.do("ban", "10.0.0.2", "10.0.0.3", "10.0.1.0/24")
    action.do("unban", "10.0.0.3")
    due = ("10.0.0.1", "10.0.0.2", "2001:db8::/64", "10.0.1.0/24")
    action.do("check", *due)
    assert not host.ask("asked", patience=QUIET[name])
    host.sh(*meddling.split())
    assert host.ask("asked", patience=20)
    action.do("check", *due)
    assert action.held == set(due)
    host.ask("asked", patience=0)
    assert not host.ask("asked", patience=QUIET[name])


@BOTH
@pytest.mark.parametrize("end", ["stop", "flush"])
def test_a_reloaded_action_is_still_watched_when_the_former_has_ended(
    hosts: tuple[Host, Host], name: str, end: str
) -> None:
    host = hosts[0]
    former = Action(host, name, 1000, name="sshd" if end == "stop" else "old")
    former.do("start", "10.0.0.1")
    Action(host, name, 2000).do("start", "10.0.0.1")
    former.do(end)
    host.ask("asked", patience=0)
    host.sh(*("ipset flush f2b-sshd" if name == "ipset" else "nft flush set inet guardhooks f2b-sshd-4-32").split())
    assert host.ask("asked", patience=20)


@BOTH
def test_changes_elsewhere_are_none_of_our_business(hosts: tuple[Host, Host], name: str) -> None:
    host = hosts[0]
    Action(host, name, 1000).do("start", "10.0.0.1")
    host.sh("nft", "add table inet other; add chain inet other input; delete table inet other")
    host.sh("ipset", "create", "other", "hash:ip")
    host.sh("iptables", "-t", "nat", "-A", "POSTROUTING", "-j", "ACCEPT")
    host.sh("iptables", "-t", "nat", "-F")
    assert not host.ask("asked", patience=QUIET[name])


def test_a_flood_of_changes_that_cannot_all_be_heard_is_a_change(hosts: tuple[Host, Host]) -> None:
    host = hosts[0]
    Action(host, "nftables", 0).do("start", *(f"10.{n // 250}.{n % 250}.1" for n in range(20_000)))
    assert not host.ask("asked", patience=0)
    host.sh("nft", "flush set inet guardhooks f2b-sshd-4-32")
    assert host.ask("asked", patience=20)
