"""Which rules of iptables let pass what ours are meant for."""

from __future__ import annotations

import pytest

from guardhooks import ActionSpec
from guardhooks_core.actions.firewall.iptables import Rule, parse_rules
from guardhooks_core.actions.firewall.parameters import Parameters, parse_parameters
from guardhooks_core.actions.firewall.rule_order import Match, accepting_rules_before

OURS = "-A INPUT -p tcp -m multiport --dports 22,80 -m comment --comment guardhooks-1 -j DROP"
ADDRESS = "203.0.113.9"


def parameters(name: str = "ipset", **options: str) -> Parameters:
    return parse_parameters(ActionSpec(name, name, {"name": "sshd", "port": "22,80", **options}))


def passing(*lines: str, wanted: Parameters | None = None, address: str = ADDRESS) -> list[tuple[str, Match]]:
    chains = parse_rules("\n".join(lines))
    found = accepting_rules_before(chains, "INPUT", _is_ours, wanted or parameters(), address)
    return [(each.rule.text, each.match) for each in found]


def _is_ours(rule: Rule) -> bool:
    return "guardhooks-1" in rule.words


@pytest.mark.parametrize(
    ("condition", "match"),
    [
        ("", Match.ALL),
        ("-s 203.0.113.0/24", Match.ALL),
        ("-s 198.51.100.0/24", Match.NONE),
        ("! -s 198.51.100.0/24", Match.ALL),
        ("! -s 203.0.113.9/32", Match.NONE),
        ("-p tcp", Match.ALL),
        ("-p udp", Match.NONE),
        ("-i lo", Match.NONE),
        ("-i eth0", Match.SOME),
        ("-p tcp -m tcp --dport 22", Match.SOME),
        ("-p tcp -m tcp --dport 443", Match.NONE),
        ("-p tcp -m multiport --dports 20:100", Match.ALL),
        ("-p tcp -m multiport --dports 22,80,443", Match.ALL),
        ("-m conntrack --ctstate RELATED,ESTABLISHED", Match.ESTABLISHED),
        ("-m state --state ESTABLISHED", Match.ESTABLISHED),
        ("-m conntrack --ctstate NEW", Match.SOME),
        ("-m conntrack --ctstate NEW,ESTABLISHED", Match.ALL),
        ("-m conntrack --ctstate INVALID", Match.NONE),
        ("-m set --match-set friends src", Match.SOME),
        ("-m limit --limit 3/min", Match.SOME),
        ('-m comment --comment "the office, -p udp"', Match.ALL),
        ("-s 203.0.113.0/24 -m conntrack --ctstate ESTABLISHED -i eth0", Match.SOME),
    ],
)
def test_how_much_a_rule_in_front_accepts(condition: str, match: Match) -> None:
    found = passing(f"-A INPUT {condition} -j ACCEPT", OURS)
    assert [each for _, each in found] == ([match] if match else [])


def test_only_what_stands_in_front_counts() -> None:
    assert passing(OURS, "-A INPUT -j ACCEPT") == []
    assert passing("-A INPUT -j DROP", "-A OUTPUT -j ACCEPT", OURS) == []


def test_who_only_drops_new_connections_does_not_mind_established_ones() -> None:
    accept = "-A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT"
    assert passing(accept, OURS, wanted=parameters("iptables-new")) == []


def test_chains_that_are_jumped_to_are_followed_until_they_return() -> None:
    rules = [
        "-A INPUT -p tcp -j friends",
        OURS,
        "-A friends -s 198.51.100.0/24 -j ACCEPT",
        "-A friends -j inner",
        "-A inner -s 203.0.113.0/24 -j RETURN",
        "-A inner -j ACCEPT",
        "-A friends -s 203.0.113.9/32 -p tcp -m tcp --dport 22 -j ACCEPT",
    ]
    assert passing(*rules) == [("-A friends -s 203.0.113.9/32 -p tcp -m tcp --dport 22 -j ACCEPT", Match.SOME)]


def test_chains_that_lead_in_a_circle_end() -> None:
    assert passing("-A INPUT -j one", "-A one -j two", "-A two -j one", OURS) == []


def test_counters_are_read_and_not_shown() -> None:
    (rule,) = parse_rules("-P INPUT ACCEPT -c 1 2\n-A INPUT -s 192.0.2.1/32 -c 7 420 -j DROP")["INPUT"]
    assert (rule.packets, rule.text) == (7, "-A INPUT -s 192.0.2.1/32 -j DROP")


def test_for_everybody_a_rule_with_a_source_takes_some() -> None:
    found = passing("-A INPUT -s 192.0.2.0/24 -j ACCEPT", "-A INPUT -j ACCEPT", OURS, address="")
    assert [match for _, match in found] == [Match.SOME, Match.ALL]
