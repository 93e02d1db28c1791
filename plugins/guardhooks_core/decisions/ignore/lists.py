"""The words of `ignoreip` (addresses, networks, names, `file:` lists, raw ids), compiled for look-ups."""

from __future__ import annotations

import logging
import re
import socket
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from guardhooks import PrefixList, PrefixMap, canonical, is_host_name, misspelt_address, prefix_of, safe_text
from guardhooks_core.decisions.ignore.background import Background

_NAME_AGE: Final = 300.0
"""Seconds after which a name is resolved again."""
_FILE_CHECK: Final = 1.0
"""Seconds between two checks of a list."""
_FILE_RETRY: Final = 60.0
"""Seconds until the next attempt to read a list that cannot be read."""
_FILE_SIZE: Final = 16 * 1024 * 1024
"""Bytes of the largest list."""
_FILE: Final = re.compile(r"file:(?:/{0,2}(?=/(?!/|.{1,2}/))|/{0,2})(.*)", re.DOTALL)
_MISSPELT_TOLD: Final = 10
"""Words of a list that are reported at most."""
_COMMENT: Final = re.compile(r"(?:^|(?<=\s))[#;].*", re.MULTILINE)
_SEPARATOR: Final = re.compile(r"[\s,]+")

logger = logging.getLogger("guardhooks.ignore")


class Words:
    """A fixed list of words; names are resolved in the background."""

    __slots__ = ("_literal", "_prefixes", "_sorted", "names")

    def __init__(self, words: Iterable[str], clock: Callable[[], float]) -> None:
        self._literal: dict[str, str] = {}
        self._prefixes = PrefixMap()
        self._sorted: PrefixList | None = None
        self.names: list[Background[frozenset[str]]] = []
        for word in dict.fromkeys(words):
            prefix = prefix_of(word)
            if "/" in prefix:
                self._prefixes.add(prefix, word)
            self._literal[prefix or word] = word
            if not prefix and is_host_name(word):
                self.names.append(Background(word, _lookup(word), frozenset(), age=_NAME_AGE, clock=clock))

    def hit(self, id: str) -> str:
        """The word that covers `id`; empty if none does."""
        if id in self._literal:
            return self._literal[id]
        if holding := self._prefixes.holding(id):
            return holding[0]
        return next((name.what for name in self.names if id in name.value), "") if self.names else ""

    def hits(self, ids: Sequence[str]) -> set[int]:
        """The places of those that a word covers; for many at a time."""
        found = set(self._prefixes.held(ids))
        named = [name.value for name in self.names]
        for words in (self._literal.keys(), *named):
            if not words.isdisjoint(ids):
                found.update(place for place, id in enumerate(ids) if id in words)
        return found

    def inside(self, prefix: str) -> str:
        """A word for something inside `prefix`; empty if there is none. The first call sorts the words."""
        if self._sorted is None:
            self._sorted = PrefixList(self._literal)
        if found := self._sorted.first_inside(prefix):
            return self._literal[found]
        holder = PrefixMap((prefix,)) if self.names else None
        return next((name.what for name in self.names if holder and any(map(holder.holding, name.value))), "")


class FileList:
    """A `file:` list, checked at most once a second and read again when it has changed."""

    __slots__ = ("_clock", "_next", "_path", "_stamp", "words")

    def __init__(self, path: str, clock: Callable[[], float]) -> None:
        self._path = Path(path)
        self._clock = clock
        self._stamp: tuple[float, int, int] | None = None
        self.words = Words((), clock)
        self._next = clock()
        self.check()

    def hit(self, id: str) -> str:
        """`file:PATH` if a word of the list covers `id`, else empty."""
        self.check()
        return f"file:{self._path}" if self.words.hit(id) else ""

    def inside(self, prefix: str) -> str:
        """`file:PATH` if a word of the list is for something inside `prefix`, else empty."""
        self.check()
        return f"file:{self._path}" if self.words.inside(prefix) else ""

    def check(self) -> None:
        """Read the list if a check is due and it has changed; if it cannot be read, the previous words stay in use."""
        now = self._clock()
        if self._next - _FILE_RETRY <= now < self._next:
            return
        self._next = now + _FILE_CHECK
        try:
            found = self._path.stat()
            stamp = (found.st_mtime, found.st_ino, found.st_size)
            if stamp == self._stamp:
                return
            if found.st_size > _FILE_SIZE:
                raise OSError(f"larger than {_FILE_SIZE} bytes")  # noqa: TRY301
            text = self._path.read_text("utf-8", "replace")
        except OSError as error:
            self._next = now + _FILE_RETRY
            logger.warning("ignoreip file:%s: %s; retrying in a minute", safe_text(str(self._path)), error)
            return
        self._stamp = stamp
        text = _COMMENT.sub("", text)
        self._warn_of_misspelt(text)
        self.words = Words(filter(None, _SEPARATOR.split(text)), self._clock)

    def _warn_of_misspelt(self, text: str) -> None:
        faults = (
            (number, word, why)
            for number, line in enumerate(text.splitlines(), 1)
            for word in filter(None, _SEPARATOR.split(line))
            if (why := misspelt_address(word))
        )
        for number, word, why in islice(faults, _MISSPELT_TOLD):
            logger.error("%s:%d: %s %s; it exempts nobody", self._path, number, safe_text(repr(word), 80), why)


class IgnoreList:
    """All words of one jail's `ignoreip`."""

    __slots__ = ("_files", "_words")

    def __init__(self, words: Iterable[str], clock: Callable[[], float]) -> None:
        plain: list[str] = []
        files: list[str] = []
        for word in words:
            match = _FILE.fullmatch(word)
            (files if match else plain).append(match[1] if match else word)
        self._words = Words(plain, clock)
        self._files = [FileList(path, clock) for path in dict.fromkeys(files)]

    def hit(self, id: str) -> str:
        """The configured word that covers `id`; empty if none does."""
        found = self._words.hit(id)
        if found or not self._files:
            return found
        return next(filter(None, (file.hit(id) for file in self._files)), "")

    def hits(self, ids: Sequence[str]) -> set[int]:
        """The places of those for which `hit` is not empty; for many at a time."""
        found = self._words.hits(ids)
        for file in self._files:
            file.check()
            found |= file.words.hits(ids)
        return found

    def meets(self, id: str) -> str:
        """The configured word that covers `id` or, if that is a prefix, lies in it; empty if there is none."""
        found = self.hit(id)
        if found or "/" not in id:
            return found
        return self._words.inside(id) or next(filter(None, (file.inside(id) for file in self._files)), "")

    def names(self) -> list[Background[frozenset[str]]]:
        """All names, including those in files."""
        return [*self._words.names, *(name for file in self._files for name in file.words.names)]


def _lookup(name: str) -> Callable[[], frozenset[str]]:
    def read() -> frozenset[str]:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        return frozenset(canonical(str(info[4][0])) for info in found)

    return read
