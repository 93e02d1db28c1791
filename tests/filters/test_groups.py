from __future__ import annotations

import pytest

from guardhooks.filters.groups import Combiner, Groups, Identity, identify


def combined(**groups: str | None) -> Groups:
    values: Groups = dict(groups)
    Combiner(groups).combine(values)
    return values


def test_an_empty_group_takes_the_first_alternative_by_name() -> None:
    assert combined(user="", alt_user_2="second", alt_user_1="first")["user"] == "first"
    assert combined(user="own", alt_user="other")["user"] == "own"
    assert combined(alt_user_1=None, alt_user_2="b")["user"] == "b"


def test_an_alternative_without_underscore_feeds_a_key_of_its_own() -> None:
    assert combined(user=None, alt_user1="x") == {"user": None, "alt_user1": "x", "user1": "x"}


def test_tuples_join_in_order() -> None:
    groups = combined(fid="a", tuple_id="b")
    assert groups["fid"] == ("a", "b")
    assert identify(groups, "warn").id == "('a', 'b')"
    assert combined(fid="a", tuple_id_1=None, tuple_id_2="c")["fid"] == ("a", None, "c")


@pytest.mark.parametrize(
    ("groups", "usedns", "expected"),
    [
        ({"ip4": "192.0.2.1"}, "warn", Identity("192.0.2.1", "192.0.2.1")),
        ({"ip6": "2001:DB8::0001"}, "warn", Identity("2001:db8::1", "2001:db8::1")),
        ({"ip6": "::ffff:c000:0201"}, "warn", Identity("192.0.2.1", "192.0.2.1")),
        ({"ip4": "192.0.2.7", "cidr": "24"}, "warn", Identity("192.0.2.0/24", "192.0.2.7")),
        ({"ip4": "192.0.2.7", "cidr": "33"}, "warn", Identity("192.0.2.7", "192.0.2.7")),
        ({"ip4": "192.0.2.7", "cidr": "0"}, "warn", Identity("0.0.0.0", "192.0.2.7")),
        ({"fid": "192.0.2.7/0"}, "warn", Identity("0.0.0.0")),
        ({"ip4": "999.1.1.1"}, "warn", Identity("999.1.1.1", genuine=False)),
        ({"ip6": "2001:db8:::1"}, "raw", Identity("2001:db8:::1", genuine=False)),
        ({"dns": "example.com"}, "warn", Identity(resolve="example.com")),
        ({"dns": "example.com"}, "yes", Identity(resolve="example.com")),
        ({"dns": "example.com"}, "no", Identity()),
        ({"dns": "example.com"}, "raw", Identity("example.com")),
        ({"dns": "192.0.2.1"}, "no", Identity("192.0.2.1", "192.0.2.1")),
        ({"fid": "bob"}, "warn", Identity("bob")),
        ({"fid": "bob", "ip4": "192.0.2.1"}, "warn", Identity("bob", "192.0.2.1")),
        ({"fid": "192.0.2.1", "ip4": "192.0.2.1"}, "warn", Identity("192.0.2.1", "192.0.2.1")),
        ({"fid": "2001:DB8::1"}, "warn", Identity("2001:db8::1", "2001:db8::1")),
        ({"fid": "bob", "dns": "example.com"}, "warn", Identity("bob")),
        ({"user": "bob"}, "warn", Identity()),
    ],
)
def test_whom_groups_name(groups: Groups, usedns: str, expected: Identity) -> None:
    assert identify(groups, usedns) == expected


def test_testers_keep_names() -> None:
    assert identify({"dns": "example.com"}, "warn", keep_names=True) == Identity("example.com")
