"""Log injection: whatever attackers call themselves, nobody but them is banned for it, and nothing takes long."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tests.config.corpora import failures, matcher, modes, shipped
from tests.config.payloads import (
    ATTACKER,
    CORE,
    attacked_lines,
    fill,
    forged_lines,
    hostile_filters,
    short_payloads,
    templates,
    variants,
)

HARMLESS_TEXT = frozenset({"bitwarden", "recidive", "scanlogd"})
"""Filters whose lines hold no text of a client."""
CASES = [
    pytest.param(name, {"mode": mode, **options} if mode else options, id=" ".join([name, mode, *options.values()]))
    for name in hostile_filters()
    for mode in modes(name)
    for options in variants(name)
]


def _blamed(name: str, options: dict[str, str], lines: Iterable[bytes]) -> dict[str, str]:
    """Who is found, each with the last line that did it."""
    judge = matcher(name, options, usedns="warn")
    return {failure.resolve or failure.id: failure.matches[-1][:500] for failure in failures(judge, lines)}


def _bystanders(name: str, options: dict[str, str], lines: Iterable[bytes]) -> dict[str, str]:
    return {id: line for id, line in _blamed(name, options, lines).items() if id not in {ATTACKER, "attacker.example"}}


@pytest.mark.parametrize(("name", "options"), CASES)
def test_no_payload_bans_a_third_party(name: str, options: dict[str, str]) -> None:
    assert not _bystanders(name, options, attacked_lines(name))


@pytest.mark.parametrize(("name", "options"), CASES)
def test_no_line_inside_a_line_bans_a_third_party(name: str, options: dict[str, str]) -> None:
    assert not _bystanders(name, options, forged_lines(name))


@pytest.mark.parametrize("name", hostile_filters())
def test_each_template_is_a_line_of_the_filter(name: str) -> None:
    """With a harmless name the attacker is found in some mode, so the tests above try lines that count."""
    every = [{"mode": mode, **options} if mode else options for mode in modes(name) for options in variants(name)]
    for template in templates(name)[0]:
        line = fill(template, b"mallory")
        found = set().union(*(_blamed(name, options, [line]) for options in every))
        assert found == {ATTACKER}, line


@pytest.mark.parametrize("name", sorted(CORE))
def test_the_attacker_is_found_whatever_the_name(name: str) -> None:
    """The other side: odd names must not hide who sent them, at least where the server itself cuts nothing short."""
    first = templates(name)[0][0]
    options = {"mode": "auth" if name == "postfix" else "normal"}
    for payload in short_payloads():
        if name == "postfix" and b" " in payload:
            continue  # Postfix splits commands at blanks: a mechanism holds none
        line = fill(first, payload)
        assert list(_blamed(name, options, [line])) == [ATTACKER], line


def test_every_filter_is_attacked() -> None:
    assert set(hostile_filters()) == set(shipped()) - HARMLESS_TEXT
