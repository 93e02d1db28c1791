"""Sessions, by the sequences observed with fail2ban: C connects, f fails without an address, A is let in, D leaves."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from guardhooks import Chunk, FilterSpec, Jail
from guardhooks_core.matchers.filterd.matcher import FilterMatcher

NOW = 1_700_000_000.0
SPEC = FilterSpec(
    "session",
    prefregex=r"^<F-MLFID>\w+(?:\[\d+\])*</F-MLFID>: <F-CONTENT>.+</F-CONTENT>$",
    failregex=(
        "^<F-NOFAIL>connect</F-NOFAIL> <HOST>$",
        "^fail$",
        r"^<F-NOFAIL>try</F-NOFAIL> <F-USER>\w+</F-USER>$",
        r"^<F-MLFFORGET><F-MLFGAINED>accepted</F-MLFGAINED></F-MLFFORGET>(?: <F-USER>\w+</F-USER>)?$",
        "^<F-NOFAIL><F-MLFFORGET>disconnect</F-MLFFORGET></F-NOFAIL>$",
        "^<F-MLFFORGET>end</F-MLFFORGET>$",
        "^<F-STEP1>unknown</F-STEP1>(?: from <HOST>)?$",
        "^<F-STEP2>wrong</F-STEP2>$",
        "^<F-STEP9>enough</F-STEP9>(?: of <HOST>)?$",
    ),
    datepattern=("{NONE}",),
)
WORDS = {
    "C": "connect 192.0.2.1",
    "f": "fail",
    "b": "try bob",
    "a": "try alice",
    "A": "accepted",
    "B": "accepted bob",
    "L": "accepted alice",
    "D": "disconnect",
    "E": "end",
    "1": "unknown",
    "2": "wrong",
    "9": "enough",
    "x": "unknown from 192.0.2.9",
}


def lines_of(sequence: str, key: str = "s") -> list[str]:
    return [f"{key}: {WORDS[letter]}" for letter in sequence]


def counts(lines: list[str], matcher: FilterMatcher | None = None, at: float = NOW) -> list[int]:
    """How many lines each failure holds."""
    block = Chunk("".join(f"{line}\n" for line in lines).encode(), "log", at)
    matcher = matcher or FilterMatcher([Jail("j", SPEC, maxmatches=20)])
    return [len(failure.matches) for failure in matcher.feed(block)]


@pytest.mark.parametrize(
    ("sequence", "failures"),
    [
        ("CffD", [2, 1]),
        ("fCD", [2]),
        ("CA", []),
        ("CfA", [2]),
        ("CbB", []),
        ("CbL", 1),
        ("Cba", 1),
        ("CbaD", 2),
        ("CE", [2]),
        ("D", []),
        ("A", []),
        ("f", []),
        ("C12", [2]),
        ("C1212", [2, 2]),
        ("C1222", [2, 2, 1]),
        ("C129", [2]),
        ("C9", [2]),
        ("C99", [2, 1]),
        ("1C", [2]),
        ("C1f2", [2, 1]),
        ("C1x2", [2, 1]),
    ],
)
def test_sequence(sequence: str, failures: list[int] | int) -> None:
    found = counts(lines_of(sequence))
    assert (found if isinstance(failures, list) else len(found)) == failures


def test_sessions_do_not_mix() -> None:
    assert counts(["x: connect 192.0.2.1", "y: fail"]) == []


def test_users_of_a_session_are_reported_together() -> None:
    matcher = FilterMatcher([Jail("j", SPEC)])
    block = Chunk("".join(f"{line}\n" for line in lines_of("Cba")).encode(), "log", NOW)
    (failure,) = matcher.feed(block)
    assert failure.fields["users"] == ("alice", "bob")


def test_a_session_ends_after_300_seconds() -> None:
    matcher = FilterMatcher([Jail("j", SPEC)])
    assert counts(lines_of("C"), matcher) == []
    assert counts(lines_of("f"), matcher, at=NOW + 300) != []
    assert counts(lines_of("f"), matcher, at=NOW + 301) == []


def test_the_oldest_of_a_hundred_sessions_gives_way() -> None:
    matcher = FilterMatcher([Jail("j", SPEC)])
    counts(["first: connect 192.0.2.1", *(f"k{n}: connect 192.0.2.1" for n in range(100))], matcher)
    assert counts(["k0: fail"], matcher) != []
    assert counts(["first: fail"], matcher) == []


def test_helper_lines_are_traced_as_such() -> None:
    matcher = FilterMatcher([Jail("j", SPEC)])
    block = Chunk("".join(f"{line}\n" for line in lines_of("CfD")).encode(), "log", NOW)
    assert [[one.nofail for one in traced.failures] for traced in matcher.trace(block)] == [[True], [False], [True]]


def test_a_session_of_many_lines_keeps_the_latest_of_them() -> None:
    matcher = FilterMatcher([Jail("jail", SPEC, maxmatches=1000)])
    lines = [*(["s: connect 192.0.2.1"] * 150), "s: fail"]
    (failure,) = matcher.feed(Chunk("".join(f"{line}\n" for line in lines).encode(), "log", NOW))
    assert len(failure.matches) == 100
    assert failure.matches[-1] == "s: fail"


KEYS = ("s", "s[1]", "t[1]", "t[2]", "u[2][3]", "[3]")


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from("CfbaABLDE")), max_size=40))
@example([("s[1]", "C"), ("s[1]", "A"), ("s[1]", "f")])
@example([("s[1]", "b"), ("s[1]", "a")])
@example([("u[2][3]", "C"), ("s", "C"), ("u[2][3]", "f")])
@example([("t[1]", "C"), ("s[1]", "C"), ("t[1]", "f"), ("s[1]", "f")])
def test_helper_lines_left_unread_change_nothing(sequence: list[tuple[str, str]]) -> None:
    lines = [f"{key}: {WORDS[letter]}" for key, letter in sequence]
    block = Chunk("".join(f"{line}\n" for line in lines).encode(), "log", NOW)
    with_prefilter, without = (
        list(FilterMatcher([Jail("j", SPEC, maxmatches=20)], prefilter=prefilter).feed(block))
        for prefilter in (True, False)
    )
    assert with_prefilter == without


def test_helper_lines_of_old_sessions_are_forgotten() -> None:
    matcher = FilterMatcher([Jail("j", SPEC, maxmatches=20)])
    assert counts(lines_of("C", "s[1]"), matcher) == []
    assert counts(lines_of("f", "s[1]"), matcher, at=NOW + 301) == []
    assert counts(lines_of("C", "t[2]"), matcher) == []
    assert counts(lines_of("f", "t[2]"), matcher, at=NOW + 299) == [2]


def test_the_next_client_of_a_long_lived_daemon_does_not_pay_for_the_users_of_those_before() -> None:
    """Whoever tries two users fails; not whoever comes after two others, who tried one each."""
    matcher = FilterMatcher([Jail("j", SPEC, maxmatches=20)])
    first, second, third = (f"s[468]: connect 192.0.2.{number}" for number in (6, 8, 9))
    assert counts([first, "s[468]: try bob", second, "s[468]: try alice", third, third], matcher) == []
    assert len(counts(["s[468]: try bob", "s[468]: try alice"], matcher)) == 1


def test_a_failure_counts_against_the_client_that_came_last_whatever_the_kind_of_its_address() -> None:
    matcher = FilterMatcher([Jail("j", SPEC)])
    lines = ["s[468]: connect 192.0.2.6", "s[468]: connect 2001:db8::1", "s[468]: fail"]
    (failure,) = matcher.feed(Chunk("".join(f"{line}\n" for line in lines).encode(), "log", NOW))
    assert failure.id == "2001:db8::1"
