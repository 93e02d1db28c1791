"""What the cache keeps for one source: its layout, its compiled prefilter, and the names in its regexes.

An entry's content is the length of a JSON text (8 bytes, big-endian), that text, and the serialized database.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TypeAlias

from guardhooks import Jail
from guardhooks_core.matchers.filterd.cache import Cache, digest
from guardhooks_core.matchers.filterd.decoding import Decoder
from guardhooks_core.matchers.filterd.jail_matcher import Watch
from guardhooks_core.matchers.filterd.layout import Layout
from guardhooks_core.matchers.filterd.prefilter import (
    Compiled,
    DamagedError,
    HyperscanPrefilter,
    Prefilter,
    Sought,
    build,
)
from guardhooks_core.matchers.filterd.regex.timed import BoundedRegex, shared

_LENGTH = 8

Json: TypeAlias = Any


class Entry:
    """The cache's entry for the jails of one source.

    Made before their regexes are: while it lives, those that it knows need not be parsed.
    """

    def __init__(self, cache: Cache, jails: Sequence[Jail]) -> None:
        self._cache = cache
        self._key = digest(part for jail in jails for part in _parts(jail))
        self._facts: Json = None
        self._database = b""
        self._regexes: list[BoundedRegex] = []
        content = cache.read(self._key)
        if content is not None:
            length = int.from_bytes(content[:_LENGTH], "big")
            self._facts = json.loads(content[_LENGTH : _LENGTH + length])
            self._database = content[_LENGTH + length :]
            self._regexes = [shared(text, flags, groups=groups) for text, flags, groups in self._facts["regexes"]]

    def restored(self, watches: int) -> tuple[Layout, Prefilter | None] | None:
        """The layout of so many jails and its prefilter; None where they are to be made anew."""
        facts, self._facts, self._regexes = self._facts, None, []
        if facts is None or facts["watches"] != watches:
            return None
        layout = _layout(facts)
        if not layout.sought:
            return layout, None
        try:
            return layout, build(layout.sought, Compiled(self._database, tuple(facts["refused"])))
        except DamagedError as fault:
            self._cache.reject(self._key, str(fault))
            return None
        finally:
            self._database = b""

    def keep(self, watches: Sequence[tuple[Watch, Decoder]], layout: Layout, engine: Prefilter | None) -> None:
        """Leave this for the next start."""
        compiled = engine.compiled() if isinstance(engine, HyperscanPrefilter) else Compiled(b"", ())
        regexes = {rule.regex for watch, _ in watches for rule in watch.rules.all}
        facts = {
            "watches": len(watches),
            "regexes": [[regex.expression, regex.flags, regex.groups] for regex in regexes],
            "sought": [[factor.pattern.decode("latin-1"), *_texts(factor.needles)] for factor in layout.sought],
            "targets": layout.targets,
            "always": list(layout.always.items()),
            "costly": layout.costly,
            "refused": compiled.refused,
        }
        text = json.dumps(facts).encode()
        self._cache.write(self._key, len(text).to_bytes(_LENGTH, "big") + text + compiled.database)


def _layout(facts: Json) -> Layout:
    return Layout(
        [Sought(pattern.encode("latin-1"), tuple(_bytes(needles))) for pattern, *needles in facts["sought"]],
        [[(jail, place) for jail, place in targets] for targets in facts["targets"]],
        {jail: None if places is None else tuple(places) for jail, places in facts["always"]},
        facts["costly"],
    )


def _texts(needles: Sequence[bytes]) -> list[str]:
    return [needle.decode("latin-1") for needle in needles]


def _bytes(needles: Sequence[str]) -> list[bytes]:
    return [needle.encode("latin-1") for needle in needles]


def _parts(jail: Jail) -> list[str]:
    """All that decides what is made of a jail."""
    spec = jail.filter
    if spec is None:
        return [jail.name, "no filter"]
    own = [jail.name, jail.usedns, jail.logencoding, jail.logtimezone, str(spec.maxlines), spec.prefregex]
    lists = (spec.failregex, spec.ignoreregex, spec.datepattern)
    return [*own, *(text for texts in lists for text in (str(len(texts)), *texts))]
