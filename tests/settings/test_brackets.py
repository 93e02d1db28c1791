"""`name[option=value, …]`: the grammar as the document and upstream have it."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardhooks import ConfigError
from guardhooks.settings import parse_brackets
from guardhooks.settings.brackets import split_words


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("n", {}),
        ("n[]", {}),
        ("n[ ]", {}),
        ("n[,]", {}),
        ("n[a=1]", {"a": "1"}),
        ("n[ a=1]", {"a": "1"}),
        ("n[a=1]  ", {"a": "1"}),
        ("n[a=1 b=2]", {"a": "1 b=2"}),
        ("n[a=1, b=2]", {"a": "1", "b": "2"}),
        ("n[a=1,]", {"a": "1"}),
        ("n[a=1][b=2]", {"a": "1", "b": "2"}),
        ('n[a="1"] [b=2][]', {"a": "1", "b": "2"}),
        ("n[a=1,\n b=2]", {"a": "1", "b": "2"}),
        ('n[a="x, ]y\nz", b=\'say "hi"\']', {"a": "x, ]y\nz", "b": 'say "hi"'}),
        ("n[a=1, a=2]", {"a": "2"}),
        ('n[a="", b=]', {"a": "", "b": ""}),
        ('n[a= "q"]', {"a": '"q"'}),
        ('n[a=\n "q"]', {"a": '"q"'}),
        ('n[a=x"y"]', {"a": 'x"y"'}),
        ('n[a="open]', {"a": '"open'}),
        ("n[a-b_c.d=1]", {"a-b_c.d": "1"}),
        ('n[blocktype?family=inet6="DROP"]', {"blocktype?family=inet6": "DROP"}),
        ('n[chain="<known/chain>"]', {"chain": "<known/chain>"}),
    ],
)
def test_options(text: str, options: dict[str, str]) -> None:
    assert parse_brackets(text) == ("n", options)


@pytest.mark.parametrize(
    "text",
    ["n[a=1]b", "n[ a = 1 ]", "n[a]", "n[a=1, ,b=2]", 'n[a="x"y]', "n[a/b=1]", "n[a=[1]]", 'n[a="1" x]', "[a=1]", "",
     "n[a=1", "n[=1]"],
)  # fmt: skip
def test_wrong_syntax(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_brackets(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a b\n c", ["a", "b", "c"]),
        ("a[x=1, y=2] b", ["a[x=1, y=2]", "b"]),
        ('a[x="] b"] b', ['a[x="] b"]', "b"]),
        ("a[x=1]\n  [y=2] b", ["a[x=1]\n  [y=2]", "b"]),
        ("a[x=it's] b[y=it's]", ["a[x=it's]", "b[y=it's]"]),
        ("a[x=1]b c", ["a[x=1]b", "c"]),
        ("  ", []),
    ],
)
def test_actions_are_split_outside_of_brackets(text: str, words: list[str]) -> None:
    assert list(split_words(text)) == words


@settings(deadline=None)
@given(st.text(alphabet="n[]=,\"' a1\n?/", max_size=80))
def test_any_text_gives_options_or_a_config_error(text: str) -> None:
    assert "".join("".join(split_words(text)).split()) == "".join(text.split())
    with suppress(ConfigError):
        parse_brackets(text)
