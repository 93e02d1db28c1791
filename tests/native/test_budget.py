"""A hostile line costs a bounded number of steps, however it is made; the counted steps are the bound, not a clock."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import pytest

from guardhooks import FilterSpec, Jail
from tests.compat.test_samples import FILTERS
from tests.native.comparing import block
from tests.native.test_library import OWN, PACKAGED, STOCK, modes

_core = pytest.importorskip("guardhooks_native._core", reason="the native core is not built")
from guardhooks_native.matcher import NativeMatcher  # noqa: E402 -- it needs the core

NOW = 1_760_000_000.0
LINE = 1 << 16
MEBIBYTE = 1 << 20
PIECES = ("a", "0", " ", "a ", "a=", "1.", "[1]", "from ", "::", "a.", '"', "(", "\t", "é", "a@b.", "x" * 7 + ": ")
"""What unbounded repeats of ordinary filters run over."""


def bound(size: int) -> int:
    """Steps that one line may cost, as `regex.rs` has it: a few nanoseconds each."""
    return 500_000 + 12 * size + 40 * (2_000 + size)


def starts(spec: FilterSpec) -> Iterator[str]:
    """Beginnings that lead into the regexes: their words, in order."""
    for regex in (spec.prefregex, *spec.failregex):
        words = re.findall(r"(?<![\\<?(\w-])[A-Za-z][A-Za-z ]{3,}", regex)
        yield " ".join(words)[:200]


@pytest.mark.parametrize("name", [*STOCK, *(name for name in OWN if name not in STOCK)])
@pytest.mark.timeout(300)
def test_pumped_lines(name: str) -> None:
    assert_bounded(name, LINE, heads=6, pieces=PIECES)


@pytest.mark.parametrize("name", ["sshd", "postfix", "dovecot", "apache-badbots"])
@pytest.mark.timeout(300)
def test_a_line_of_a_mebibyte(name: str) -> None:
    assert_bounded(name, MEBIBYTE, heads=2, pieces=PIECES[:4])


def assert_bounded(name: str, size: int, *, heads: int, pieces: Sequence[str]) -> None:
    """The last mode of a filter, which has the most regexes, keeps within the bound on every pumped line."""
    specs = list(modes(FILTERS.parent if name in STOCK else PACKAGED, name))
    for spec in specs[-1:]:
        matcher = NativeMatcher([Jail(name, spec)])
        if not matcher.jails:
            assert matcher.unserved[name]  # left to filterd, with the reason
            continue
        for head in list(dict.fromkeys(starts(spec)))[:heads]:
            for piece in pieces:
                pump = piece * (size // len(piece))
                for line in (f"Oct 09 08:53:20 srv sshd[7]: {head} {pump}", f"{pump} {head}"):
                    matcher.feed(block([line], NOW))
                    assert matcher.steps() <= bound(len(line.encode())), line[:80]


def test_a_text_that_defeats_the_walk_is_still_matched() -> None:
    regex = r"^\s*<F-ID>(?:\w+)</F-ID>\w+\w+\w+\w+ end$"
    matcher = NativeMatcher([Jail("many", FilterSpec("many", failregex=(regex,), datepattern=("{NONE}",)))])
    found = list(matcher.feed(block(["a" * 20_000 + " end", "a" * 20_000 + " and"], NOW)))
    assert [len(failure.id) for failure in found] == [20_000 - 4]
    assert matcher.steps() <= bound(20_010) * 2
