from __future__ import annotations

import re

import pytest

from guardhooks.filters.tags import expand


def search(regex: str, text: str, **options: str) -> re.Match[str] | None:
    return re.search(expand(regex, **options), text)


@pytest.mark.parametrize(
    ("regex", "text", "groups"),
    [
        ("from <HOST>$", "from 192.0.2.1", {"ip4": "192.0.2.1"}),
        ("from <HOST>$", "from [192.0.2.1]", {"ip4": "192.0.2.1"}),
        ("from <HOST>$", "from ::ffff:192.0.2.1", {"ip4": "192.0.2.1"}),
        ("from <HOST>$", "from 2001:db8::1", {"ip6": "2001:db8::1"}),
        ("from <HOST>", "from cafe: x", {"dns": "cafe"}),
        ("from <HOST>$", "from 2001:db8::", {"ip6": "2001:db8::"}),
        ("from <HOST>$", "from a-b.example.com", {"dns": "a-b.example.com"}),
        ("from <ADDR>$", "from [2001:db8::1]", {"ip6": "2001:db8::1"}),
        ("from <SUBNET>$", "from 192.0.2.0/24", {"ip4": "192.0.2.0", "cidr": "24"}),
        ("from <F-SUBNET/>$", "from 2001:db8::/32", {"ip6": "2001:db8::", "cidr": "32"}),
        ("<IP4>/<CIDR> ", "192.0.2.1/8 ", {"ip4": "192.0.2.1", "cidr": "8"}),
        ("<F-ID/> <F-PORT/>", "x-1 22", {"fid": "x-1", "fport": "22"}),
        ("<F-ID>\\w+</F-ID>", "bob", {"fid": "bob"}),
        ("<F-PORT>\\d+</F-PORT>", "22", {"fport": "22"}),
        ("<F-MY_NAME2>\\w+</F-MY_NAME2>", "bob", {"my_name2": "bob"}),
        ("<F-IP4>\\S+</F-IP4>", "x", {"ip4": "x"}),
        ("<DNS>", "example.com", {"dns": "example.com"}),
    ],
)
def test_tag_captures(regex: str, text: str, groups: dict[str, str]) -> None:
    match = search(regex, text)
    assert match is not None
    assert {name: value for name, value in match.groupdict().items() if value is not None} == groups


@pytest.mark.parametrize(
    ("regex", "literal"),
    [
        ("a<F-USER/>b", "a<F-USER/>b"),
        ("a</F-USER>b", "a</F-USER>b"),
        ("a<host>b", "a<host>b"),
        ("a<F-user>b", "a<F-user>b"),
        ("<UNKNOWN>", "<UNKNOWN>"),
    ],
)
def test_what_is_no_tag_stays_literal(regex: str, literal: str) -> None:
    assert expand(regex) == literal


def test_usedns_no_takes_addresses_only() -> None:
    assert search("from <HOST>$", "from example.com", usedns="no") is None
    assert search("from <HOST>$", "from 192.0.2.1", usedns="no") is not None


def test_skiplines_are_numbered_and_lazy() -> None:
    match = search("a<SKIPLINES>b<SKIPLINES>c", "a\nx\ny\nb\nc")
    assert match is not None
    assert match.groupdict() == {"skiplines0": "x\ny\n", "skiplines1": ""}


@pytest.mark.parametrize(
    ("regex", "expected"),
    [("((?i)a)", "(?i:a)"), ("(?:(?i)a|b)", "(?i:a|b)"), (r"\((?i)a", r"\((?i)a"), ("(?i)a", "(?i)a")],
)
def test_flags_behind_a_parenthesis_become_local(regex: str, expected: str) -> None:
    assert expand(regex) == expected


def test_a_hyphen_makes_no_group_name() -> None:
    with pytest.raises(re.error):
        re.compile(expand("<F-MY-NAME>x</F-MY-NAME>"))
