"""Neighbours become prefixes: never fewer people out than due, never more than needed, never who is spared."""

from __future__ import annotations

import ipaddress

from hypothesis import given, settings
from hypothesis import strategies as st

from guardhooks_core.actions.firewall.aggregate import Fit, Merging, fit
from guardhooks_core.actions.firewall.entries import Entries, Entry, entry_text, parse_entry

WIDEST = {4: 24, 6: 56}


def entries(*ids: str, left: float = 60.0) -> Entries:
    found = {parse_entry(id): left for id in ids}
    return {entry: left for entry, left in found.items() if entry is not None}


def one_set(_: Entry) -> str:
    return "set"


def merged(ids: Entries, limit: int, *refused: str) -> Fit:
    spared = [ipaddress.ip_network(each) for each in refused]

    def hits(prefix: Entry) -> bool:
        network = ipaddress.ip_network(entry_text(prefix))
        return any(network.version == each.version and network.overlaps(each) for each in spared)

    return fit(ids, (), limit, one_set, Merging(WIDEST, hits))


def texts(wanted: Entries) -> set[str]:
    return {entry_text(entry) for entry in wanted}


def test_what_fits_stays_as_it_is() -> None:
    ids = entries("10.0.0.4", "10.0.0.5")
    assert merged(ids, 2) == Fit(ids)


def test_the_narrowest_prefix_that_saves_enough_is_taken() -> None:
    found = merged(entries("10.0.0.4", "10.0.0.5", "10.0.1.0", "10.0.1.7"), 3)
    assert texts(found.entries) == {"10.0.0.4/31", "10.0.1.0", "10.0.1.7"}


def test_a_prefix_lasts_as_long_as_its_longest_member() -> None:
    found = merged({**entries("10.0.0.4"), **entries("10.0.0.5", left=float("inf"))}, 1)
    assert list(found.entries.values()) == [float("inf")]


def test_the_prefix_of_a_ban_takes_in_the_addresses_beside_it() -> None:
    found = merged(entries("10.0.0.0/25", "10.0.0.200", "10.0.0.201"), 1)
    assert texts(found.entries) == {"10.0.0.0/24"}
    assert texts(next(iter(found.merged.values()))) == {"10.0.0.0/25", "10.0.0.200", "10.0.0.201"}


def test_nothing_is_merged_wider_than_allowed() -> None:
    found = merged(entries("10.0.0.1", "10.0.1.1"), 1)
    assert len(found.left_out) == 1
    assert not found.merged


def test_what_is_held_stays_when_there_is_no_room_for_all() -> None:
    ids = entries("10.0.0.1", "10.1.0.1", "10.2.0.1")
    held = entries("10.2.0.1")
    assert texts(fit(ids, held, 1, one_set).entries) == {"10.2.0.1"}


addresses = st.lists(st.integers(0x0A000000, 0x0A0003FF), max_size=60, unique=True)


@settings(max_examples=200, deadline=None)
@given(addresses, st.integers(1, 40), st.integers(0x0A000000, 0x0A0003FF))
def test_all_are_covered_or_named_and_nobody_spared_is_hit(numbers: list[int], limit: int, spared: int) -> None:
    me = str(ipaddress.ip_address(spared))
    ids = entries(*(str(ipaddress.ip_address(number)) for number in numbers if number != spared))
    found = merged(ids, limit, me)
    networks = [ipaddress.ip_network(entry_text(entry)) for entry in found.entries]
    assert len(networks) <= limit
    assert not any(ipaddress.ip_address(me) in network for network in networks)
    for entry in ids:
        inside = any(ipaddress.ip_address(entry.address) in network for network in networks)
        assert inside or entry in found.left_out
    for entry, members in found.merged.items():
        assert entry.prefix >= WIDEST[4]
        assert len(members) > 1
    if len(ids) <= limit:
        assert found == Fit(ids)
