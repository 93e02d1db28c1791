"""The cache of compiled regexes saves a restart the work, and is not trusted if it is foreign or damaged."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from guardhooks import Chunk, Failure, FilterSpec, Jail
from guardhooks.filters.cache import HEADER_LENGTH, sealed
from guardhooks.filters.regex import parsing
from guardhooks_core.matchers.filterd import Filterd, cache, cache_entry, layout
from guardhooks_core.matchers.filterd.cache import Cache
from guardhooks_core.matchers.filterd.matcher import FilterMatcher

NOW = 1_700_000_000.0
LOG = Chunk(
    b"innocent\nFailed password for root from 192.0.2.1\nerror: 192.0.2.2 bad\n192.0.2.3 7\n",
    "log",
    NOW,
    times=(NOW,) * 4,
)


def jail(*failregex: str, name: str = "j", **parts: object) -> Jail:
    return Jail(name, FilterSpec("f", failregex=failregex, **parts))  # type: ignore[arg-type]


JAILS = [
    jail(r"Failed \w+ for <F-USER>\S+</F-USER> from <HOST>", r"^<HOST> \d$"),
    jail("<F-CONTENT>x</F-CONTENT> <HOST>", r"^<HOST> bad$", name="k", prefregex="^error: <F-CONTENT>.+</F-CONTENT>$"),
]


def failures(matcher: FilterMatcher) -> list[Failure]:
    return list(matcher.feed(LOG))


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One item for each layout that had to be computed."""
    made: list[str] = []
    real = layout.lay_out

    def counted(jail_matchers: Sequence[object]) -> layout.Layout:
        made.append("layout")
        return real(jail_matchers)  # type: ignore[arg-type]

    monkeypatch.setattr("guardhooks_core.matchers.filterd.plan.lay_out", counted)
    return made


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def test_a_second_start_computes_nothing_and_finds_the_same(
    tmp_path: Path, work: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = failures(FilterMatcher(JAILS, cache=Cache(tmp_path / "cache")))
    assert [one.id for one in first] == ["192.0.2.1", "192.0.2.2", "192.0.2.3"]
    parsing.parsed.cache_clear()
    monkeypatch.setattr(parsing, "checked", None)
    again = FilterMatcher(JAILS, cache=Cache(tmp_path / "cache"))
    (reason,) = again.unfiltered["j"]
    assert reason.startswith("failregex 2 requires no word")
    assert failures(again) == first
    assert work == ["layout"]


def test_folder_and_entry_are_private(tmp_path: Path) -> None:
    failures(FilterMatcher(JAILS, cache=Cache(tmp_path / "cache")))
    (entry,) = files(tmp_path / "cache")
    assert (tmp_path / "cache").stat().st_mode & 0o777 == 0o700
    assert entry.stat().st_mode & 0o777 == 0o600


def shorten(entry: Path) -> None:
    entry.write_bytes(entry.read_bytes()[:-1])


def flip(entry: Path) -> None:
    content = bytearray(entry.read_bytes())
    content[-100] ^= 1
    entry.write_bytes(content)


def empty(entry: Path) -> None:
    entry.write_bytes(b"")


def open_to_all(entry: Path) -> None:
    entry.chmod(0o666)


def open_folder(entry: Path) -> None:
    entry.parent.chmod(0o777)


def link(entry: Path) -> None:
    entry.rename(entry.parent.parent / "elsewhere")
    entry.symlink_to(entry.parent.parent / "elsewhere")


def pipe(entry: Path) -> None:
    entry.unlink()
    os.mkfifo(entry, 0o600)


def grow(entry: Path) -> None:
    os.truncate(entry, 65 << 20)


def other_database(entry: Path) -> None:
    """A valid file whose content Hyperscan does not accept, as if another release had written it."""
    content = entry.read_bytes()[HEADER_LENGTH:]
    length = 8 + int.from_bytes(content[:8], "big")
    entry.write_bytes(sealed(content[:length] + b"no database"))


@pytest.mark.parametrize(
    "damage",
    [shorten, flip, empty, open_to_all, open_folder, link, pipe, grow, other_database],
    ids=lambda f: f.__name__,
)
def test_an_entry_that_cannot_be_trusted_is_recompiled_and_logged(
    damage: object, tmp_path: Path, work: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    if damage is other_database:
        pytest.importorskip("hyperscan", reason="no Hyperscan on this machine")
    expected = failures(FilterMatcher(JAILS, cache=Cache(tmp_path / "cache")))
    (entry,) = files(tmp_path / "cache")
    damage(entry)  # type: ignore[operator]
    with caplog.at_level(logging.DEBUG, "guardhooks.filters"):
        assert failures(FilterMatcher(JAILS, cache=Cache(tmp_path / "cache"))) == expected
    assert work == ["layout"] * 2
    logged = [record for record in caplog.records if "cache" in record.message]
    assert any("cannot be used; recompiling" in record.message for record in logged)
    assert {record.levelno for record in logged} == {logging.DEBUG}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_an_entry_of_another_user_is_not_read(tmp_path: Path, work: list[str]) -> None:
    failures(FilterMatcher(JAILS, cache=Cache(tmp_path / "cache")))
    os.chown(files(tmp_path / "cache")[0], 12345, 12345)
    failures(FilterMatcher(JAILS, cache=Cache(tmp_path / "cache")))
    assert work == ["layout"] * 2


@pytest.mark.parametrize(
    "changed",
    [
        jail("Failed password for root from <HOST>"),
        jail(*JAILS[0].filter.failregex, maxlines=2),  # type: ignore[union-attr]
        jail(*JAILS[0].filter.failregex, datepattern=("{NONE}",)),  # type: ignore[union-attr]
        jail(*JAILS[0].filter.failregex, name="other"),  # type: ignore[union-attr]
    ],
)
def test_an_entry_for_other_filters_is_not_used(changed: Jail, tmp_path: Path, work: list[str]) -> None:
    failures(FilterMatcher([JAILS[0]], cache=Cache(tmp_path / "cache")))
    failures(FilterMatcher([changed], cache=Cache(tmp_path / "cache")))
    assert work == ["layout"] * 2


def test_an_entry_of_another_engine_is_not_used(
    tmp_path: Path, work: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    failures(FilterMatcher(JAILS, cache=Cache(tmp_path / "cache")))
    monkeypatch.setattr(cache, "engine", lambda: "f" * 64)
    failures(FilterMatcher(JAILS, cache=Cache(tmp_path / "cache")))
    assert work == ["layout"] * 2


def test_a_bad_regex_is_named_at_every_start(tmp_path: Path) -> None:
    bad = jail("Failed password for <HOST>", "(?<=a+)<HOST>", "(<HOST>", "x{2,1}<HOST>")
    for _ in range(2):
        matcher = FilterMatcher([bad], cache=Cache(tmp_path / "cache"))
        messages = [str(problem) for problem in matcher.problems["j"]]
        assert [message.split(" does")[0].rsplit(" ", 1)[1] for message in messages] == ["2", "3", "4"]
        failures(matcher)


def test_matching_works_without_a_usable_cache(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("in the way")
    assert len(failures(FilterMatcher(JAILS, cache=Cache(tmp_path / "cache")))) == 3


def test_the_plugin_stores_entries_beside_the_state_and_removes_stale_ones(tmp_path: Path) -> None:
    def run(*jails: Jail) -> None:
        plugin = Filterd()
        guard = SimpleNamespace(ledger_file=tmp_path / "ledger.sqlite3", jails={jail.name: jail for jail in jails})
        plugin.on_start(guard)
        plugin.on_start(guard)  # a reload
        for each in jails:
            matcher = plugin.line_matcher([each])
            assert matcher is not None
            list(matcher.feed(LOG))
        plugin.on_stop(guard)

    run(*JAILS)
    both = files(tmp_path / "cache")
    assert len(both) == 2
    run(JAILS[0])
    (left,) = files(tmp_path / "cache")
    assert left in both


def test_without_a_state_folder_nothing_is_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plugin = Filterd()
    plugin.on_start(SimpleNamespace(ledger_file=None, jails={"j": JAILS[0]}))
    matcher = plugin.line_matcher([JAILS[0]])
    assert matcher is not None
    assert len(list(matcher.feed(LOG))) == 2
    assert list(tmp_path.iterdir()) == []
    assert cache_entry.CacheEntry(Cache(tmp_path / "none"), [JAILS[0]]).restore(1) is None


def test_stale_entries_are_removed_and_nothing_else_nor_through_a_link(tmp_path: Path) -> None:
    foreign, folder = tmp_path / "foreign", tmp_path / "cache"
    Cache(foreign).write("former", b"content")
    (foreign / "letters.txt").write_text("dear")
    before = files(foreign)
    folder.symlink_to(foreign)
    Cache(folder).sweep()
    assert files(foreign) == before
    folder.unlink()
    foreign.rename(folder)
    Cache(folder).sweep()
    assert [path.name for path in files(folder)] == ["letters.txt"]
