"""Log injection: whatever attackers call themselves, nobody but them is banned for it, and nothing takes long."""

from __future__ import annotations

import codecs
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.config.corpora import HERE, failures, matcher, modes

ATTACKER = "198.51.100.7"
VICTIM = "192.0.2.66"
FILTERS = ("dovecot", "postfix", "sshd")
STRICTEST = {"sshd": {"publickey": "any", "pam": "any"}}


def _entries(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def _payloads() -> Iterator[bytes]:
    for entry in _entries(HERE / "hostile" / "payloads.txt"):
        quoted = len(entry) > 1 and entry[0] == entry[-1] == '"'
        text = entry[1:-1] if quoted else entry
        yield codecs.escape_decode(text.encode())[0] if "\\x" in text else text.encode()
    yield b"x" * 60_000 + VICTIM.encode()
    yield f"x from {VICTIM} port 22 ssh2 ".encode() * 2000


def _forged(templates: list[str]) -> Iterator[bytes]:
    """The lines themselves as payload, as if the victim had sent them; whole, and from each word of theirs on."""
    for template in templates:
        words = template.replace("{attack}", "x").replace(ATTACKER, VICTIM).split(" ")
        for start in range(len(words)):
            text = " ".join(words[start:])
            if VICTIM in text:
                yield text.encode()


def _lines(name: str, payload_source: Iterator[bytes]) -> Iterator[bytes]:
    templates = _entries(HERE / "hostile" / f"{name}.txt")
    for template, payload in itertools.product(templates, list(payload_source)):
        yield template.encode().replace(b"{attack}", payload)


def _blamed(name: str, mode: str, lines: Iterator[bytes]) -> dict[str, str]:
    """Who is found, each with the last line that did it."""
    judge = matcher(name, {"mode": mode, **STRICTEST.get(name, {})}, usedns="warn")
    return {failure.resolve or failure.id: failure.matches[-1][:500] for failure in failures(judge, lines)}


def _bystanders(name: str, mode: str, lines: Iterator[bytes]) -> dict[str, str]:
    return {id: line for id, line in _blamed(name, mode, lines).items() if id not in {ATTACKER, "attacker.example"}}


@pytest.mark.parametrize(("name", "mode"), [(name, mode) for name in FILTERS for mode in modes(name)])
def test_no_payload_bans_a_third_party(name: str, mode: str) -> None:
    assert not _bystanders(name, mode, _lines(name, _payloads()))


@pytest.mark.parametrize(("name", "mode"), [(name, mode) for name in FILTERS for mode in modes(name)])
def test_no_line_inside_a_line_bans_a_third_party(name: str, mode: str) -> None:
    templates = _entries(HERE / "hostile" / f"{name}.txt")
    assert not _bystanders(name, mode, _lines(name, _forged(templates)))


@pytest.mark.parametrize("name", FILTERS)
def test_the_attacker_is_found_whatever_the_name(name: str) -> None:
    """The other side: odd names must not hide who sent them, at least where the server itself cuts nothing short."""
    first = _entries(HERE / "hostile" / f"{name}.txt")[0].encode()
    mode = "auth" if name == "postfix" else "normal"
    for payload in _payloads():
        if len(payload) > 1000 or (name == "postfix" and b" " in payload):
            continue  # Postfix splits commands at blanks: a mechanism holds none
        line = first.replace(b"{attack}", payload)
        assert list(_blamed(name, mode, iter([line]))) == [ATTACKER], line
