"""What the cache stores for one source: its layout, its compiled prefilter, and the group names of its regexes.

An entry's content is the length of a JSON text (8 bytes, big-endian), that text, and the serialized database.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from guardhooks import Jail
from guardhooks.filters import Decoder, JailMatcher, TimedRegex, digest, filter_parts, shared
from guardhooks_core.matchers.filterd.cache import Cache
from guardhooks_core.matchers.filterd.layout import Layout
from guardhooks_core.matchers.filterd.prefilter import (
    Compiled,
    DamagedError,
    HyperscanPrefilter,
    Prefilter,
    SearchPattern,
    build,
)

_LENGTH: Final = 8

Json: TypeAlias = Any


class CacheEntry:
    """The cache's entry for the jails of one source.

    It is made before their regexes are: as long as it lives, the regexes that it knows need no parsing.
    """

    def __init__(self, cache: Cache, jails: Sequence[Jail]) -> None:
        self._cache = cache
        self._key = digest(part for jail in jails for part in filter_parts(jail))
        self._stored: Json = None
        self._database = b""
        self._regexes: list[TimedRegex] = []
        content = cache.read(self._key)
        if content is not None:
            length = int.from_bytes(content[:_LENGTH], "big")
            self._stored = json.loads(content[_LENGTH : _LENGTH + length])
            self._database = content[_LENGTH + length :]
            self._regexes = [shared(text, flags, groups=groups) for text, flags, groups in self._stored["regexes"]]

    def restore(self, jails: int) -> tuple[Layout, Prefilter | None] | None:
        """The stored layout for this number of usable jails, and its prefilter; None if they must be computed."""
        stored, self._stored, self._regexes = self._stored, None, []
        if stored is None or stored["jails"] != jails:
            return None
        layout = _layout(stored)
        if not layout.patterns:
            return layout, None
        try:
            return layout, build(layout.patterns, Compiled(self._database, tuple(stored["refused"])))
        except DamagedError as fault:
            self._cache.reject(self._key, str(fault))
            return None
        finally:
            self._database = b""

    def store(
        self, jail_matchers: Sequence[tuple[JailMatcher, Decoder]], layout: Layout, prefilter: Prefilter | None
    ) -> None:
        """Write the entry for the next start."""
        compiled = prefilter.compiled() if isinstance(prefilter, HyperscanPrefilter) else Compiled(b"", ())
        regexes = {rule.regex for jail_matcher, _ in jail_matchers for rule in jail_matcher.rules.all}
        stored = {
            "jails": len(jail_matchers),
            "regexes": [[regex.expression, regex.flags, regex.groups] for regex in regexes],
            "patterns": [[_text(one.expression), *map(_text, one.needles)] for one in layout.patterns],
            "targets": layout.targets,
            "always": list(layout.always.items()),
            "unfiltered": layout.unfiltered,
            "refused": compiled.refused,
        }
        text = json.dumps(stored).encode()
        self._cache.write(self._key, len(text).to_bytes(_LENGTH, "big") + text + compiled.database)


def _layout(stored: Json) -> Layout:
    return Layout(
        [SearchPattern(_bytes(expression), tuple(map(_bytes, needles))) for expression, *needles in stored["patterns"]],
        [[(jail, index) for jail, index in targets] for targets in stored["targets"]],
        {jail: None if indexes is None else tuple(indexes) for jail, indexes in stored["always"]},
        stored["unfiltered"],
    )


def _text(data: bytes) -> str:
    return data.decode("latin-1")


def _bytes(text: str) -> bytes:
    return text.encode("latin-1")
