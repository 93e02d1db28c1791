"""Rules of others keep an address out, or do not: as `nft --json` shows them."""

from __future__ import annotations

from typing import Any

import pytest

from guardhooks.doctor.foreign_rules import drops

ADDRESS = "203.0.113.9"
DROP: dict[str, Any] = {"drop": None}
REJECT = {"reject": {"type": "icmp", "expr": "port-unreachable"}}
COUNTER = {"counter": {"packets": 0, "bytes": 0}}


def source(right: object, op: str = "==", protocol: str = "ip") -> dict[str, Any]:
    return {"match": {"op": op, "left": {"payload": {"protocol": protocol, "field": "saddr"}}, "right": right}}


def port(number: int) -> dict[str, Any]:
    return {"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": number}}


def jump(target: str) -> dict[str, Any]:
    return {"jump": {"target": target}}


def chain(name: str, *rules: list[dict[str, Any]], hook: str = "", table: str = "filter") -> list[dict[str, Any]]:
    place = {"family": "ip", "table": table}
    base = {"type": "filter", "hook": hook, "prio": 0, "policy": "accept"} if hook else {}
    described = [{"chain": {**place, "name": name, **base}}]
    return [*described, *({"rule": {**place, "chain": name, "handle": 1, "expr": rule}} for rule in rules)]


def found(*chains: list[dict[str, Any]], address: str = ADDRESS) -> list[str]:
    listed = [each for one in chains for each in one]
    every = drops(listed, address, lambda table, name: name == "bad")
    return [where if is_certain else f"{where}?" for where, is_certain in every]


@pytest.mark.parametrize(
    "rule",
    [
        [source(ADDRESS), COUNTER, DROP], [source(ADDRESS), REJECT], [DROP],
        [source({"prefix": {"addr": "203.0.113.0", "len": 24}}), DROP],
        [source({"range": ["203.0.113.1", "203.0.113.20"]}), DROP],
        [source({"set": ["192.0.2.1", {"prefix": {"addr": "203.0.113.8", "len": 31}}]}), DROP],
        [source("@bad"), DROP], [source("192.0.2.1", "!="), DROP],
        [{"match": {"op": "==", "left": {"meta": {"key": "nfproto"}}, "right": "ipv4"}}, source(ADDRESS), DROP],
    ],
)  # fmt: skip
def test_a_rule_that_drops_all_its_packets_is_named(rule: list[dict[str, Any]]) -> None:
    assert found(chain("INPUT", rule, hook="input")) == ["chain INPUT of table ip filter"]


@pytest.mark.parametrize(
    "rule",
    [
        [source("192.0.2.1"), DROP], [source(ADDRESS), port(22), DROP], [source(ADDRESS, "!="), DROP],
        [source("@good"), DROP], [source(ADDRESS), {"limit": {"rate": 5}}, DROP], [source(ADDRESS), COUNTER],
        [source({"prefix": {"addr": "192.0.2.0", "len": 24}}), DROP], [{"xt": {"type": "match", "name": "set"}}, DROP],
        [source("2001:db8::1", protocol="ip6"), DROP],
    ],
)  # fmt: skip
def test_one_that_drops_others_or_only_some_of_them_is_not(rule: list[dict[str, Any]]) -> None:
    assert found(chain("INPUT", rule, hook="input")) == []


def test_chains_are_followed_and_an_accept_before_decides() -> None:
    blocked = chain("blocked", [source(ADDRESS), DROP])
    assert found(blocked, chain("INPUT", [jump("blocked")], hook="input")) == ["chain blocked of table ip filter"]
    accepted = chain("INPUT", [source(ADDRESS), {"accept": None}], [jump("blocked")], hook="input")
    assert found(blocked, accepted) == []
    assert found(blocked, chain("INPUT", [{"return": None}], [jump("blocked")], hook="input")) == []
    assert found(blocked, chain("OUTPUT", [jump("blocked")], hook="output")) == []
    assert found(chain("a", [jump("b")]), chain("b", [jump("a")]), chain("INPUT", [jump("a")], hook="input")) == []


@pytest.mark.parametrize(
    ("before", "is_certain"),
    [
        ([port(22), {"accept": None}], False),
        ([port(22), jump("open")], False),
        ([{"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "lo"}}, {"accept": None}], True),
        ([{"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": ["established", "related"]}},
          {"accept": None}], True),
        ([{"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": "new"}}, {"accept": None}], False),
        ([{"match": {"op": "==", "left": {"payload": {"protocol": "icmp", "field": "type"}}, "right": 8}},
          {"accept": None}], True),
        ([port(22), DROP], True),
    ],
)  # fmt: skip
def test_a_rule_before_it_that_accepts_some_packets_leaves_it_open(
    before: list[dict[str, Any]], is_certain: bool
) -> None:
    rules = chain("INPUT", before, [source(ADDRESS), DROP], hook="input")
    assert found(chain("open", [{"accept": None}]), rules) == [
        f"chain INPUT of table ip filter{'?' * (not is_certain)}"
    ]


def test_our_own_table_is_left_to_its_action() -> None:
    assert found(chain("prerouting", [source(ADDRESS), DROP], hook="prerouting", table="guardhooks")) == []
