"""Translated regexes are kept beside the state: a restart finds the same with them, and needs not trust them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from guardhooks import Failure, FilterSpec, Jail
from guardhooks.filters.cache import HEADER_LENGTH, sealed
from guardhooks_core.matchers.filterd import Filterd

pytest.importorskip("guardhooks_native._core", reason="the native core is not built")
from guardhooks_native import Native, translate
from guardhooks_native.matcher import NativeMatcher
from guardhooks_native.stored import NativeCache
from tests.native.comparing import block, comparable

JAILS = (
    Jail(
        "sshd",
        FilterSpec(
            "sshd",
            prefregex=r"^sshd\[(?P<mlfid>\d+)\]: <F-CONTENT>.+</F-CONTENT>$",
            failregex=(r"^Failed \S+ for <F-USER>.*</F-USER> from <HOST>(?: port \d+)?$", r"^bäd (?!ok).* <HOST>$"),
            ignoreregex=(r"from 192\.0\.2\.9",),
            datepattern=("{NONE}",),
        ),
    ),
    Jail("two", FilterSpec("two", failregex=(r"^(.)\1 <HOST>$",), datepattern=("{NONE}",))),
    Jail("wide", FilterSpec("wide", failregex=(r"^a\nb <HOST>$",), datepattern=("{NONE}",), maxlines=2)),
)
LOG = block(
    [
        "sshd[1]: Failed password for root from 192.0.2.1 port 22",
        "sshd[1]: Failed password for x from 192.0.2.9",
        "sshd[2]: bäd thing 192.0.2.2",
        "xx 192.0.2.3",
    ],
    1000.0,
)


def found(matcher: NativeMatcher) -> tuple[list[dict[str, Any]], Sequence[str], object]:
    failures: list[Failure] = list(matcher.feed(LOG))
    return [comparable(failure) for failure in failures], matcher.jails, matcher.unserved


@pytest.fixture
def translated(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The regexes that were translated since the start of the test."""
    done: list[str] = []

    def counted(expression: str, *rest: Any, **more: Any) -> translate.Translation:  # noqa: ANN401 -- as the original
        done.append(expression)
        return translate.translate(expression, *rest, **more)

    monkeypatch.setattr("guardhooks_native.specs.translate", counted)
    return done


def test_a_restart_translates_nothing_and_finds_the_same(tmp_path: Path, translated: list[str]) -> None:
    wanted = found(NativeMatcher(JAILS))
    assert [failure["id"] for failure in wanted[0]][:2] == ["192.0.2.1", "192.0.2.2"]
    assert found(NativeMatcher(JAILS, cache=NativeCache(tmp_path / "cache"))) == wanted
    translated.clear()
    assert found(NativeMatcher(JAILS, cache=NativeCache(tmp_path / "cache"))) == wanted
    assert translated == []


@pytest.mark.parametrize("jails", [JAILS[:1], JAILS[::-1], (JAILS[0], Jail("sshd2", JAILS[0].filter))])
def test_other_jails_have_an_entry_of_their_own(tmp_path: Path, translated: list[str], jails: Sequence[Jail]) -> None:
    NativeMatcher(JAILS, cache=NativeCache(tmp_path / "cache"))
    translated.clear()
    assert found(NativeMatcher(jails, cache=NativeCache(tmp_path / "cache"))) == found(NativeMatcher(jails))
    assert translated
    assert len(list((tmp_path / "cache").iterdir())) == 2


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", json.dumps({"graphs": 3}).encode()])
def test_an_entry_that_makes_no_sense_is_made_again(tmp_path: Path, translated: list[str], content: bytes) -> None:
    wanted = found(NativeMatcher(JAILS, cache=NativeCache(tmp_path / "cache")))
    (entry,) = (tmp_path / "cache").iterdir()
    assert json.loads(entry.read_bytes()[HEADER_LENGTH:])
    entry.write_bytes(sealed(content))
    translated.clear()
    assert found(NativeMatcher(JAILS, cache=NativeCache(tmp_path / "cache"))) == wanted
    assert translated
    entry.write_bytes(b"cut off")
    assert found(NativeMatcher(JAILS, cache=NativeCache(tmp_path / "cache"))) == wanted


def test_each_matchers_entries_outlive_the_others_end(tmp_path: Path) -> None:
    guard: Any = SimpleNamespace(ledger_file=tmp_path / "ledger", jails={jail.name: jail for jail in JAILS})
    native, plain = Native(), Filterd()
    for plugin in (native, plain):
        plugin.on_start(guard)
        plugin.on_start(guard)  # a reload
    assert native.line_matcher(JAILS[:1])
    matcher = plain.line_matcher(JAILS[1:])
    assert matcher is not None
    list(matcher.feed(LOG))
    for plugin in (native, plain):
        plugin.on_stop(guard)
    assert {path.suffix for path in (tmp_path / "cache").iterdir()} == {".translated", ".compiled"}
    again = Native()
    again.on_start(guard)
    assert again.line_matcher(JAILS[:2])
    again.on_stop(guard)
    assert len(list((tmp_path / "cache").glob("*.translated"))) == 1
