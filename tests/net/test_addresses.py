"""Under which id an address counts."""

from __future__ import annotations

import pytest

from guardhooks import widen


@pytest.mark.parametrize(
    "address",
    [
        "64:ff9b::c000:201", "64:ff9b:1:2:3::c000:201", "2002:c000:201::1", "2001:0:53aa:64c:0:fbee:3ffe:fdfe",
        "2001:db8::5efe:c000:201", "2001:db8::200:5efe:c000:201", "::ffff:0:c000:201", "::c000:201", "fe80::1",
    ],
)  # fmt: skip
@pytest.mark.parametrize("length", [32, 48, 64, 96, 127])
def test_an_address_that_was_made_of_an_ipv4_one_counts_alone(address: str, length: int) -> None:
    assert widen(address, 24, length) == address


@pytest.mark.parametrize(
    ("address", "id"),
    [
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"), ("64:ff9c::1", "64:ff9c::/64"), ("fd00::1", "fd00::/64"),
        ("2003::1", "2003::/64"), ("2001:1::1", "2001:1::/64"), ("192.0.2.1", "192.0.2.0/24"), ("text", "text"),
    ],
)  # fmt: skip
def test_others_count_as_their_network(address: str, id: str) -> None:
    assert widen(address, 24, 64) == id
