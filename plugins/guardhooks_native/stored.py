"""What the matcher works out about the regexes of one source, kept beside the state for the next start.

An entry is JSON. Its regexes come to the core as they come from the translator, which checks them as it does those.
"""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

from guardhooks import Jail
from guardhooks.filters import Cache, JailMatcher, TimedRegex, digest, filter_parts, shared
from guardhooks_native import _core
from guardhooks_native.needles import ScanSpec
from guardhooks_native.specs import JailRules, RuleSpec

Graph: TypeAlias = tuple[Sequence[int], Sequence[bytes], int, int]
_Json: TypeAlias = Any


class NativeCache(Cache):
    """Its entries hold what was translated for the jails of one source."""

    suffix: ClassVar[str] = ".translated"

    def engine(self) -> str:
        return _engine()


@cache
def _engine() -> str:
    """A digest of the code that translates, the core with it, and of Python, whose parser and classes it asks."""
    here = Path(__file__).parent
    sources = [path.read_bytes() for path in (*sorted(here.glob("*.py")), Path(_core.__file__))]
    return digest([sys.version, platform.machine(), sys.byteorder, *sources])


@dataclass(frozen=True, slots=True)
class Stored:
    """What is kept.

    `jails` are those with a filter that the plain matcher can run, in order, by name; `encodings` those of their logs.
    `regexes` are all that are known to compile, with the names of their groups.
    """

    graphs: Sequence[Graph]
    names: Sequence[str]
    jails: Mapping[str, JailRules]
    encodings: Sequence[str]
    scan: ScanSpec
    regexes: Sequence[tuple[str, int, Sequence[str]]] = ()


class Entry:
    """The entry for the jails of one source.

    It is made before their regexes are: as long as it lives, the regexes that it knows need no parsing.
    """

    def __init__(self, cache: Cache | None, jails: Sequence[Jail]) -> None:
        self._cache = cache
        self._key = digest(part for jail in jails for part in filter_parts(jail)) if cache else ""
        self._held: list[TimedRegex] = []
        self._stored = self._read()

    def _read(self) -> Stored | None:
        content = self._cache.read(self._key) if self._cache else None
        if content is None:
            return None
        try:
            stored = _decoded(json.loads(content))
        except (ValueError, TypeError, LookupError) as fault:
            assert self._cache is not None
            self._cache.reject(self._key, str(fault))
            return None
        self._held = [shared(text, flags, groups=groups) for text, flags, groups in stored.regexes]
        return stored

    def restore(self, usable: Sequence[str], encodings: Sequence[str]) -> Stored | None:
        """What is stored for just these jails; None where it must be worked out."""
        stored = self._stored
        same = stored is not None and (list(stored.jails), stored.encodings) == (list(usable), list(encodings))
        return stored if same else None

    def store(self, stored: Stored, matchers: Sequence[JailMatcher]) -> None:
        """Keep it for the next start."""
        if self._cache is not None:
            regexes = {rule.regex for matcher in matchers for rule in matcher.rules.all}
            told = [[regex.expression, regex.flags, list(regex.groups)] for regex in regexes]
            self._cache.write(self._key, json.dumps({**_encoded(stored), "regexes": told}).encode())


def _encoded(stored: Stored) -> dict[str, _Json]:
    scan = stored.scan
    return {
        "graphs": [[list(code), [each.hex() for each in sets], *rest] for code, sets, *rest in stored.graphs],
        "names": list(stored.names),
        "jails": [[name, asdict(jail)] for name, jail in stored.jails.items()],
        "encodings": list(stored.encodings),
        "scan": {
            "needles": [[text.hex(), folded, numbers] for text, folded, numbers in scan.needles],
            "words": [word.hex() for word in scan.words],
            "factors": scan.factors,
            "always": scan.always,
        },
    }


def _decoded(told: _Json) -> Stored:
    scan = told["scan"]
    return Stored(
        graphs=[(code, list(map(bytes.fromhex, sets)), start, slots) for code, sets, start, slots in told["graphs"]],
        names=told["names"],
        jails={name: _jail(jail) for name, jail in told["jails"]},
        encodings=told["encodings"],
        scan=ScanSpec(
            [(bytes.fromhex(text), folded, numbers) for text, folded, numbers in scan["needles"]],
            [bytes.fromhex(word) for word in scan["words"]],
            [[(one, two) for one, two in factor] for factor in scan["factors"]],
            scan["always"],
        ),
        regexes=[(text, flags, groups) for text, flags, groups in told["regexes"]],
    )


def _jail(told: _Json) -> JailRules:
    return JailRules(
        told["why"],
        _rule(told["prefix"]) if told["prefix"] else None,
        [_rule(each) for each in told["rules"]],
        [_rule(each) for each in told["ignores"]],
    )


def _rule(told: _Json) -> RuleSpec:
    pairs = {key: [(one, two) for one, two in told[key]] for key in ("names", "alternatives")}
    return RuleSpec(**{**told, **pairs})
