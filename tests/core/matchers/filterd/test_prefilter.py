"""The prefilter may let too much through, never too little."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardhooks import Chunk, FilterSpec, Jail
from guardhooks.filters import keeps_words
from guardhooks.filters.regex.literals import (
    AllOf,
    AnyOf,
    RequiredLiteral,
    Word,
    heaviest,
    required_literals,
)
from guardhooks_core.matchers.filterd.matcher import FilterMatcher
from guardhooks_core.matchers.filterd.prefilter import HyperscanPrefilter, LiteralPrefilter, Prefilter, search_pattern

NOW = 1_700_000_000.0
ENGINES = [HyperscanPrefilter, LiteralPrefilter]


def engine(kind: type[Prefilter], literals: list[RequiredLiteral]) -> Prefilter:
    if kind is HyperscanPrefilter:
        pytest.importorskip("hyperscan", reason="no Hyperscan on this machine")
    return kind([search_pattern(literal) for literal in literals])  # type: ignore[call-arg]


def lines_hit(kind: type[Prefilter], regex: str, data: bytes, encoding: str = "utf-8") -> list[bytes]:
    chosen = heaviest(required_literals(regex, encoding))
    assert chosen, "this regex requires no word"
    ends = [end for end, _ in engine(kind, [AllOf(chosen)]).scan(data)]
    assert ends == sorted(set(ends)), "each line once, in order"
    return [data[data.rfind(b"\n", 0, end - 1) + 1 : end] for end in ends]


@pytest.mark.parametrize("kind", ENGINES)
@pytest.mark.parametrize(
    ("regex", "line"),
    [
        ("Failed password for", "x Failed password for y"),
        ("(?i)kiss", "KI\u017f\u017f"),
        ("(?i:link)", "L\u0130N\u212a"),
        ("(?:Failed|Invalid) user", "an Invalid user"),
        ("[Ll]ogin", "Login"),
        ("(?:abc){2}", "abcabc"),
        ("größe", "größe"),
        ("(x)?(?(1)one|two) end", "two end"),
        ("ab(?=c)cd|ef(?!g)", "ef"),
    ],
)
def test_a_line_that_matches_is_hit(kind: type[Prefilter], regex: str, line: str) -> None:
    assert re.search(regex, line)
    data = f"innocent\n{line}\nother\n".encode()
    assert f"{line}\n".encode() in lines_hit(kind, regex, data)


@pytest.mark.parametrize("kind", ENGINES)
def test_other_lines_are_not_hit(kind: type[Prefilter]) -> None:
    data = b"session opened\nFailed password for x\nsession closed\nFailed password for y\n"
    assert lines_hit(kind, "^Failed password for", data) == [b"Failed password for x\n", b"Failed password for y\n"]


@pytest.mark.parametrize("regex", [r"\d+ \S+", "a|", "(?:word)?", "(?!word)", "(?:word|\\d+)", "a.b"])
def test_a_regex_may_require_no_word(regex: str) -> None:
    assert required_literals(regex, "utf-8") == []


def test_patterns_that_hyperscan_refuses_are_searched_by_literal() -> None:
    pytest.importorskip("hyperscan", reason="no Hyperscan on this machine")
    words = [Word(tuple(frozenset({b"%c" % c}) for c in b"word%03d" % n)) for n in range(120)]
    huge = AnyOf(tuple(AllOf((one, words[n - 1], words[n - 2])) for n, one in enumerate(words)))
    both = HyperscanPrefilter([search_pattern(huge), search_pattern(words[5])])
    assert both.scan(b"x word007 word006 word005\nword005\n")[0] == (26, 0)
    assert (34, 1) in both.scan(b"x word007 word006 word005\nword005\n")


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("{^LN-BEG}", True),
        ("{NONE}", True),
        ("^%Y-%m-%d", True),
        (r"^[^\[]*\[({DATE})", True),
        ("%d/%b[^/]*/%Y:%H:%M:%S %z", True),
        (r"{DATE}(?:\.%f)?", True),
        ("^x()**", True),
        (r"^[^\[]*(\[{DATE}\s*\])", False),
        ("**%Y-%m-%d**", False),
        ("{UNB}%Y-%m-%d", False),
        (r"%Y-%m-%d\.", False),
    ],
)
def test_which_date_patterns_may_split_a_word(pattern: str, expected: bool) -> None:
    assert keeps_words([pattern]) is expected


def test_a_date_inside_the_only_word_does_not_hide_a_line() -> None:
    spec = FilterSpec("f", failregex=("password from <HOST>",), datepattern=("{UNB}@%Y-%m-%d %H:%M:%S@",))
    stamp = time.strftime("@%Y-%m-%d %H:%M:%S@", time.localtime(NOW))
    data = "".join(f"{word[:n]}{stamp}{word[n:]} from 192.0.2.1\n" for word in ("password",) for n in range(9)).encode()
    counts = [
        len(list(FilterMatcher([Jail("j", spec)], prefilter=use).feed(Chunk(data, "log", NOW))))
        for use in (True, False)
    ]
    assert counts == [9, 9]


PIECES = st.sampled_from(
    [
        "Failed", "password", "user", "sshd", " ", ": ", "[", "]", "from ", "<HOST>", r"\S+", ".*", r"\d+",
        "(?:a|user)",
        "(?:Failed|Invalid)", "(?i:Error)", "[Uu]ser", "(?:x )?", "(?!y)", "é", r"\[\]", "(?:ab){1,2}",
        r"\b", ":",
    ]
)  # fmt: skip
TEXT = st.sampled_from(
    [
        "Failed", "password", "user", "User", "USER", "sshd", " ", ": ", "[", "]", "from ", "192.0.2.1",
        "example.com", "12",
        "error", "ERROR", "x ", "é", "\ufffd", "ab", "abab", "Invalid", "1700000000",
        "1700000000 ", "[1700000000] ", "\r",
    ]
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    regexes=st.lists(st.lists(PIECES, min_size=1, max_size=6).map("".join), min_size=1, max_size=4),
    prefix=st.sampled_from(
        ["", "^ <F-CONTENT>.+</F-CONTENT>$", "sshd: <F-CONTENT>.*</F-CONTENT>", "(?:user|Failed).*"]
    ),
    datepattern=st.sampled_from([(), ("EPOCH",), ("{UNB}EPOCH",), (r"^([^\d]*\d{10})",), ("{NONE}",)]),
    lines=st.lists(st.lists(TEXT, max_size=8).map("".join), min_size=1, max_size=12),
    noise=st.binary(max_size=12),
)
def test_prefilter_and_plain_path_agree(
    regexes: list[str], prefix: str, datepattern: tuple[str, ...], lines: list[str], noise: bytes
) -> None:
    spec = FilterSpec("f", prefregex=prefix, failregex=tuple(f"{r}<HOST>?" for r in regexes), datepattern=datepattern)
    jail = Jail("j", spec, usedns="raw")
    data = noise.replace(b"\n", b"") + "".join(f"{line}\n" for line in lines).encode()
    fast, plain = (
        [
            (one.id, one.failregex, one.matches)
            for one in FilterMatcher([jail], prefilter=use).feed(Chunk(data, "log", NOW))
        ]
        for use in (True, False)
    )
    assert fast == plain
