"""Lines through the native matcher and the plain one: both must find the same."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from guardhooks import Chunk, Failure, Jail
from guardhooks_core.matchers.filterd.matcher import FilterMatcher

_core = pytest.importorskip("guardhooks_native._core", reason="the native core is not built")
from guardhooks_native.matcher import NativeMatcher  # noqa: E402 -- it needs the core


@dataclass
class Pair:
    """The same jails served twice. Without its prefilter the plain matcher reads every line with every failregex."""

    jails: Sequence[Jail]
    prefilter: bool = False
    native: NativeMatcher = field(init=False)
    plain: FilterMatcher = field(init=False)
    found: list[Failure] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.native = NativeMatcher(self.jails)
        served = [jail for jail in self.jails if jail.name in self.native.jails]
        self.plain = FilterMatcher(served, prefilter=self.prefilter)

    def feed(self, chunk: Chunk, *, warnings: bool = False) -> None:
        """Both read the chunk; what they find must be the same, and with `warnings` what they say.

        Of lines that no failregex can match, the plain matcher without its prefilter warns and the native one does not.
        """
        heard: list[list[str]] = []
        results: list[list[Failure]] = []
        for matcher in (self.plain, self.native):
            with _Listening() as listening:
                results.append(list(matcher.feed(chunk)))
            heard.append(listening.texts)
        wanted, got = results
        for one, other in zip(wanted, got, strict=False):
            assert comparable(other) == comparable(one)
        assert len(got) == len(wanted)
        assert not warnings or heard[1] == heard[0]
        self.found += got


class _Listening(logging.Handler):
    """Collects the matchers' warnings."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING:
            self.texts.append(record.getMessage())

    def __enter__(self) -> _Listening:
        logging.getLogger("guardhooks").addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("guardhooks").removeHandler(self)


def comparable(failure: Failure) -> dict[str, Any]:
    """A failure as a dictionary, for readable differences."""
    return {name: getattr(failure, name) for name in failure.__slots__}


def block(lines: Iterable[str | bytes], now: float, **more: Any) -> Chunk:  # noqa: ANN401 -- a chunk's
    """These lines as one chunk, received at `now`."""
    data = b"".join((line.encode() if isinstance(line, str) else line) + b"\n" for line in lines)
    return Chunk(data, "test", now, **more)
