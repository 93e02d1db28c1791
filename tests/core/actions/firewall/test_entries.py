"""From bans to kernel entries, and what must change in a set."""

import math
import socket

import pytest

from guardhooks import Ban
from guardhooks_core.actions.firewall.entries import Entry, compare, entries_of, entry_text, parse_entry

DAY = 86400.0


def entry(text: str) -> Entry:
    found = parse_entry(text)
    assert found is not None
    return found


@pytest.mark.parametrize("text", ["192.0.2.1", "192.0.2.0/24", "2001:db8::1", "2001:db8::/64", "128.0.0.0/1"])
def test_an_address_or_prefix_is_its_own_text_again(text: str) -> None:
    assert entry_text(entry(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "bob", "0.0.0.0/0", "::/0", "192.0.2.1/24", "1.2.3", "01.2.3.4", "::1%eth0", "1.2.3.4/", "1.2.3.4/x", "a\0b"],
)
def test_other_text_is_no_entry(text: str) -> None:
    assert parse_entry(text) is None


def test_entries_carry_what_is_left_of_the_ban_and_the_longer_of_two_counts() -> None:
    bans = [
        Ban("192.0.2.1", "sshd", 100.0, 50.0),
        Ban("192.0.2.1", "sshd", 100.0, 70.0),
        Ban("192.0.2.2", "sshd", 100.0, 10.0),
        Ban("2001:db8::1", "sshd", 100.0, math.inf),
        Ban("a user", "sshd", 100.0, 50.0),
    ]
    found = entries_of(bans, 120.0)
    assert found == {4: {entry("192.0.2.1"): 50.0}, 6: {entry("2001:db8::1"): math.inf}}
    assert entry("192.0.2.1").address == socket.inet_aton("192.0.2.1")


@pytest.mark.parametrize(
    ("held", "left", "wrong"),
    [
        (100.0, 101.5, False),
        (100.0, 105.0, True),
        (math.inf, math.inf, False),
        (math.inf, 50.0, True),
        (50.0, math.inf, True),
        (999.5 * DAY, 5000 * DAY, False),
        (998.0 * DAY, 5000 * DAY, True),
    ],
)
def test_a_timeout_may_be_off_by_little_and_is_cut_to_what_the_kernel_can_hold(
    held: float, left: float, wrong: bool
) -> None:
    one = entry("192.0.2.1")
    difference = compare({one: held}, {one: left}, limit=1000 * DAY)
    assert bool(difference.wrong) is wrong
    assert not difference.missing
    assert not difference.unexpected


def test_missing_and_strangers() -> None:
    one, two = entry("192.0.2.1"), entry("192.0.2.2")
    difference = compare({one: 10.0}, {two: 20.0})
    assert (difference.missing, difference.unexpected, difference.wrong) == ({two: 20.0}, {one: 10.0}, {})
