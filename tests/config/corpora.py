"""Reads the plain-text corpora and asks the real matcher about their lines."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

from guardhooks import Chunk, Failure, Jail, LineMatcher
from guardhooks.settings import load_filter
from guardhooks_core.matchers.filterd.matcher import FilterMatcher

HERE: Final = Path(__file__).parent
CONFIG: Final = HERE.parent.parent / "config"
SAMPLES: Final = next(
    (place for up in HERE.parents if (place := up / "shared" / "samples").is_dir()),
    HERE.parent.parent.parent / "shared" / "samples",
)
NOW: Final = 1_795_362_015.0  # 2026-11-22 15:40:15 UTC
CENTURY: Final = 3.2e9
"""Seconds: the lines of a corpus are of any year, and count."""


@dataclass(frozen=True)
class Case:
    """One block of a corpus: what the last of `lines` must be taken for with these options of the filter."""

    place: str
    address: str
    options: Mapping[str, str]
    lines: tuple[str, ...]
    fields: Mapping[str, str] = field(default_factory=dict)


def cases(path: Path) -> Iterator[Case]:
    """The cases of one corpus file, one for each mode that a block names."""
    blocks = re.finditer(r"^([+-])(.*)\n((?:.+\n?)+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    for block in blocks:
        sign, heading, lines = block[1], shlex.split(block[2]), tuple(block[3].rstrip("\n").split("\n"))
        address = heading.pop(0) if sign == "+" else ""
        words = dict(word.split("=", 1) for word in heading)
        known = options_of(path.stem)
        options = {key: value for key, value in words.items() if key in known}
        fields = {key: value for key, value in words.items() if key not in known}
        modes = options.pop("mode", default_mode(path.stem))
        for mode in modes.split(","):
            place = f"{path.stem}:{mode}: {lines[-1]}"
            yield Case(place, address, {"mode": mode, **options} if mode else options, lines, fields)


def _filter_text(name: str) -> str:
    return (CONFIG / "filter.d" / f"{name}.conf").read_text(encoding="utf-8")


@cache
def options_of(name: str) -> frozenset[str]:
    """What may stand in brackets behind the filter's name: every key of its file and of those that it includes."""
    text = _filter_text(name)
    included = re.findall(r"^(?:before|after) *= *([\w\-]+)\.conf", text, re.MULTILINE)
    keys = re.findall(r"^([\w\-]+) *=", text, re.MULTILINE)
    return frozenset({"logtype", *keys}.union(*map(options_of, included)))


def default_mode(name: str) -> str:
    """The mode of a jail that names none; empty for filters without modes."""
    found = re.search(r"^mode *= *(\w+)", _filter_text(name), re.MULTILINE)
    return found[1] if found else ""


def _jail(name: str, options: tuple[tuple[str, str], ...], usedns: str) -> Jail:
    text = ", ".join(f'{key}="{value}"' for key, value in options)
    logtype = dict(options).get("logtype", "file")
    spec = load_filter(CONFIG, f"{name}[{text}]", logtype=logtype)
    return Jail(name, filter=spec, usedns=usedns, findtime=CENTURY)


def matcher(name: str, options: Mapping[str, str], usedns: str = "no") -> LineMatcher:
    """The matcher of our filter `name` with these bracket options. It is shared and remembers sessions."""
    return _matcher(name, tuple(sorted(options.items())), usedns)


@cache
def _matcher(name: str, options: tuple[tuple[str, str], ...], usedns: str) -> LineMatcher:
    made = FilterMatcher([_jail(name, options, usedns)], clock=lambda: NOW)
    assert not made.problems, made.problems
    return made


def in_new_process(name: str, lines: Iterable[str], number: int) -> list[str]:
    """The lines as if another process had written them, so that cases share a matcher but no session."""
    if "<F-MLFID>" not in _filter_text(name):
        return list(lines)
    return [re.sub(r"((?<=[\w)])\[|\[conn)\d+(\](?=:|\s))", rf"\g<1>{number}\2", line) for line in lines]


def failures(matcher: LineMatcher, lines: Iterable[str | bytes]) -> list[Failure]:
    """What the matcher finds in these lines, written just now."""
    encoded = (line if isinstance(line, bytes) else line.encode() for line in lines)
    data = b"".join(line + b"\n" for line in encoded)
    return [failure for failure in matcher.feed(Chunk(data, "corpus", NOW)) if not failure.nofail]


def modes(name: str) -> list[str]:
    """All modes that the filter file documents, in its order; one empty one for filters without modes."""
    return re.findall(r"^mode-(\w+) *=", _filter_text(name), re.MULTILINE) or [default_mode(name)]


def shipped() -> list[str]:
    """All filters that jails can name, without the files that those only include."""
    names = (path.stem for path in (CONFIG / "filter.d").glob("*.conf"))
    return sorted(name for name in names if not name.endswith("common"))
